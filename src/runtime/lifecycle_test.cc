#include "runtime/lifecycle.h"

#include <gtest/gtest.h>

namespace sallyport::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Lifecycle::Action::Kind;
using Actions = std::vector<Lifecycle::Action>;
using Phase = ContainerState::Phase;

class LifecycleTest : public ::testing::Test {
 protected:
  Lifecycle make(k8s::RestartPolicy policy, const std::vector<Lifecycle::Member>& members) {
    LifecycleOptions options;
    options.restart_policy = policy;
    Lifecycle made(options, members);
    made.begin();
    return made;
  }
  Monotonic at(int second) const { return start_ + seconds(second); }
  static Lifecycle::Exit code(int value) { return {value, 0, false}; }
  Monotonic start_ = Monotonic() + seconds(1000);
};

TEST_F(LifecycleTest, NothingBeforeBegin) {
  Lifecycle life({}, {{"a", false}});
  EXPECT_EQ(life.step(at(0)), Actions{});
  EXPECT_EQ(life.snapshot().phase, "Pending");
  life.begin();
  EXPECT_EQ(life.step(at(0)), (Actions{{Kind::kStart, 0}}));
  EXPECT_EQ(life.step(at(0)), Actions{}) << "each action once";
}

TEST_F(LifecycleTest, InitContainersInOrderThenAllContainers) {
  Lifecycle life =
      make(k8s::RestartPolicy::kAlways, {{"i1", true}, {"i2", true}, {"a", false}, {"b", false}});
  EXPECT_EQ(life.step(at(0)), (Actions{{Kind::kStart, 0}}));
  life.running(0, 5, at(0), 0);
  EXPECT_EQ(life.step(at(1)), Actions{});
  life.exited(0, code(0), at(1), 0);
  EXPECT_EQ(life.step(at(1)), (Actions{{Kind::kStart, 1}}));
  EXPECT_EQ(life.snapshot().phase, "Pending");
  life.running(1, 6, at(1), 0);
  life.exited(1, code(0), at(2), 0);
  EXPECT_EQ(life.step(at(2)), (Actions{{Kind::kStart, 2}, {Kind::kStart, 3}}));
  EXPECT_EQ(life.snapshot().phase, "Running");
}

TEST_F(LifecycleTest, FailedInitEndsThePodOnlyUnderNever) {
  Lifecycle never = make(k8s::RestartPolicy::kNever, {{"i", true}, {"a", false}});
  never.step(at(0));
  never.running(0, 5, at(0), 0);
  never.exited(0, code(1), at(0), 0);
  EXPECT_EQ(never.step(at(100)), Actions{});
  EXPECT_TRUE(never.finished());
  EXPECT_EQ(never.snapshot().phase, "Failed");

  Lifecycle retry = make(k8s::RestartPolicy::kOnFailure, {{"i", true}, {"a", false}});
  retry.step(at(0));
  retry.running(0, 5, at(0), 0);
  retry.exited(0, code(1), at(0), 0);
  EXPECT_EQ(retry.step(at(0)), (Actions{{Kind::kStart, 0}})) << "the first restart is immediate";
  EXPECT_EQ(retry.snapshot().phase, "Pending");
}

TEST_F(LifecycleTest, RestartPolicies) {
  struct Case {
    k8s::RestartPolicy policy;
    int exit;
    bool again;
  };
  for (const Case& c :
       {Case{k8s::RestartPolicy::kAlways, 0, true}, Case{k8s::RestartPolicy::kAlways, 1, true},
        Case{k8s::RestartPolicy::kOnFailure, 0, false},
        Case{k8s::RestartPolicy::kOnFailure, 1, true}, Case{k8s::RestartPolicy::kNever, 0, false},
        Case{k8s::RestartPolicy::kNever, 1, false}}) {
    Lifecycle life = make(c.policy, {{"a", false}});
    life.step(at(0));
    life.running(0, 5, at(0), 0);
    life.exited(0, code(c.exit), at(1), 0);
    EXPECT_EQ(life.step(at(1)).size(), c.again ? 1u : 0u);
    EXPECT_EQ(life.finished(), !c.again);
    EXPECT_EQ(life.snapshot().phase, c.again ? "Running" : c.exit ? "Failed" : "Succeeded");
  }
}

