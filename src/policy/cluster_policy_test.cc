// ClusterNetworkPolicy v1alpha2: tiers, priorities, Pass, peers, and what fails closed. Each case
// asks the evaluator and the compiled tables.
#include <gtest/gtest.h>

#include "policy/test_support.h"

namespace sallyport::policy {
namespace {

using namespace testing;  // NOLINT: short words for worlds
using enum k8s::Protocol;
using enum k8s::CnpAction;
using enum k8s::CnpTier;
using Rules = std::vector<k8s::NetworkPolicyRule>;

k8s::CnpPeer all_pods() {
  k8s::CnpPeer out;
  out.pods = k8s::CnpPods{};
  return out;
}
k8s::CnpPeer networks(const std::vector<std::string>& texts) {
  k8s::CnpPeer out;
  for (const std::string& text : texts) out.networks.push_back(cidr(text));
  return out;
}

k8s::CnpRule act(k8s::CnpAction action, std::vector<k8s::CnpPeer> peers,
                 std::vector<k8s::CnpProtocol> protocols = {}) {
  return {"", action, std::move(peers), std::move(protocols)};
}

k8s::CnpProtocol tcp(int first, int last) {
  return {kTcp, first, last, ""};
}

class Cnp : public ::testing::Test {
 protected:
  Cnp() {
    world_.namespaces["x"] = {{"team", "red"}};
    world_.endpoints = {
        pod("x/a", {{"app", "a"}}, {"198.18.1.1", "fd00::1:1"}, {{"web", 80, kTcp}}),
        pod("y/b", {{"app", "b"}}, {"198.18.2.1", "fd00::2:1"}, {{"web", 8080, kUdp}})};
    world_.nodes = {{"n1", {{"zone", "one"}}, {ip("198.19.0.1")}},
                    {"n2", {{"zone", "two"}}, {ip("198.19.0.2")}}};
  }

  k8s::ClusterNetworkPolicy& cluster(const std::string& name, k8s::CnpTier tier, int priority) {
    auto policy = std::make_shared<k8s::ClusterNetworkPolicy>();
    policy->meta.name = name;
    policy->tier = tier;
    policy->priority = priority;
    policy->subject.namespace_selector = labelled({{"team", "red"}});
    world_.cluster_policies.push_back(policy);
    return *policy;
  }

  Verdict verdict(const std::string& from, const std::string& to, k8s::Protocol protocol,
                  uint16_t port) {
    world_.finish();
    Query query{nullptr, nullptr, ip(from), ip(to), protocol, port, ip(from).family()};
    Verdict out = evaluate(world_, query);
    RuleRegistry rules;
    Compiled compiled = compile(world_, rules, true);
    Verdict tables = compiled_verdict(compiled, rules, query.from, query.to, protocol, port);
    EXPECT_EQ(tables.allow, out.allow) << from << " -> " << to;
    EXPECT_EQ(tables.ingress.policy, out.ingress.policy);
    EXPECT_EQ(tables.egress.policy, out.egress.policy);
    return out;
  }
  DirectionVerdict ingress(k8s::Protocol protocol = kTcp, uint16_t port = 80) {
    return verdict("198.18.2.1", "198.18.1.1", protocol, port).ingress;
  }
  DirectionVerdict egress(const std::string& to, k8s::Protocol protocol = kTcp,
                          uint16_t port = 80) {
    return verdict("198.18.1.1", to, protocol, port).egress;
  }
  void isolate() { add(world_, network_policy("x", "np", everything(), Rules{}, Rules{})); }

