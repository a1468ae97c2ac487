#include "proxy/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

namespace sallyport::proxy {
namespace {

struct Ends {
  Fd one, two;
  Ends() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    one = Fd(fds[0]);
    two = Fd(fds[1]);
  }
};

struct Counting final : IoHandler {
  void on_io(uint32_t events) override {
    ++count;
    seen |= events;
    if (then) then();
  }
  int count = 0;
  uint32_t seen = 0;
  std::function<void()> then;
};

struct Work final : TurnWork {
  explicit Work(std::string& log, const char* text) : out(log), name(text) {}
  void on_turn() override {
    out += name;
    if (then) then();
  }
  std::string& out;
  const char* name;
  std::function<void()> then;
};

class EventLoopTest : public ::testing::Test {
 protected:
  SystemClock clock_;
  std::unique_ptr<EventLoop> loop_ = EventLoop::create(clock_).value();
};

TEST_F(EventLoopTest, TellsEventsOnceWithEdges) {
  Ends ends;
  Counting handler;
  ASSERT_TRUE(loop_->add(ends.one.get(), EPOLLIN | EPOLLET, handler));
  ASSERT_EQ(::write(ends.two.get(), "x", 1), 1);
  loop_->turn(100);
  loop_->turn(0);
  EXPECT_EQ(handler.count, 1);
}

TEST_F(EventLoopTest, ARemovedHandlerHearsNothingMore) {
  Ends first, second;
  Counting a, b;
  // Whichever comes first removes the other in the same turn.
  a.then = [&] { loop_->remove(second.one.get(), b); };
  b.then = [&] { loop_->remove(first.one.get(), a); };
  ASSERT_TRUE(loop_->add(first.one.get(), EPOLLIN, a));
  ASSERT_TRUE(loop_->add(second.one.get(), EPOLLIN, b));
  ASSERT_EQ(::write(first.two.get(), "x", 1), 1);
  ASSERT_EQ(::write(second.two.get(), "x", 1), 1);
  loop_->turn(100);
  EXPECT_EQ(a.count + b.count, 1);
}

TEST_F(EventLoopTest, WorkIsDoneInItsPlaceAndOnce) {
  Ends ends;
  std::string log;
  Work soon(log, "s"), late(log, "l"), next(log, "n");
  Counting handler;
  handler.then = [&] {
    log += "e";
    loop_->at_turn_end(late);
    loop_->next_turn(next);
    loop_->after_event(soon);
    loop_->after_event(soon);
  };
  ASSERT_TRUE(loop_->add(ends.one.get(), EPOLLIN | EPOLLET, handler));
  ASSERT_EQ(::write(ends.two.get(), "x", 1), 1);
  loop_->turn(100);
  EXPECT_EQ(log, "esl");
  loop_->turn(10'000);  // does not wait: there is work
  EXPECT_EQ(log, "esln");
  loop_->turn(0);
  EXPECT_EQ(log, "esln");
}

TEST_F(EventLoopTest, WorkThatAsksForTheNextTurnGetsOnlyOneEach) {
  std::string log;
  Work again(log, "a");
  again.then = [&] { loop_->next_turn(again); };
  loop_->next_turn(again);
  loop_->turn(0);
  loop_->turn(0);
  EXPECT_EQ(log, "aa");
}

TEST_F(EventLoopTest, WorkThatDiesIsForgotten) {
  std::string log;
  Work stays(log, "s"), last(log, "t");
  {
    Work dies(log, "d"), dies_too(log, "e");
    loop_->at_turn_end(dies);
    loop_->at_turn_end(stays);
    loop_->at_turn_end(dies_too);
  }
  loop_->at_turn_end(last);
  loop_->turn(0);
  EXPECT_EQ(log, "st");
}

struct Grave final : Retired {
  explicit Grave(std::string& log, const char* text) : out(log), name(text) {}
  ~Grave() override { out += name; }
  std::string& out;
  const char* name;
};

TEST_F(EventLoopTest, RetiredObjectsDieAtTheTurnsEnd) {
  std::string log;
  loop_->retire_last(std::make_unique<Grave>(log, "z"));
  loop_->retire(std::make_unique<Grave>(log, "a"));
  EXPECT_EQ(log, "");
  loop_->turn(0);
  EXPECT_EQ(log, "az");
}

TEST_F(EventLoopTest, TasksOfOtherThreadsRunHere) {
  int ran = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop_->post([&] { ++ran; });
    loop_->post([&] { loop_->stop(); });
  });
  loop_->run();
  other.join();
  EXPECT_EQ(ran, 100);
}

TEST_F(EventLoopTest, TimersWakeTheLoop) {
  bool fired = false;
  Timer timer([](void* flag) { *static_cast<bool*>(flag) = true; }, &fired);
  const auto before = clock_.now();
  loop_->arm(timer, std::chrono::milliseconds(30));
  for (int i = 0; i < 100 && !fired; ++i) loop_->turn(5000);
  EXPECT_TRUE(fired);
  EXPECT_GE(clock_.now() - before, std::chrono::milliseconds(29));
  EXPECT_LT(clock_.now() - before, std::chrono::seconds(4));
}

}  // namespace
}  // namespace sallyport::proxy
