// What the tables look like: shared where they can be, stable where they must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "policy/random_world.h"
#include "policy/rule_hash.h"

namespace sallyport::policy {
namespace {

using namespace testing;  // NOLINT: short words for worlds
using enum k8s::Protocol;
using Rules = std::vector<k8s::NetworkPolicyRule>;

TEST(Compiler, AnEmptyWorldDecidesNothing) {
  world::World world;
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  EXPECT_TRUE(compiled.endpoints.empty() && compiled.cidrs.empty() && compiled.sets.empty());
  EXPECT_TRUE(compiled.decide(ip("198.18.0.1"), ip("198.18.0.2"), 6, 80).allow);
}

TEST(Compiler, ReplicasShareClassAndSets) {
  world::World world;
  for (int i = 1; i <= 20; ++i)
    world.endpoints.push_back(pod("x/web-" + std::to_string(i), {{"app", "web"}},
                                  {"198.18.0." + std::to_string(i), "fd00::" + std::to_string(i)},
                                  {{"http", 8080, kTcp}}));
  add(world,
      network_policy("x", "p", labelled({{"app", "web"}}),
                     Rules{rule({pods(labelled({{"app", "web"}}))}, {port("http")})}, Rules{}));
  world.revision = 42;
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  EXPECT_EQ(compiled.revision, 42U);
  EXPECT_EQ(compiled.endpoints.size(), 40U);
  EXPECT_EQ(compiled.sets.size(), 2U);
  EXPECT_EQ(compiled.programs_of.size(), 1U);
  for (const EndpointEntry& entry : compiled.endpoints) {
    EXPECT_EQ(entry.peer_class, compiled.endpoints[0].peer_class);
    EXPECT_EQ(compiled.sets[entry.egress_set - 1].direction, Direction::kEgress);
    EXPECT_EQ(compiled.sets[entry.ingress_set - 1].direction, Direction::kIngress);
  }
  EXPECT_TRUE(std::is_sorted(
      compiled.endpoints.begin(), compiled.endpoints.end(),
      [](const EndpointEntry& a, const EndpointEntry& b) { return a.address < b.address; }));
}

// Forty classes of pods, and every set opens a port to all of them: without a default for most
// classes there would be forty entries for each set.
TEST(Compiler, TheProgramOfMostClassesIsTheDefault) {
  world::World world;
  for (int i = 1; i <= 40; ++i) {
    std::string n = std::to_string(i);
    world.endpoints.push_back(pod("x/" + n, {{"app", n}}, {"198.18.0." + n}));
    add(world, network_policy("x", "p" + n, labelled({{"app", n}}),
                              Rules{rule({pods(labelled({{"app", n}}))}, {port(80)}),
                                    rule({namespaces(everything())}, {port(81)})}));
  }
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  EXPECT_EQ(compiled.sets.size(), 40U);
  EXPECT_EQ(compiled.programs_of.size(), 80U);  // for each set: its own pod, and the outside
  EXPECT_TRUE(compiled.decide(ip("198.18.0.1"), ip("198.18.0.2"), 6, 81).allow);
  EXPECT_FALSE(compiled.decide(ip("198.18.0.1"), ip("198.18.0.2"), 6, 80).allow);
  EXPECT_FALSE(compiled.decide(ip("198.19.200.1"), ip("198.18.0.2"), 6, 81).allow);
}

TEST(Compiler, ANamedPortSplitsOnlyTheIngressSetsThatUseIt) {
  world::World world;
  world.endpoints = {pod("x/a", {}, {"198.18.0.1"}, {{"http", 80, kTcp}}),
                     pod("x/b", {}, {"198.18.0.2"}, {{"http", 81, kTcp}}),
                     pod("y/a", {}, {"198.18.0.3"}, {{"http", 80, kTcp}}),
                     pod("y/b", {}, {"198.18.0.4"}, {{"http", 81, kTcp}})};
  add(world, network_policy("x", "p", everything(), Rules{rule({}, {port("http")})}));
  add(world, network_policy("y", "p", everything(), Rules{rule({}, {port(80)})}));
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  EXPECT_NE(compiled.endpoints[0].ingress_set, compiled.endpoints[1].ingress_set);
  EXPECT_EQ(compiled.endpoints[2].ingress_set, compiled.endpoints[3].ingress_set);
}

TEST(Compiler, HostNetworkAndTerminatedPodsAreNoEndpoints) {
  world::World world;
  world.endpoints = {pod("x/a", {}, {"198.18.0.1"}), pod("x/host", {}, {"198.19.0.1"}),
                     pod("x/old", {}, {"198.18.0.1"}), pod("x/twice", {}, {"198.18.0.9"})};
  world.endpoints[1].host_network = true;
  world.endpoints[2].terminated = true;
  world.endpoints[3].ips.push_back(world.endpoints[3].ips[0]);
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  ASSERT_EQ(compiled.endpoints.size(), 2U);
  EXPECT_EQ(compiled.endpoints[0].address, ip("198.18.0.1"));
  EXPECT_EQ(compiled.endpoints[1].address, ip("198.18.0.9"));
}

TEST(Compiler, PrefixesThatAnswerNothingNewAreLeftOut) {
  world::World world;
  world.endpoints = {pod("x/a", {}, {"198.18.0.1"})};
  add(world, network_policy(
                 "x", "p", everything(),
                 Rules{rule({block("198.18.0.0/16", {"198.18.4.0/24"}), block("198.18.4.0/24")}),
                       rule({block("::/0")})}));
  world.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world, rules);
  std::set<std::string> found;
  for (const CidrEntry& entry : compiled.cidrs) found.insert(entry.cidr.to_string());
  EXPECT_EQ(found, (std::set<std::string>{"0.0.0.0/0", "198.18.0.0/16", "198.18.4.0/24", "::/0"}));
}

TEST(Compiler, ProgramsAreDeduplicatedAndWellFormed) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomWorld random(seed, {.cluster_policies = true});
    RuleRegistry rules;
    Compiled compiled = compile(random.world(), rules, true);
    for (size_t i = 0; i < compiled.programs.size(); ++i) {
      const PortProgram& program = compiled.programs[i];
      EXPECT_EQ(std::count(compiled.programs.begin(), compiled.programs.end(), program), 1);
      for (const auto* pieces : {&program.tcp, &program.udp, &program.sctp}) {
        ASSERT_FALSE(pieces->empty());
        EXPECT_EQ(pieces->front().first_port, 0);
        for (size_t p = 1; p < pieces->size(); ++p)
          EXPECT_LT((*pieces)[p - 1].first_port, (*pieces)[p].first_port);
      }
    }
    for (size_t i = 0; i < compiled.sets.size(); ++i) {
      EXPECT_EQ(compiled.sets[i].id, i + 1);
      EXPECT_LT(compiled.sets[i].default_program, compiled.programs.size());
    }
    for (const auto& [key, program] : compiled.programs_of) {
      SetId set = static_cast<SetId>(key >> 32);
      ASSERT_TRUE(set >= 1 && set <= compiled.sets.size());
      EXPECT_LT(program, compiled.programs.size());
      EXPECT_NE(program, compiled.sets[set - 1].default_program);
    }
  }
}

