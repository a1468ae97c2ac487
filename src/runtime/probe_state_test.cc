#include "runtime/probe_state.h"

#include <gtest/gtest.h>

namespace sallyport::runtime {
namespace {

using std::chrono::seconds;
using Kinds = std::vector<ProbeKind>;

class ProbeStateTest : public ::testing::Test {
 protected:
  static k8s::Probe probe(int delay, int period, int failures, int successes = 1) {
    k8s::Probe made;
    made.initial_delay_seconds = delay;
    made.period_seconds = period;
    made.failure_threshold = failures;
    made.success_threshold = successes;
    return made;
  }
  Monotonic at(int second) const { return start_ + seconds(second); }
  Monotonic start_ = Monotonic() + seconds(1000);
};

TEST_F(ProbeStateTest, WithoutProbesReadyWhileRunning) {
  ProbeState state({}, {}, {});
  EXPECT_FALSE(state.started());
  EXPECT_FALSE(state.ready());
  state.begin(at(0));
  EXPECT_TRUE(state.started());
  EXPECT_TRUE(state.ready());
  EXPECT_EQ(state.due(at(100)), Kinds{});
  state.end();
  EXPECT_FALSE(state.ready());
}

TEST_F(ProbeStateTest, ReadinessFollowsThresholds) {
  ProbeState state({}, probe(2, 5, 2, 2), {});
  state.begin(at(0));
  EXPECT_FALSE(state.ready());
  EXPECT_EQ(state.due(at(1)), Kinds{}) << "initialDelaySeconds";
  EXPECT_EQ(state.due(at(2)), Kinds{ProbeKind::kReadiness});
  EXPECT_EQ(state.due(at(3)), Kinds{}) << "one at a time";
  state.result(ProbeKind::kReadiness, true, "", at(3));
  EXPECT_FALSE(state.ready()) << "successThreshold is 2";
  EXPECT_EQ(state.due(at(6)), Kinds{}) << "the period counts from the probe before";
  EXPECT_EQ(state.due(at(7)), Kinds{ProbeKind::kReadiness});
  state.result(ProbeKind::kReadiness, true, "", at(7));
  EXPECT_TRUE(state.ready());
  ASSERT_EQ(state.due(at(12)).size(), 1u);
  state.result(ProbeKind::kReadiness, false, "no", at(12));
  EXPECT_TRUE(state.ready()) << "failureThreshold is 2";
  ASSERT_EQ(state.due(at(17)).size(), 1u);
  state.result(ProbeKind::kReadiness, false, "no", at(17));
  EXPECT_FALSE(state.ready());
  EXPECT_FALSE(state.take_failure()) << "readiness never restarts a container";
}

TEST_F(ProbeStateTest, ASuccessBetweenFailuresCountsFromZero) {
  ProbeState state({}, {}, probe(0, 1, 2));
  state.begin(at(0));
  bool results[] = {false, true, false, true};
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(state.due(at(i)).size(), 1u);
    state.result(ProbeKind::kLiveness, results[i], "no", at(i));
    EXPECT_FALSE(state.take_failure());
  }
}

TEST_F(ProbeStateTest, LivenessRestartsOnceAndWaitsForTheNextRun) {
  ProbeState state({}, {}, probe(0, 1, 2));
  state.begin(at(0));
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(state.due(at(i)).size(), 1u);
    EXPECT_FALSE(state.take_failure());
    state.result(ProbeKind::kLiveness, false, "refused", at(i));
  }
  EXPECT_EQ(state.take_failure(), "liveness probe failed: refused");
  EXPECT_FALSE(state.take_failure());
  EXPECT_EQ(state.due(at(50)), Kinds{});
  state.begin(at(60));
  EXPECT_EQ(state.due(at(60)), Kinds{ProbeKind::kLiveness});
}

TEST_F(ProbeStateTest, StartupHoldsTheOthersBack) {
  ProbeState state(probe(0, 1, 3), probe(0, 1, 1), probe(0, 1, 1));
  state.begin(at(0));
  EXPECT_EQ(state.due(at(0)), Kinds{ProbeKind::kStartup});
  state.result(ProbeKind::kStartup, false, "no", at(0));
  EXPECT_FALSE(state.started());
  EXPECT_EQ(state.due(at(1)), Kinds{ProbeKind::kStartup});
  state.result(ProbeKind::kStartup, true, "", at(1));
  EXPECT_TRUE(state.started());
  EXPECT_FALSE(state.ready());
  EXPECT_EQ(state.due(at(2)), (Kinds{ProbeKind::kReadiness, ProbeKind::kLiveness}));
}

TEST_F(ProbeStateTest, StartupThatNeverPassesRestarts) {
  ProbeState state(probe(0, 1, 2), {}, {});
  state.begin(at(0));
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(state.due(at(i)).size(), 1u);
    state.result(ProbeKind::kStartup, false, "timed out", at(i));
  }
  EXPECT_EQ(state.take_failure(), "startup probe failed: timed out");
}

TEST_F(ProbeStateTest, ResultsOfAnEarlierRunAreForgotten) {
  ProbeState state({}, probe(0, 1, 1), {});
  state.begin(at(0));
  ASSERT_EQ(state.due(at(0)).size(), 1u);
  state.begin(at(1));
  state.result(ProbeKind::kReadiness, true, "", at(1));
  EXPECT_FALSE(state.ready());
}

TEST_F(ProbeStateTest, RestoredResultsHoldUntilTheyAreRefuted) {
  ProbeState state(probe(0, 1, 1), probe(0, 1, 1), {});
  state.begin(at(0));
  state.restore(true, true);
  EXPECT_TRUE(state.ready());
  EXPECT_EQ(state.due(at(0)), Kinds{ProbeKind::kReadiness});
  state.result(ProbeKind::kReadiness, false, "no", at(0));
  EXPECT_FALSE(state.ready());
}

}  // namespace
}  // namespace sallyport::runtime
