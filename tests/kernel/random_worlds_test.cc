// Random worlds on real packets: what the kernel does is what the evaluator says, and the flow
// event of each probe names the evaluator's rule. SALLYPORT_SEED repeats a run, SALLYPORT_WORLDS
// sets the number of worlds.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "base/strings.h"
#include "kernel/baseline.h"
#include "kernel/verdict_check.h"
#include "policy/random_world.h"

namespace sallyport::kernel_test {
namespace {

using policy::testing::RandomWorld;

constexpr int kPods = 8;
constexpr size_t kProbesOfWorld = 500;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  return parse_number<uint64_t>(text).value_or(otherwise);
}

// RandomWorld gives its pods these addresses; the outside hosts are in and out of its blocks.
WorldPlan plan_of_random_worlds() {
  WorldPlan plan;
  auto ip = [](const std::string& text) { return policy::testing::ip(text); };
  for (int i = 1; i <= kPods; ++i) {
    Host host;
    host.name = "pod-" + std::to_string(i);
    host.v4 = ip("198.18.0." + std::to_string(i));
    host.v6 = ip("fd00:1::" + std::to_string(i));
    plan.hosts.push_back(host);
  }
  for (auto [v4, v6] : {std::pair{"198.19.128.9", "fd00:3::9"},
                        {"198.19.129.7", "fd00:2::1"},
                        {"198.19.200.77", "fdff::1"}}) {
    Host host;
    host.name = std::string("outside-") + v4;
    host.outside = true;
    host.v4 = ip(v4);
    host.v6 = ip(v6);
    plan.hosts.push_back(host);
  }
  Host node;
  node.name = "node";
  node.node = true;
  plan.hosts.push_back(node);
  plan.ports = {53, 80, 81, 8080, 9000};
  plan.pod_ranges = {*Cidr::parse("198.18.0.0/16"), *Cidr::parse("fd00:1::/64")};
  return plan;
}

class RandomWorlds : public ::testing::Test {
 protected:
  void SetUp() override {
    auto built = WorldNet::build(plan_of_random_worlds(), "random");
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

  // A pod of the plan that this world has; the others are in every world.
  static bool present(const world::World& world, const Host& host) {
    return !host.pod() || world.find_ip(host.v4) != nullptr;
  }

  std::unique_ptr<WorldNet> net_;
  std::unique_ptr<Prober> prober_;
  Baseline baseline_;
  policy::RuleRegistry rules_;
};

TEST_F(RandomWorlds, EnforcedVerdictsAreTheEvaluators) {
  uint64_t first = number_from(
      "SALLYPORT_SEED",
      static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  uint64_t worlds = number_from("SALLYPORT_WORLDS", 200);
  std::printf("SALLYPORT_SEED=%llu, %llu worlds\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(worlds));
  std::vector<Probe> every = Baseline::all_probes(*net_);
  size_t probed = 0, denied = 0, by_rule = 0;
  for (uint64_t seed = first; seed < first + worlds && !HasFailure(); ++seed) {
    SCOPED_TRACE("SALLYPORT_SEED=" + std::to_string(seed) + " SALLYPORT_WORLDS=1");
    RandomWorld random(seed, {.odd_pods = false, .most_pods = kPods});
    world::World world = random.world();
    world.nodes.clear();
    world.finish();
    auto generation = net_->publish(policy::compile(world, rules_));
    ASSERT_TRUE(generation) << generation.error().message;

    std::vector<Probe> probes;
    for (const Probe& probe : every)
      if (present(world, *probe.from) && present(world, *probe.to)) probes.push_back(probe);
    std::mt19937_64 shuffle(seed);
    std::shuffle(probes.begin(), probes.end(), shuffle);
    if (probes.size() > kProbesOfWorld) probes.resize(kProbesOfWorld);
    std::vector<policy::Verdict> verdicts;
    for (Probe& probe : probes) {
      ASSERT_TRUE(baseline_.holds(probe)) << probe.to_string();
      verdicts.push_back(policy::evaluate(
          world, {nullptr, nullptr, probe.from->ip(probe.family), probe.to->ip(probe.family),
                  probe.protocol, probe.port, probe.family}));
      probe.expect_allow = verdicts.back().allow;
    }
    auto outcomes = prober_->run(probes, true);
    ASSERT_TRUE(outcomes) << outcomes.error().message;
    for (size_t i = 0; i < probes.size(); ++i) {
      ++probed;
      denied += verdicts[i].allow ? 0 : 1;
      by_rule += verdicts[i].egress.reason == policy::Reason::kRule ||
                         verdicts[i].ingress.reason == policy::Reason::kRule
                     ? 1
                     : 0;
      std::string wrong = differences(probes[i], (*outcomes)[i], verdicts[i], rules_, *generation);
      EXPECT_TRUE(wrong.empty()) << probes[i].to_string() << wrong;
    }
  }
  EXPECT_GT(denied, probed / 20);
  EXPECT_GT(by_rule, probed / 20);
  auto stats = net_->gate().stats();
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->events_lost, 0U);
  EXPECT_EQ(stats->connection_overflows, 0U);
  std::printf("%zu probes, %zu denied, %zu decided by a rule\n", probed, denied, by_rule);
}

}  // namespace
}  // namespace sallyport::kernel_test
