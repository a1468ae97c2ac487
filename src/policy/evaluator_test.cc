// The traps of NetworkPolicy, one by one, against the evaluator and the compiled tables at once.
#include "policy/evaluator.h"

#include <gtest/gtest.h>

#include "policy/test_support.h"

namespace sallyport::policy {
namespace {

using namespace testing;  // NOLINT: short words for worlds
using enum k8s::Protocol;
using Rules = std::vector<k8s::NetworkPolicyRule>;
using Op = k8s::LabelRequirement::Op;

constexpr char kOutside[] = "198.19.200.1";

class Np : public ::testing::Test {
 protected:
  Np() {
    world_.namespaces["x"] = {{"team", "red"}};
    world_.namespaces["y"] = {{"team", "blue"}};
    world_.endpoints = {
        pod("x/a", {{"app", "a"}}, {"198.18.1.1", "fd00::1:1"},
            {{"web", 80, kTcp}, {"dns", 53, kUdp}}),
        pod("x/b", {{"app", "b"}}, {"198.18.1.2", "fd00::1:2"}, {{"web", 8080, kTcp}}),
        pod("y/a", {{"app", "a"}}, {"198.18.2.1", "fd00::2:1"}, {{"web", 81, kTcp}}),
        pod("y/none", {}, {"198.18.2.2", "fd00::2:2"})};
  }

  world::Endpoint& at(const std::string& key) {
    for (world::Endpoint& endpoint : world_.endpoints)
      if (endpoint.key() == key) return endpoint;
    throw std::invalid_argument(key);
  }

  // Ingress to x/a, isolated by one policy with these rules.
  void ingress(Rules rules) {
    add(world_, network_policy("x", "p", labelled({{"app", "a"}}), std::move(rules)));
  }
  // Egress of x/a.
  void egress(Rules rules) {
    add(world_, network_policy("x", "p", labelled({{"app", "a"}}), std::nullopt, std::move(rules)));
  }

  // Pods as "ns/name", or addresses. Both engines must agree.
  Verdict verdict(const std::string& from, const std::string& to, k8s::Protocol protocol,
                  uint16_t port, Family family = Family::kV4) {
    world_.finish();
    Query query{nullptr, nullptr, {}, {}, protocol, port, family};
    auto side = [&](const std::string& text, const world::Endpoint*& pod, Ip& address) {
      if (text.find('/') == std::string::npos) {
        address = ip(text);
        return;
      }
      pod = &at(text);
      for (const Ip& own : pod->ips)
        if (own.family() == family) address = own;
    };
    side(from, query.from_pod, query.from);
    side(to, query.to_pod, query.to);
    Verdict out = evaluate(world_, query);
    RuleRegistry rules;
    Compiled compiled = compile(world_, rules);
    if (out.ingress.reason != Reason::kNode && query.from != Ip{} && query.to != Ip{}) {
      Verdict tables = compiled_verdict(compiled, rules, query.from, query.to, protocol, port);
      EXPECT_EQ(tables.allow, out.allow) << "compiled tables, " << from << " -> " << to;
      EXPECT_EQ(tables.ingress.rule, out.ingress.rule);
      EXPECT_EQ(tables.egress.rule, out.egress.rule);
    }
    return out;
  }
  bool allowed(const std::string& from, const std::string& to, k8s::Protocol protocol = kTcp,
               uint16_t port = 80, Family family = Family::kV4) {
    return verdict(from, to, protocol, port, family).allow;
  }

