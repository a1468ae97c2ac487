// The published conformance cases with real packets: TCP, UDP and crafted SCTP, IPv4 and IPv6,
// addresses and blocks mapped one to one into our ranges.
#include <gtest/gtest.h>

#include "kernel/baseline.h"
#include "kernel/verdict_check.h"
#include "policy/conformance_cases.h"

namespace sallyport::kernel_test {
namespace {

using policy::testing::ConformanceStep;
using policy::testing::Expectation;
using policy::testing::Mapping;

const std::string kData = SALLYPORT_SOURCE_DIR "/src/policy/testdata";

// Whole groups that say most about behaviour, and every eighth case of the large ones.
bool wanted(const ConformanceStep& step) {
  for (const char* group : {"action", "conflict", "example", "upstream-e2e"})
    if (step.group == group) return true;
  return step.index % 8 == 0;
}

std::vector<ConformanceStep> steps_of(Mapping mapping) {
  auto steps = policy::testing::conformance_cases(kData, mapping);
  EXPECT_TRUE(steps) << steps.error().message;
  std::vector<ConformanceStep> out;
  if (steps)
    for (ConformanceStep& step : *steps)
      if (wanted(step)) out.push_back(std::move(step));
  return out;
}

struct Count {
  size_t probes = 0, denied = 0, self = 0;
};

class KernelConformance : public ::testing::Test {
 protected:
  // One world for all cases: every pod that any of them has.
  void wire(const std::vector<ConformanceStep>& v4, const std::vector<ConformanceStep>& v6) {
    WorldPlan plan;
    std::map<std::string, Host> pods;
    for (const auto* steps : {&v4, &v6}) {
      for (const ConformanceStep& step : *steps) {
        for (const world::Endpoint& pod : step.world.endpoints) {
          Host& host = pods[pod.key()];
          host.name = pod.key();
          Ip& own = steps == &v4 ? host.v4 : host.v6;
          ASSERT_TRUE(own == Ip{} || own == pod.ips[0]) << pod.key() << " has two addresses";
          own = pod.ips[0];
        }
      }
    }
    for (const auto& [name, host] : pods) plan.hosts.push_back(host);
    plan.ports = {80, 81};
    plan.pod_ranges = {*Cidr::parse("198.18.0.0/16"), *Cidr::parse("fd00::/64")};
    auto built = WorldNet::build(plan, "conformance");
    ASSERT_TRUE(built) << built.error().message;
    net_ = std::move(*built);
    prober_ = std::make_unique<Prober>(*net_);
    Status measured = baseline_.measure(*net_, *prober_);
    ASSERT_TRUE(measured) << measured.error().message;
  }

  void TearDown() override {
    if (!net_) return;
    Status removed = net_->remove();
    EXPECT_TRUE(removed) << removed.error().message;
  }

  void check(ConformanceStep& step, Family family, Count& count) {
    for (world::Endpoint& pod : step.world.endpoints) pod.id = net_->find(pod.key())->endpoint_id;
    step.world.finish();
    auto generation = net_->publish(policy::compile(step.world, rules_));
    ASSERT_TRUE(generation) << generation.error().message;
    std::vector<Probe> probes;
    for (const Expectation& row : step.expected) {
      if (row.combined == "undefined") {
        ++count.self;
        continue;
      }
      Probe probe{net_->find(row.from), net_->find(row.to), family,
                  row.protocol,         row.port,           row.combined == "allowed"};
      ASSERT_TRUE(probe.expect_allow || row.combined == "blocked") << row.combined;
      ASSERT_TRUE(baseline_.holds(probe)) << probe.to_string();
      count.denied += probe.expect_allow ? 0 : 1;
      probes.push_back(probe);
    }
    auto outcomes = prober_->run(probes, true);
    ASSERT_TRUE(outcomes) << outcomes.error().message;
    for (size_t i = 0; i < probes.size(); ++i) {
      const Probe& probe = probes[i];
      ++count.probes;
      policy::Verdict verdict =
          policy::evaluate(step.world, {nullptr, nullptr, probe.from->ip(family),
                                        probe.to->ip(family), probe.protocol, probe.port, family});
      ASSERT_EQ(verdict.allow, probe.expect_allow) << "evaluator: " << probe.to_string();
      std::string wrong = differences(probe, (*outcomes)[i], verdict, rules_, *generation);
      EXPECT_TRUE(wrong.empty()) << "case " << step.index << " (" << step.group << ": "
                                 << step.description << "): " << probe.to_string() << wrong;
    }
  }

  policy::RuleRegistry rules_;
  std::unique_ptr<WorldNet> net_;
  std::unique_ptr<Prober> prober_;
  Baseline baseline_;
};

TEST_F(KernelConformance, RealPacketsAgreeWithThePublishedCases) {
  std::vector<ConformanceStep> v4 = steps_of(Mapping::kOurV4), v6 = steps_of(Mapping::kOurV6);
  ASSERT_EQ(v4.size(), v6.size());
  wire(v4, v6);
  if (HasFatalFailure()) return;
  std::map<std::string, std::set<int>> cases;
  Count count;
  for (size_t i = 0; i < v4.size() && !HasFailure(); ++i) {
    cases[v4[i].group].insert(v4[i].index);
    check(v4[i], Family::kV4, count);
    check(v6[i], Family::kV6, count);
  }
  EXPECT_EQ(cases["action"].size(), 6U);
  EXPECT_EQ(cases["conflict"].size(), 16U);
  EXPECT_EQ(cases["example"].size(), 1U);
  EXPECT_EQ(cases["upstream-e2e"].size(), 13U);
  EXPECT_GE(cases["peers"].size(), 112U / 8);
  EXPECT_GE(cases["port-protocol"].size(), 70U / 8);
  EXPECT_GT(count.denied, count.probes / 20);
  auto stats = net_->gate().stats();
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->events_lost, 0U);
  std::printf("%zu steps in each family, %zu probes, %zu of them denied, %zu to itself left out\n",
              v4.size(), count.probes, count.denied, count.self);
}

}  // namespace
}  // namespace sallyport::kernel_test