TEST(Compiler, RuleIdsOutliveACompilationAndChangeWithTheRule) {
  world::World world;
  world.endpoints = {pod("x/a", {}, {"198.18.0.1"}), pod("x/b", {}, {"198.18.0.2"})};
  add(world,
      network_policy("x", "p", everything(), Rules{rule({}, {port(80)}), rule({}, {port(81)})}));
  world.finish();
  RuleRegistry rules;
  auto decide = [&](uint16_t number) {
    return compile(world, rules).decide(ip("198.18.0.1"), ip("198.18.0.2"), 6, number);
  };
  RuleId first = decide(80).ingress_rule, second = decide(81).ingress_rule;
  RuleId denied = decide(82).ingress_rule;
  EXPECT_EQ(decide(80).ingress_rule, first);

  auto changed = std::make_shared<k8s::NetworkPolicy>(*world.network_policies[0]);
  changed->ingress[0].ports[0].port = k8s::IntOrString{82, ""};
  world.network_policies[0] = changed;
  EXPECT_GT(decide(82).ingress_rule, denied);
  EXPECT_EQ(decide(81).ingress_rule, second);
  EXPECT_EQ(decide(80).ingress_rule, denied);
  EXPECT_EQ(rules.find(denied)->reason, Reason::kImplicitDeny);
  EXPECT_EQ(rules.find(denied)->isolated_by, (std::vector<std::string>{"x/p"}));

  // Another policy that isolates the pod is another reason to deny.
  add(world, network_policy("x", "q", everything(), Rules{}));
  EXPECT_GT(decide(80).ingress_rule, denied);
}