  world::World world_;
};

TEST_F(Np, WithoutPoliciesEverythingIsAllowed) {
  Verdict v = verdict("y/a", "x/a", kTcp, 80);
  EXPECT_TRUE(v.allow);
  EXPECT_EQ(v.ingress.reason, Reason::kNotIsolated);
  EXPECT_EQ(v.ingress.policy, "");
}

TEST_F(Np, NoRulesIsolateAndOneEmptyRuleAllowsEverything) {
  ingress({});
  EXPECT_FALSE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
  world_.network_policies.clear();
  ingress({rule({})});
  EXPECT_TRUE(allowed("x/b", "x/a", kSctp, 9));
  EXPECT_TRUE(allowed(kOutside, "x/a", kIcmp, 0));
}

TEST_F(Np, DirectionsIsolateIndependently) {
  ingress({});
  EXPECT_TRUE(allowed("x/a", "x/b"));
  egress({});
  EXPECT_FALSE(allowed("x/a", "x/b"));
  EXPECT_TRUE(allowed("x/b", "y/a"));
}

TEST_F(Np, BothSidesMustAllow) {
  egress({rule({pods(labelled({{"app", "b"}}))})});
  add(world_, network_policy("x", "q", labelled({{"app", "b"}}), Rules{}));
  Verdict v = verdict("x/a", "x/b", kTcp, 80);
  EXPECT_TRUE(v.egress.allow);
  EXPECT_FALSE(v.ingress.allow);
  EXPECT_FALSE(v.allow);
}

// Rules of a direction that policyTypes omits do nothing.
TEST_F(Np, RulesOfADirectionThatDoesNotIsolateAreIgnored) {
  ingress({});
  add(world_, network_policy("x", "q", everything(), Rules{rule({})}, Rules{}));
  auto changed = std::make_shared<k8s::NetworkPolicy>(*world_.network_policies[1]);
  changed->isolates_ingress = false;
  world_.network_policies[1] = changed;
  EXPECT_FALSE(allowed("y/a", "x/a"));
}

TEST_F(Np, PoliciesAddUpAndTheFirstByNameGetsTheCredit) {
  add(world_, network_policy("x", "zz", everything(), Rules{rule({}, {port(80)})}));
  add(world_,
      network_policy("x", "mm", everything(), Rules{rule({}, {port(81)}), rule({}, {port(80)})}));
  add(world_, network_policy("x", "aa", everything(), Rules{}));
  Verdict v = verdict("y/a", "x/a", kTcp, 80);
  EXPECT_TRUE(v.allow);
  EXPECT_EQ(v.ingress.policy, "x/mm");
  EXPECT_EQ(v.ingress.rule, 1);
  v = verdict("y/a", "x/a", kTcp, 82);
  EXPECT_FALSE(v.allow);
  EXPECT_EQ(v.ingress.policy, "x/aa");
  EXPECT_EQ(v.ingress.rule, std::nullopt);
  EXPECT_EQ(v.ingress.isolated_by, (std::vector<std::string>{"x/aa", "x/mm", "x/zz"}));
}

TEST_F(Np, APolicyIsForItsNamespaceOnly) {
  ingress({});
  EXPECT_TRUE(allowed("x/b", "y/a"));
}

TEST_F(Np, APodSelectorAloneMeansTheOwnNamespace) {
  ingress({rule({pods(everything())})});
  EXPECT_TRUE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
}

TEST_F(Np, AnEmptyNamespaceSelectorMeansAllPodsButNothingOutside) {
  ingress({rule({namespaces(everything())})});
  EXPECT_TRUE(allowed("y/none", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
}

TEST_F(Np, BothSelectorsOfOnePeerMustMatchAndTwoPeersAreAlternatives) {
  ingress({rule({pods_in(labelled({{"team", "blue"}}), labelled({{"app", "a"}}))})});
  EXPECT_TRUE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed("y/none", "x/a"));
  EXPECT_FALSE(allowed("x/b", "x/a"));
  world_.network_policies.clear();
  ingress({rule({namespaces(labelled({{"team", "blue"}})), pods(labelled({{"app", "b"}}))})});
  EXPECT_TRUE(allowed("y/none", "x/a"));
  EXPECT_TRUE(allowed("x/b", "x/a"));
}

TEST_F(Np, NotInMatchesWhereTheKeyIsAbsent) {
  ingress({rule({pods_in(everything(), expression("app", Op::kNotIn, {"b"}))})});
  EXPECT_TRUE(allowed("y/none", "x/a"));
  EXPECT_TRUE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed("x/b", "x/a"));
}

TEST_F(Np, TheOtherSelectorOperators) {
  ingress({rule({pods_in(everything(), expression("app", Op::kIn, {"b", "c"}))})});
  EXPECT_TRUE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed("y/none", "x/a"));
  world_.network_policies.clear();
  ingress({rule({pods_in(everything(), expression("app", Op::kExists))})});
  EXPECT_TRUE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed("y/none", "x/a"));
  world_.network_policies.clear();
  ingress({rule({pods_in(everything(), expression("app", Op::kDoesNotExist))})});
  EXPECT_FALSE(allowed("x/b", "x/a"));
  EXPECT_TRUE(allowed("y/none", "x/a"));
}

TEST_F(Np, TheNameOfANamespaceIsALabel) {
  ingress({rule({namespaces(labelled({{"kubernetes.io/metadata.name", "y"}}))})});
  EXPECT_TRUE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed("x/b", "x/a"));
}

TEST_F(Np, APortWithoutANumberIsEveryPortOfItsProtocol) {
  ingress({rule({}, {any_port(kTcp)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 1));
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 65535));
  EXPECT_FALSE(allowed("x/b", "x/a", kUdp, 1));
  EXPECT_FALSE(allowed("x/b", "x/a", kIcmp, 0));
}