  world::World world_;
};

TEST_F(Cnp, AdminComesBeforeNetworkPolicy) {
  isolate();
  cluster("admin", kAdmin, 1).ingress = {act(kAccept, {all_pods()}, {tcp(80, 80)})};
  EXPECT_TRUE(ingress().allow);
  EXPECT_EQ(ingress().policy, "ClusterNetworkPolicy/admin");
  EXPECT_EQ(ingress().rule, 0);
  EXPECT_FALSE(ingress(kTcp, 81).allow);
  EXPECT_EQ(ingress(kTcp, 81).policy, "x/np");
}

TEST_F(Cnp, LowerPriorityNumbersWinThenNamesThenRuleOrder) {
  cluster("a-late", kAdmin, 20).ingress = {act(kAccept, {all_pods()})};
  cluster("c", kAdmin, 10).ingress = {act(kAccept, {all_pods()})};
  cluster("b", kAdmin, 10).ingress = {act(kDeny, {all_pods()}, {tcp(81, 90)}),
                                      act(kAccept, {all_pods()}, {tcp(80, 85)})};
  EXPECT_EQ(ingress(kTcp, 80).policy, "ClusterNetworkPolicy/b");
  EXPECT_EQ(ingress(kTcp, 80).rule, 1);
  EXPECT_FALSE(ingress(kTcp, 85).allow);
  EXPECT_EQ(ingress(kTcp, 91).policy, "ClusterNetworkPolicy/c");
}

TEST_F(Cnp, APolicyWithoutRulesForADirectionDoesNotConcernIt) {
  cluster("admin", kAdmin, 1).egress = {act(kDeny, {all_pods()})};
  EXPECT_TRUE(ingress().allow);
  EXPECT_EQ(ingress().reason, Reason::kNotIsolated);
  EXPECT_FALSE(egress("198.18.2.1").allow);
}

TEST_F(Cnp, AdminPassGoesOnToNetworkPolicyAndThenToBaseline) {
  cluster("first", kAdmin, 1).ingress = {act(kPass, {all_pods()}, {tcp(80, 81)})};
  cluster("second", kAdmin, 2).ingress = {act(kDeny, {all_pods()})};
  cluster("base", kBaseline, 1).ingress = {act(kDeny, {all_pods()}, {tcp(81, 81)})};
  EXPECT_EQ(ingress(kTcp, 80).reason, Reason::kNotIsolated);
  EXPECT_EQ(ingress(kTcp, 81).policy, "ClusterNetworkPolicy/base");
  EXPECT_EQ(ingress(kTcp, 82).policy, "ClusterNetworkPolicy/second");
  add(world_, network_policy("x", "np", everything(), Rules{rule({}, {port(81)})}));
  EXPECT_EQ(ingress(kTcp, 80).policy, "x/np");
  EXPECT_FALSE(ingress(kTcp, 80).allow);
  EXPECT_TRUE(ingress(kTcp, 81).allow);
}

TEST_F(Cnp, BaselineIsForPodsThatNetworkPolicyDoesNotIsolateInTheDirection) {
  auto& base = cluster("base", kBaseline, 1);
  base.ingress = base.egress = {act(kDeny, {all_pods()})};
  EXPECT_EQ(ingress().policy, "ClusterNetworkPolicy/base");
  // A policy for egress alone leaves Baseline in force for ingress.
  add(world_, network_policy("x", "np", everything(), std::nullopt, Rules{rule({})}));
  EXPECT_FALSE(ingress().allow);
  EXPECT_TRUE(egress("198.18.2.1").allow);
}

TEST_F(Cnp, ABaselineAcceptOpensNothingForAnIsolatedPod) {
  cluster("base", kBaseline, 1).ingress = {act(kAccept, {all_pods()})};
  EXPECT_TRUE(ingress().allow);
  isolate();
  EXPECT_FALSE(ingress().allow);
  EXPECT_EQ(ingress().policy, "x/np");
}

TEST_F(Cnp, BaselinePassIsTheDefaultAllow) {
  cluster("one", kBaseline, 1).ingress = {act(kPass, {all_pods()}, {tcp(80, 80)})};
  cluster("two", kBaseline, 2).ingress = {act(kDeny, {all_pods()})};
  EXPECT_EQ(ingress(kTcp, 80).reason, Reason::kNotIsolated);
  EXPECT_FALSE(ingress(kTcp, 81).allow);
}

TEST_F(Cnp, NetworksIncludePodsAndEveryProtocol) {
  cluster("admin", kAdmin, 1).egress = {act(kDeny, {networks({"0.0.0.0/0"})})};
  EXPECT_FALSE(egress("198.18.2.1").allow);
  EXPECT_FALSE(egress("198.19.200.1", kIcmp, 0).allow);
  EXPECT_TRUE(verdict("fd00::1:1", "fd00::2:1", kTcp, 80).allow);
}

TEST_F(Cnp, NodesAreTheAddressesOfTheSelectedNodes) {
  k8s::CnpPeer nodes;
  nodes.nodes = labelled({{"zone", "one"}});
  cluster("admin", kAdmin, 1).egress = {act(kDeny, {nodes})};
  EXPECT_FALSE(egress("198.19.0.1").allow);
  EXPECT_TRUE(egress("198.19.0.2").allow);
}

TEST_F(Cnp, ANamedPortIsTheDestinationsWithItsOwnProtocol) {
  cluster("admin", kAdmin, 1).egress = {act(kDeny, {all_pods()}, {{std::nullopt, 0, 0, "web"}})};
  EXPECT_FALSE(egress("198.18.2.1", kUdp, 8080).allow);
  EXPECT_TRUE(egress("198.18.2.1", kTcp, 8080).allow);
  EXPECT_TRUE(egress("198.18.2.1", kUdp, 80).allow);
}

TEST_F(Cnp, AnUnknownPeerFailsClosed) {
  cluster("admin", kAdmin, 5).ingress = {act(kAccept, {all_pods(), {}})};
  isolate();
  EXPECT_EQ(ingress().policy, "x/np");
  EXPECT_FALSE(ingress().allow);
  for (k8s::CnpAction action : {kDeny, kPass}) {
    world_.cluster_policies.clear();
    world_.network_policies.clear();
    cluster("closed", kAdmin, 1).ingress = {act(action, {k8s::CnpPeer{}}, {tcp(1, 1)})};
    EXPECT_FALSE(ingress(kIcmp, 0).allow);
    EXPECT_EQ(ingress().policy, "ClusterNetworkPolicy/closed");
  }
}

TEST_F(Cnp, AnUnknownProtocolFailsClosed) {
  cluster("closed", kAdmin, 1).ingress = {act(kDeny, {all_pods()}, {{std::nullopt, 0, 0, ""}})};
  EXPECT_FALSE(verdict("198.19.200.1", "198.18.1.1", kTcp, 9).allow);
}

// Names are not resolved: an Accept rule for them opens nothing, and its other peers still count.
TEST_F(Cnp, DomainNamesMatchNothing) {
  k8s::CnpPeer names;
  names.domain_names = {"*.example.com"};
  isolate();
  cluster("admin", kAdmin, 1).egress = {act(kAccept, {names, networks({"198.19.200.0/24"})})};
  EXPECT_TRUE(egress("198.19.200.1").allow);
  EXPECT_FALSE(egress("198.19.201.1").allow);
}

TEST_F(Cnp, HostNetworkPodsAreNeverSubjects) {
  world_.endpoints.push_back(pod("x/host", {}, {"198.19.0.2"}));
  world_.endpoints.back().host_network = true;
  cluster("admin", kAdmin, 1).ingress = {act(kDeny, {all_pods()})};
  EXPECT_TRUE(verdict("198.18.2.1", "198.19.0.2", kTcp, 80).allow);
}

TEST_F(Cnp, TheOwnNodeIsExemptInEveryTier) {
  for (world::Endpoint& endpoint : world_.endpoints) endpoint.node = "n1";
  auto& admin = cluster("admin", kAdmin, 1);
  k8s::CnpPeer anyone;
  anyone.networks = {cidr("0.0.0.0/0")};
  admin.ingress = {act(kDeny, {anyone})};
  world_.finish();
  Query query{nullptr, nullptr, ip("198.19.0.1"), ip("198.18.1.1"), kTcp, 80, Family::kV4};
  EXPECT_EQ(evaluate(world_, query).ingress.reason, Reason::kNode);
  EXPECT_FALSE(verdict("198.19.0.2", "198.18.1.1", kTcp, 80).allow);
}

TEST_F(Cnp, LeftOutOfTheTablesOnRequest) {
  cluster("admin", kAdmin, 1).ingress = {act(kDeny, {all_pods()})};
  world_.finish();
  RuleRegistry rules;
  Compiled compiled = compile(world_, rules);
  EXPECT_TRUE(compiled.decide(ip("198.18.2.1"), ip("198.18.1.1"), 6, 80).allow);
}

}  // namespace
}  // namespace sallyport::policy
