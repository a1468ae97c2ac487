#include "proxy/timer_wheel.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace sallyport::proxy {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

const Monotonic kStart = Monotonic(hours(100));

struct Alarm {
  explicit Alarm() : timer([](void* self) { ++static_cast<Alarm*>(self)->fired; }, this) {}
  int fired = 0;
  Timer timer;
};

TEST(TimerWheelTest, FiresWhenDueAndNotBefore) {
  for (const milliseconds after :
       {milliseconds(1), milliseconds(63), milliseconds(64), milliseconds(65), milliseconds(4095),
        milliseconds(4096), milliseconds(262'144), milliseconds(3'600'000)}) {
    TimerWheel wheel(kStart);
    Alarm alarm;
    wheel.arm(alarm.timer, kStart + after);
    wheel.advance(kStart + after - milliseconds(1));
    EXPECT_EQ(alarm.fired, 0) << after.count();
    wheel.advance(kStart + after + milliseconds(1));
    EXPECT_EQ(alarm.fired, 1) << after.count();
    EXPECT_FALSE(alarm.timer.armed());
    wheel.advance(kStart + after + hours(1));
    EXPECT_EQ(alarm.fired, 1);
  }
}

TEST(TimerWheelTest, NeverFiresEarlyWithinATick) {
  TimerWheel wheel(kStart);
  Alarm alarm;
  wheel.arm(alarm.timer, kStart + std::chrono::microseconds(1500));
  wheel.advance(kStart + std::chrono::microseconds(1400));
  EXPECT_EQ(alarm.fired, 0);
  wheel.advance(kStart + milliseconds(2));
  EXPECT_EQ(alarm.fired, 1);
}

TEST(TimerWheelTest, CancelledAndMovedTimersHold) {
  TimerWheel wheel(kStart);
  Alarm cancelled, moved;
  wheel.arm(cancelled.timer, kStart + milliseconds(10));
  wheel.arm(moved.timer, kStart + milliseconds(10));
  wheel.arm(moved.timer, kStart + milliseconds(500));
  cancelled.timer.cancel();
  EXPECT_EQ(wheel.armed(), 1U);
  wheel.advance(kStart + milliseconds(499));
  EXPECT_EQ(moved.fired, 0);
  wheel.advance(kStart + milliseconds(501));
  EXPECT_EQ(moved.fired, 1);
  EXPECT_EQ(cancelled.fired, 0);
  EXPECT_EQ(wheel.wait_ms(kStart + milliseconds(501)), -1);
}

TEST(TimerWheelTest, ATimerThatDiesIsForgotten) {
  TimerWheel wheel(kStart);
  {
    Alarm alarm;
    wheel.arm(alarm.timer, kStart + milliseconds(5));
  }
  EXPECT_EQ(wheel.armed(), 0U);
  wheel.advance(kStart + milliseconds(10));
}

// What fires may arm itself again, and cancel its neighbours.
TEST(TimerWheelTest, CallbacksMayChangeTheWheel) {
  struct Chain {
    TimerWheel& wheel;
    Monotonic next;
    int count = 0;
    Timer* victim = nullptr;
    Timer timer{[](void* self) { static_cast<Chain*>(self)->fire(); }, this};
    explicit Chain(TimerWheel& w) : wheel(w), next(kStart) {}
    void fire() {
      ++count;
      if (victim) victim->cancel();
      next += milliseconds(7);
      if (count < 100) wheel.arm(timer, next);
    }
  };
  TimerWheel wheel(kStart);
  Chain chain(wheel);
  Alarm victim;
  chain.victim = &victim.timer;
  wheel.arm(victim.timer, kStart + milliseconds(1));
  wheel.arm(chain.timer, kStart + milliseconds(1));
  for (int i = 0; i <= 2000; ++i) wheel.advance(kStart + milliseconds(i));
  EXPECT_EQ(chain.count, 100);
  EXPECT_LE(victim.fired, 1);
}

TEST(TimerWheelTest, WaitsNeverTooLong) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    TimerWheel wheel(kStart);
    std::vector<std::unique_ptr<Alarm>> alarms;
    std::vector<Monotonic> due;
    for (int i = 0; i < 40; ++i) {
      const auto scale = uint64_t{1} << (random() % 24);
      due.push_back(kStart + milliseconds(1 + random() % scale));
      alarms.push_back(std::make_unique<Alarm>());
      wheel.arm(alarms.back()->timer, due.back());
    }
    Monotonic now = kStart;
    size_t fired = 0;
    for (int turns = 0; turns < 100'000 && fired < alarms.size(); ++turns) {
      const int wait = wheel.wait_ms(now);
      ASSERT_GE(wait, 0);
      now += milliseconds(std::max(wait, 1));
      wheel.advance(now);
      fired = 0;
      for (size_t i = 0; i < alarms.size(); ++i) {
        fired += static_cast<size_t>(alarms[i]->fired);
        ASSERT_EQ(alarms[i]->fired, now >= due[i] ? 1 : 0);
      }
    }
    EXPECT_EQ(fired, alarms.size());
  }
}

TEST(TimerWheelTest, BeyondTheLastLevelItComesInTime) {
  TimerWheel wheel(kStart);
  Alarm alarm;
  const auto far = hours(24 * 30);
  wheel.arm(alarm.timer, kStart + far);
  wheel.advance(kStart + far - hours(1));
  EXPECT_EQ(alarm.fired, 0);
  wheel.advance(kStart + far + milliseconds(1));
  EXPECT_EQ(alarm.fired, 1);
}

}  // namespace
}  // namespace sallyport::proxy