TEST_F(Np, SctpAndUdpDoNotOpenTcp) {
  ingress({rule({}, {port(80, kSctp), port(80, kUdp)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kSctp, 80));
  EXPECT_TRUE(allowed("x/b", "x/a", kUdp, 80));
  EXPECT_FALSE(allowed("x/b", "x/a", kTcp, 80));
}

TEST_F(Np, EndPortIsInclusive) {
  ingress({rule({}, {port(80, kTcp, 90)})});
  for (auto [number, expected] :
       {std::pair<uint16_t, bool>(79, false), {80, true}, {85, true}, {90, true}, {91, false}})
    EXPECT_EQ(allowed("x/b", "x/a", kTcp, number), expected) << number;
  world_.network_policies.clear();
  ingress({rule({}, {port(65535, kTcp, 65535)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 65535));
  EXPECT_FALSE(allowed("x/b", "x/a", kTcp, 65534));
}

TEST_F(Np, AnIngressNamedPortIsTheSubjectsOwn) {
  add(world_, network_policy("x", "p", everything(), Rules{rule({}, {port("web")})}));
  EXPECT_TRUE(allowed("y/a", "x/a", kTcp, 80));
  EXPECT_FALSE(allowed("y/a", "x/a", kTcp, 8080));
  EXPECT_TRUE(allowed("y/a", "x/b", kTcp, 8080));
  EXPECT_FALSE(allowed("y/a", "x/b", kTcp, 80));
}

TEST_F(Np, AnEgressNamedPortIsThatOfEachPeer) {
  egress({rule({}, {port("web")})});
  EXPECT_TRUE(allowed("x/a", "x/b", kTcp, 8080));
  EXPECT_FALSE(allowed("x/a", "x/b", kTcp, 80));
  EXPECT_TRUE(allowed("x/a", "y/a", kTcp, 81));
  EXPECT_FALSE(allowed("x/a", "y/none", kTcp, 81));
  EXPECT_FALSE(allowed("x/a", kOutside, kTcp, 81));
}

TEST_F(Np, ANamedPortMustHaveTheProtocolAndExist) {
  ingress({rule({}, {port("dns", kTcp), port("nothing")})});
  EXPECT_FALSE(allowed("x/b", "x/a", kTcp, 53));
  EXPECT_FALSE(allowed("x/b", "x/a", kUdp, 53));
  world_.network_policies.clear();
  ingress({rule({}, {port("dns", kUdp)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kUdp, 53));
}

TEST_F(Np, AnIpBlockMatchesPodsToo) {
  ingress({rule({block("198.18.2.0/24")})});
  EXPECT_TRUE(allowed("y/a", "x/a"));
  EXPECT_FALSE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
}

TEST_F(Np, AnExceptionIsOfItsOwnPeerOnly) {
  ingress({rule({block("198.18.0.0/15", {"198.18.2.0/24"})}, {port(80)}),
           rule({block("198.18.2.1/32")}, {port(81)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 80));
  EXPECT_FALSE(allowed("y/a", "x/a", kTcp, 80));
  EXPECT_TRUE(allowed("y/a", "x/a", kTcp, 81));
  EXPECT_FALSE(allowed("y/none", "x/a", kTcp, 81));
  EXPECT_TRUE(allowed(kOutside, "x/a", kTcp, 80));
}

TEST_F(Np, ABlockIsForItsFamilyOnly) {
  ingress({rule({block("0.0.0.0/0")})});
  EXPECT_TRUE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed("x/b", "x/a", kTcp, 80, Family::kV6));
  world_.network_policies.clear();
  ingress({rule({block("::/0", {"fd00::2:0/112"})})});
  EXPECT_FALSE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 80, Family::kV6));
  EXPECT_FALSE(allowed("y/a", "x/a", kTcp, 80, Family::kV6));
}

TEST_F(Np, SelectorsMatchBothFamilies) {
  ingress({rule({pods(everything())})});
  EXPECT_TRUE(allowed("x/b", "x/a", kTcp, 80, Family::kV6));
  EXPECT_FALSE(allowed("y/a", "x/a", kTcp, 80, Family::kV6));
}

TEST_F(Np, OtherProtocolsNeedARuleWithoutPorts) {
  ingress({rule({pods(labelled({{"app", "b"}}))}), rule({}, {any_port(kTcp), any_port(kUdp)})});
  EXPECT_TRUE(allowed("x/b", "x/a", kIcmp, 0));
  EXPECT_FALSE(allowed("y/a", "x/a", kIcmp, 0));
  EXPECT_FALSE(allowed("y/a", "x/a", static_cast<k8s::Protocol>(47), 0));
  EXPECT_TRUE(allowed("x/b", "x/a", static_cast<k8s::Protocol>(47), 0));
}

TEST_F(Np, APodReachesItself) {
  add(world_, network_policy("x", "p", everything(), Rules{}, Rules{}));
  Verdict v = verdict("x/a", "x/a", kTcp, 80);
  EXPECT_TRUE(v.allow);
  EXPECT_EQ(v.egress.reason, Reason::kSelf);
  EXPECT_EQ(v.ingress.reason, Reason::kSelf);
}

TEST_F(Np, TheOwnNodeReachesItsPodsAndNoOtherNodeDoes) {
  world_.nodes = {{"n1", {}, {ip("198.19.0.1"), ip("fd00::a:1")}}, {"n2", {}, {ip("198.19.0.2")}}};
  at("x/a").node = "n1";
  ingress({});
  Verdict v = verdict("198.19.0.1", "x/a", kTcp, 80);
  EXPECT_TRUE(v.allow);
  EXPECT_EQ(v.ingress.reason, Reason::kNode);
  EXPECT_TRUE(allowed("fd00::a:1", "x/a", kTcp, 80, Family::kV6));
  EXPECT_FALSE(allowed("198.19.0.2", "x/a"));
  // A pod to its node is judged by its egress policies.
  egress({});
  EXPECT_FALSE(allowed("x/a", "198.19.0.1"));
}

TEST_F(Np, APodWithoutANodeRunsOnTheOnlyOne) {
  world_.nodes = {{"n1", {}, {ip("198.19.0.1")}}};
  ingress({});
  EXPECT_TRUE(allowed("198.19.0.1", "x/a"));
  world_.nodes.push_back({"n2", {}, {ip("198.19.0.2")}});
  EXPECT_FALSE(allowed("198.19.0.1", "x/a"));
}

TEST_F(Np, HostNetworkPodsAreNeitherSubjectNorSelectorPeer) {
  world_.nodes = {{"n1", {}, {ip("198.19.0.1")}}, {"n2", {}, {ip("198.19.0.2")}}};
  at("x/a").node = "n1";
  world_.endpoints.push_back(pod("x/host", {{"app", "a"}}, {"198.19.0.2"}, {{"web", 99, kTcp}}));
  world_.endpoints.back().node = "n2";
  world_.endpoints.back().host_network = true;
  add(world_, network_policy("x", "p", everything(), Rules{rule({pods(everything())})}, Rules{}));
  Verdict v = verdict("x/host", "x/a", kTcp, 80);
  EXPECT_FALSE(v.allow);
  EXPECT_EQ(v.egress.reason, Reason::kHostNetwork);
  EXPECT_TRUE(verdict(kOutside, "x/host", kTcp, 80).allow);

  world_.network_policies.clear();
  ingress({rule({block("198.19.0.2/32")})});
  EXPECT_TRUE(allowed("x/host", "x/a"));
  EXPECT_TRUE(allowed("198.19.0.2", "x/a"));

  // Its named ports are not looked up.
  world_.network_policies.clear();
  egress({rule({block("198.19.0.2/32")}, {port("web")})});
  EXPECT_FALSE(allowed("x/a", "198.19.0.2", kTcp, 99));

  // On the pod's own node it is the node.
  world_.network_policies.clear();
  ingress({});
  at("x/host").node = "n1";
  at("x/host").ips.clear();
  EXPECT_EQ(verdict("x/host", "x/a", kTcp, 80).ingress.reason, Reason::kNode);
}

TEST_F(Np, TerminatedPodsAreOutAndTheirAddressMayBeAnothers) {
  at("y/a").terminated = true;
  ingress({rule({namespaces(labelled({{"team", "blue"}}))})});
  EXPECT_FALSE(allowed("198.18.2.1", "x/a"));
  EXPECT_EQ(verdict("y/a", "x/a", kTcp, 80).egress.reason, Reason::kNoPod);
  world_.endpoints.push_back(pod("y/reused", {}, {"198.18.2.1"}));
  EXPECT_TRUE(allowed("198.18.2.1", "x/a"));
  at("x/a").terminated = true;
  EXPECT_TRUE(allowed(kOutside, "198.18.1.1"));
}

TEST_F(Np, TerminatingPodsStayEnforced) {
  at("x/a").terminating = true;
  ingress({});
  EXPECT_FALSE(allowed("x/b", "x/a"));
}

TEST_F(Np, APodWithoutAnAddressIsJudgedByItsLabels) {
  at("y/a").ips.clear();
  ingress({rule({namespaces(labelled({{"team", "blue"}}))}), rule({block("0.0.0.0/0")})});
  EXPECT_EQ(verdict("y/a", "x/a", kTcp, 80).ingress.rule, 0);
  world_.network_policies.clear();
  ingress({rule({block("0.0.0.0/0")})});
  EXPECT_FALSE(allowed("y/a", "x/a"));
}

// The API server refuses a peer without any form; if one appears, it must open nothing.
TEST_F(Np, APeerWithoutAFormMatchesNothing) {
  ingress({rule({k8s::NetworkPolicyPeer{}})});
  EXPECT_FALSE(allowed("x/b", "x/a"));
  EXPECT_FALSE(allowed(kOutside, "x/a"));
}

}  // namespace
}  // namespace sallyport::policy