TEST_F(LifecycleTest, BackOffDoublesUpToItsCapAndIsForgottenAfterALongRun) {
  Lifecycle life = make(k8s::RestartPolicy::kAlways, {{"a", false}});
  ASSERT_EQ(life.step(at(0)).size(), 1u);
  Monotonic now = at(0);
  for (int delay : {0, 10, 20, 40, 80, 160, 300, 300}) {
    life.running(0, 5, now, 0);
    life.exited(0, code(1), now, 0);
    ASSERT_EQ(life.next_deadline(), now + seconds(delay));
    if (delay > 0) {
      EXPECT_EQ(life.step(now + seconds(delay) - milliseconds(1)), Actions{});
      EXPECT_EQ(life.snapshot().containers[0].reason, "CrashLoopBackOff");
      EXPECT_EQ(life.snapshot().containers[0].phase, Phase::kWaiting);
    }
    now += seconds(delay);
    ASSERT_EQ(life.step(now), (Actions{{Kind::kStart, 0}}));
  }
  EXPECT_EQ(life.snapshot().containers[0].restarts, 8);
  life.running(0, 5, now, 0);
  now += seconds(600);
  life.exited(0, code(1), now, 0);
  EXPECT_EQ(life.next_deadline(), now);
}

TEST_F(LifecycleTest, StartErrorsKeepTheirText) {
  Lifecycle life = make(k8s::RestartPolicy::kAlways, {{"a", false}});
  life.step(at(0));
  life.start_failed(0, "no command", at(0), 7);
  EXPECT_EQ(life.snapshot().containers[0].reason, "StartError: no command");
  EXPECT_EQ(life.snapshot().containers[0].exit_code, 128);
  ASSERT_EQ(life.step(at(0)).size(), 1u);
  life.start_failed(0, "no command", at(0), 7);
  EXPECT_EQ(life.step(at(9)), Actions{});
  EXPECT_EQ(life.step(at(10)).size(), 1u);
}

TEST_F(LifecycleTest, StopTermsThenKillsAndStartsNothing) {
  Lifecycle life = make(k8s::RestartPolicy::kAlways, {{"a", false}, {"b", false}});
  life.step(at(0));
  life.running(0, 5, at(0), 0);
  life.running(1, 6, at(0), 0);
  life.exited(1, code(1), at(0), 0);
  life.stop(30, at(1));
  EXPECT_EQ(life.step(at(1)), (Actions{{Kind::kTerm, 0}}));
  EXPECT_EQ(life.next_deadline(), at(31));
  EXPECT_EQ(life.step(at(30)), Actions{});
  life.stop(5, at(2));
  EXPECT_EQ(life.next_deadline(), at(7)) << "a second stop may shorten the grace period";
  EXPECT_EQ(life.step(at(7)), (Actions{{Kind::kKill, 0}}));
  EXPECT_FALSE(life.finished());
  life.exited(0, {137, 9, false}, at(7), 0);
  EXPECT_TRUE(life.finished());
  EXPECT_EQ(life.step(at(1000)), Actions{});
  EXPECT_EQ(life.snapshot().phase, "Failed");
}

TEST_F(LifecycleTest, StopBeforeBeginEndsThePod) {
  Lifecycle life({}, {{"a", false}});
  life.stop(30, at(0));
  EXPECT_TRUE(life.finished());
  EXPECT_EQ(life.snapshot().containers[0].phase, Phase::kTerminated);
  EXPECT_EQ(life.snapshot().containers[0].reason, "Stopped");
}

TEST_F(LifecycleTest, FailedLivenessRestartsEvenAfterExitZero) {
  Lifecycle life = make(k8s::RestartPolicy::kOnFailure, {{"a", false}});
  life.step(at(0));
  life.running(0, 5, at(0), 0);
  life.restart(0, "liveness probe failed: refused", 30, at(5));
  EXPECT_EQ(life.step(at(5)), (Actions{{Kind::kTerm, 0}}));
  life.restart(0, "again", 30, at(6));
  EXPECT_EQ(life.step(at(6)), Actions{}) << "one restart at a time";
  life.exited(0, code(0), at(7), 0);
  EXPECT_EQ(life.snapshot().containers[0].last_reason, "Error: liveness probe failed: refused");
  EXPECT_EQ(life.step(at(7)), (Actions{{Kind::kStart, 0}}));
}

TEST_F(LifecycleTest, OutOfMemoryIsNamed) {
  Lifecycle life = make(k8s::RestartPolicy::kNever, {{"a", false}});
  life.step(at(0));
  life.running(0, 5, at(0), 0);
  life.exited(0, {137, 9, true}, at(0), 9);
  EXPECT_EQ(life.snapshot().containers[0].reason, "OOMKilled");
  EXPECT_EQ(life.snapshot().containers[0].finished_ms, 9);
}

}  // namespace
}  // namespace sallyport::runtime