TEST(Compiler, TheSameWorldGivesTheSameTables) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    RandomWorld random(seed, {.cluster_policies = true});
    RuleRegistry rules, others;
    Compiled a = compile(random.world(), rules, true);
    Compiled b = compile(random.world(), rules, true);
    Compiled c = compile(random.world(), others, true);
    EXPECT_EQ(a.programs, b.programs);
    EXPECT_EQ(a.programs, c.programs);
    EXPECT_EQ(a.programs_of, b.programs_of);
  }
}

TEST(RuleHash, ChangesWithEveryField) {
  using Op = k8s::LabelRequirement::Op;
  std::vector<k8s::NetworkPolicyRule> different = {
      rule({}),
      rule({}, {any_port(kTcp)}),
      rule({}, {any_port(kUdp)}),
      rule({}, {port(80)}),
      rule({}, {port(80, kTcp, 80)}),
      rule({}, {port(80, kTcp, 81)}),
      rule({}, {port("80x")}),
      rule({}, {port(80), port(81)}),
      rule({pods(everything())}),
      rule({namespaces(everything())}),
      rule({pods_in(everything(), everything())}),
      rule({pods(labelled({{"a", "bc"}}))}),
      rule({pods(labelled({{"ab", "c"}}))}),
      rule({pods(expression("a", Op::kIn, {"b", "c"}))}),
      rule({pods(expression("a", Op::kIn, {"bc"}))}),
      rule({pods(expression("a", Op::kNotIn, {"bc"}))}),
      rule({pods(expression("a", Op::kExists))}),
      rule({block("198.18.0.0/16")}),
      rule({block("198.18.0.0/17")}),
      rule({block("198.18.0.0/16", {"198.18.0.0/24"})}),
      rule({block("198.18.0.0/16"), block("198.18.0.0/24")}),
  };
  std::set<uint64_t> hashes;
  for (const auto& one : different) hashes.insert(rule_hash(one));
  EXPECT_EQ(hashes.size(), different.size());
  EXPECT_EQ(rule_hash(different[3]), rule_hash(rule({}, {port(80)})));
}

TEST(RuleHash, ChangesWithEveryFieldOfAClusterRule) {
  std::vector<k8s::CnpRule> different(9);
  different[1].action = k8s::CnpAction::kDeny;
  different[2].peers.emplace_back();
  different[3].peers.push_back({k8s::CnpPods{}, {}, {}, {}});
  different[4].peers.push_back({{}, {cidr("198.18.0.0/16")}, {}, {}});
  different[5].peers.push_back({{}, {}, k8s::LabelSelector{}, {}});
  different[6].peers.push_back({{}, {}, {}, {"a.example"}});
  different[7].protocols.push_back({kTcp, 80, 80, ""});
  different[8].protocols.push_back({std::nullopt, 80, 80, "web"});
  std::set<uint64_t> hashes;
  for (const auto& one : different) hashes.insert(rule_hash(one));
  EXPECT_EQ(hashes.size(), different.size());
  // The name is only for people.
  k8s::CnpRule named;
  named.name = "x";
  EXPECT_EQ(rule_hash(named), rule_hash(different[0]));
}

}  // namespace
}  // namespace sallyport::policy
