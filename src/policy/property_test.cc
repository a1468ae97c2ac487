// The compiler and the reference evaluator agree on random worlds: verdict and deciding rule.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/strings.h"
#include "policy/random_world.h"

namespace sallyport::policy {
namespace {

using testing::RandomWorld;

std::string describe(const DirectionVerdict& v) {
  std::ostringstream out;
  out << (v.allow ? "allow" : "deny") << " by [" << v.policy << "] rule "
      << (v.rule ? std::to_string(*v.rule) : "-") << " isolated by [" << join(v.isolated_by, ",")
      << "]";
  return out.str();
}

// The probes take turns over the pairs: 4 has no factor in common with their number, so that every
// pair sees every probe in some world.
constexpr size_t kProbesPerPair = 4;

// Asks every pair of addresses; returns how many connections were denied.
size_t compare(const RandomWorld& random, bool with_cluster, uint64_t seed, size_t& asked) {
  const world::World& world = random.world();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules, with_cluster);
  const auto probes = RandomWorld::probes();
  size_t denied = 0, next = seed;
  for (Family family : {Family::kV4, Family::kV6}) {
    std::vector<Ip> addresses = random.addresses(family);
    for (const Ip& from : addresses) {
      for (const Ip& to : addresses) {
        if (from == to) continue;
        for (size_t i = 0; i < kProbesPerPair; ++i) {
          auto [protocol, port] = probes[next++ % probes.size()];
          Query query{nullptr, nullptr, from, to, protocol, port, family};
          Verdict expected = evaluate(world, query);
          // In the kernel the node's own traffic does not reach the gate.
          if (expected.ingress.reason == Reason::kNode) continue;
          Verdict got = testing::compiled_verdict(compiled, rules, from, to, protocol, port);
          ++asked;
          denied += expected.allow ? 0 : 1;
          if (expected.allow == got.allow && describe(expected.egress) == describe(got.egress) &&
              describe(expected.ingress) == describe(got.ingress))
            continue;
          ADD_FAILURE() << "seed " << seed << ": " << from.to_string() << " -> " << to.to_string()
                        << " " << k8s::to_string(protocol) << " " << port
                        << "\n  egress:  evaluator " << describe(expected.egress)
                        << "\n           compiled  " << describe(got.egress)
                        << "\n  ingress: evaluator " << describe(expected.ingress)
                        << "\n           compiled  " << describe(got.ingress);
          return denied;
        }
      }
    }
  }
  return denied;
}

uint64_t first_seed() {
  const char* given = std::getenv("SALLYPORT_SEED");
  auto parsed = given == nullptr ? std::nullopt : parse_number<uint64_t>(given);
  return parsed.value_or(20260101);
}

void run(bool with_cluster, uint64_t worlds) {
  uint64_t seed = first_seed();
  std::printf("seeds %llu to %llu (SALLYPORT_SEED=N starts elsewhere)\n",
              static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(seed + worlds - 1));
  size_t asked = 0, denied = 0;
  for (uint64_t i = 0; i < worlds && !::testing::Test::HasFailure(); ++i) {
    RandomWorld random(seed + i, {.cluster_policies = with_cluster});
    denied += compare(random, with_cluster, seed + i, asked);
  }
  // Worlds in which nothing is denied, or everything, would show nothing.
  EXPECT_GT(denied, asked / 10);
  EXPECT_LT(denied, asked * 9 / 10);
}

TEST(Property, CompiledEqualsEvaluatorForNetworkPolicy) {
  run(false, 1500);
}
TEST(Property, CompiledEqualsEvaluatorWithClusterNetworkPolicy) {
  run(true, 1500);
}

// The node enforces NetworkPolicy alone: cluster policies in the world then change nothing.
TEST(Property, ClusterPoliciesAreLeftOutOnRequest) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomWorld random(seed, {.cluster_policies = true});
    world::World without = random.world();
    without.cluster_policies.clear();
    RuleRegistry rules_a, rules_b;
    Compiled a = compile(random.world(), rules_a, false);
    Compiled b = compile(without, rules_b, true);
    ASSERT_EQ(a.programs, b.programs) << "seed " << seed;
    ASSERT_EQ(a.programs_of, b.programs_of) << "seed " << seed;
    ASSERT_EQ(rules_a.next(), rules_b.next()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sallyport::policy
