#include "policy/near_miss.h"

#include <gtest/gtest.h>

#include "policy/explain.h"
#include "policy/test_support.h"

namespace sallyport::policy {
namespace {

using namespace testing;  // NOLINT: short words for worlds
using enum k8s::Protocol;
using Rules = std::vector<k8s::NetworkPolicyRule>;
using Op = k8s::LabelRequirement::Op;

class NearMissTest : public ::testing::Test {
 protected:
  NearMissTest() {
    world_.namespaces["inference"] = {};
    world_.namespaces["attacker"] = {{"name", "attacker"}};
    world_.nodes = {{"n1", {}, {ip("198.19.0.1")}}, {"n2", {}, {ip("198.19.0.2")}}};
    world_.endpoints = {pod("inference/model", {{"app", "model-server"}}, {"198.18.0.1"},
                            {{"http", 8080, kTcp}, {"dns", 53, kUdp}}),
                        pod("inference/other", {{"app", "other"}, {"empty", ""}}, {"198.18.0.2"}),
                        pod("attacker/shell", {{"app", "attacker"}}, {"198.18.0.3"})};
  }

  std::string why(const std::string& from, Rules rules, k8s::Protocol protocol = kTcp,
                  uint16_t to_port = 8080) {
    world_.network_policies.clear();
    add(world_,
        network_policy("inference", "p", labelled({{"app", "model-server"}}), std::move(rules)));
    return nearest(from, protocol, to_port);
  }

  std::string nearest(const std::string& from, k8s::Protocol protocol = kTcp,
                      uint16_t to_port = 8080) {
    world_.finish();
    Verdict verdict = evaluate(
        world_, {nullptr, nullptr, ip(from), ip("198.18.0.1"), protocol, to_port, Family::kV4});
    EXPECT_FALSE(verdict.ingress.allow);
    if (!verdict.ingress.nearest) return "none";
    const NearMiss& miss = *verdict.ingress.nearest;
    return miss.policy + " " + std::to_string(miss.rule) + ": " + miss.why;
  }

  world::World world_;
};

constexpr char kShell[] = "198.18.0.3";
constexpr char kOther[] = "198.18.0.2";

TEST_F(NearMissTest, Labels) {
  EXPECT_EQ(why(kOther, {rule({pods(labelled({{"app", "gateway"}}))})}),
            "inference/p 0: peer pod label app: wants gateway, has other");
  EXPECT_EQ(why(kOther, {rule({pods(labelled({{"tier", "front"}}))})}),
            "inference/p 0: peer pod label tier: wants front, has none");
  EXPECT_EQ(why(kOther, {rule({pods(labelled({{"empty", "x"}}))})}),
            "inference/p 0: peer pod label empty: wants x, has an empty value");
  EXPECT_EQ(why(kOther, {rule({pods(expression("app", Op::kIn, {"a", "b"}))})}),
            "inference/p 0: peer pod label app: wants one of a, b, has other");
  EXPECT_EQ(why(kOther, {rule({pods(expression("app", Op::kNotIn, {"other"}))})}),
            "inference/p 0: peer pod label app: wants anything but other, has other");
  EXPECT_EQ(why(kOther, {rule({pods(expression("tier", Op::kExists))})}),
            "inference/p 0: peer pod label tier: wants any value, has none");
  EXPECT_EQ(why(kOther, {rule({pods(expression("app", Op::kDoesNotExist))})}),
            "inference/p 0: peer pod label app: wants none, has other");
}

TEST_F(NearMissTest, Namespaces) {
  EXPECT_EQ(why(kShell, {rule({pods(everything())})}),
            "inference/p 0: peer namespace: wants inference, has attacker");
  EXPECT_EQ(
      why(kShell,
          {rule({pods_in(labelled({{"name", "api-gateway"}}), labelled({{"app", "gateway"}}))})}),
      "inference/p 0: peer namespace label name: wants api-gateway, has attacker; peer pod "
      "label app: wants gateway, has attacker");
}

TEST_F(NearMissTest, Ports) {
  auto anyone = [](std::vector<k8s::NetworkPolicyPort> ports) {
    return Rules{rule({}, std::move(ports))};
  };
  EXPECT_EQ(why(kShell, anyone({port(80), port(90, kTcp, 95)})),
            "inference/p 0: port: wants 80/TCP or 90-95/TCP, has 8080/TCP");
  EXPECT_EQ(why(kShell, anyone({port(8080, kUdp)})),
            "inference/p 0: protocol: wants 8080/UDP, has 8080/TCP");
  EXPECT_EQ(why(kShell, anyone({any_port(kUdp)}), kIcmp, 0),
            "inference/p 0: protocol: wants any UDP port, has ICMP");
  EXPECT_EQ(why(kShell, anyone({port("http")}), kTcp, 80),
            "inference/p 0: port: wants http/TCP, has 80/TCP (http of pod inference/model is "
            "8080/TCP)");
  EXPECT_EQ(why(kShell, anyone({port("dns")}), kTcp, 53),
            "inference/p 0: port: wants dns/TCP, has 53/TCP (dns of pod inference/model is "
            "53/UDP)");
  EXPECT_EQ(why(kShell, anyone({port("web")})),
            "inference/p 0: port: wants web/TCP, has 8080/TCP (pod inference/model names no port "
            "web)");
  EXPECT_EQ(
      why(kShell, anyone({port(1), port(2), port(3), port(4), port(5), port(6), port(7), port(8)})),
      "inference/p 0: port: wants 1/TCP or 2/TCP or 3/TCP or 4/TCP or 5/TCP or 6/TCP or 2 "
      "more, has 8080/TCP");
}

TEST_F(NearMissTest, Addresses) {
  EXPECT_EQ(why(kShell, {rule({block("198.19.0.0/16")})}),
            "inference/p 0: peer address: wants 198.19.0.0/16, has 198.18.0.3");
  EXPECT_EQ(why(kShell, {rule({block("198.18.0.0/16", {"198.18.0.0/28"})})}),
            "inference/p 0: peer address: 198.18.0.3 is in 198.18.0.0/16 but excepted by "
            "198.18.0.0/28");
  EXPECT_EQ(why("198.19.200.1", {rule({pods(everything())})}),
            "inference/p 0: peer: wants a pod, 198.19.200.1 belongs to no pod");
  world_.endpoints.push_back(pod("inference/host", {}, {"198.19.0.2"}));
  world_.endpoints.back().host_network = true;
  world_.finish();
  EXPECT_EQ(nearest("198.19.0.2"),
            "inference/p 0: peer: wants a pod, 198.19.0.2 is the address of host-network pod "
            "inference/host");
}

TEST_F(NearMissTest, TheRuleWithTheFewestFailuresThenTheFirst) {
  // Two labels off, then one label off, then the port off.
  EXPECT_EQ(why(kShell, {rule({pods_in(labelled({{"name", "x"}}), labelled({{"app", "y"}}))}),
                         rule({pods_in(labelled({{"name", "attacker"}}), labelled({{"app", "y"}}))},
                              {port(8080)}),
                         rule({pods_in(labelled({{"name", "x"}}), everything())}, {port(8080)})}),
            "inference/p 1: peer pod label app: wants y, has attacker");
  // A block that does not hold the address is further away than a label.
  EXPECT_EQ(why(kShell, {rule({block("198.19.0.0/16"),
                               pods_in(everything(), labelled({{"app", "y"}, {"b", "c"}}))})}),
            "inference/p 0: peer pod label app: wants y, has attacker; peer pod label b: wants c, "
            "has none");
  EXPECT_EQ(why(kShell, {}), "none");
}

TEST_F(NearMissTest, TheNearestMayBeInAnyIsolatingPolicy) {
  add(world_, network_policy("inference", "default-deny", everything(), Rules{}));
  add(world_, network_policy("inference", "zz", everything(), Rules{rule({}, {port(81)})}));
  EXPECT_EQ(nearest(kShell), "inference/zz 0: port: wants 81/TCP, has 8080/TCP");
}

TEST_F(NearMissTest, LinesForFlowEvents) {
  add(world_, network_policy("inference", "default-deny-all", everything(), Rules{}));
  add(world_,
      network_policy(
          "inference", "inference-ingress", labelled({{"app", "model-server"}}),
          Rules{rule({pods_in(labelled({{"name", "attacker"}}), labelled({{"app", "gateway"}}))},
                     {port(8080)})}));
  world_.finish();
  Query query{nullptr, nullptr, ip(kShell), ip("198.18.0.1"), kTcp, 8080, Family::kV4};
  Verdict verdict = evaluate(world_, query);
  EXPECT_EQ(explain_line(verdict.ingress, Direction::kIngress),
            "denied by default: isolated by inference/default-deny-all, "
            "inference/inference-ingress; nearest inference/inference-ingress rule 0: peer pod "
            "label app: wants gateway, has attacker");
  EXPECT_EQ(explain_line(verdict.egress, Direction::kEgress),
            "allowed by default: no policy isolates the pod for egress");
  EXPECT_EQ(
      explain_text(world_, query, verdict),
      "DENY   pod attacker/shell (198.18.0.3) -> pod inference/model (198.18.0.1) TCP port "
      "8080\n"
      "  egress:  allowed by default: no policy isolates the pod for egress\n"
      "  ingress: denied by default\n"
      "    isolated by inference/default-deny-all, inference/inference-ingress\n"
      "    nearest     inference/inference-ingress rule 0: peer pod label app: wants gateway, "
      "has attacker\n");
}

TEST(ExplainLine, EveryReason) {
  DirectionVerdict verdict;
  auto line = [&](Reason reason, Direction direction = Direction::kIngress) {
    verdict.reason = reason;
    return explain_line(verdict, direction);
  };
  EXPECT_EQ(line(Reason::kSelf), "allowed: a pod always reaches itself");
  EXPECT_EQ(line(Reason::kNode), "allowed: the source is the node that the pod runs on");
  EXPECT_EQ(line(Reason::kNoPod), "not judged: the destination is no pod");
  EXPECT_EQ(line(Reason::kHostNetwork, Direction::kEgress),
            "not judged: the source is a host-network pod");
  verdict.policy = "a/b";
  verdict.rule = 3;
  EXPECT_EQ(line(Reason::kRule), "allowed by a/b ingress rule 3");
  verdict.allow = false;
  EXPECT_EQ(line(Reason::kRule, Direction::kEgress), "denied by a/b egress rule 3");
  verdict.isolated_by = {"a/b"};
  EXPECT_EQ(line(Reason::kImplicitDeny),
            "denied by default: isolated by a/b; none of them has a rule for ingress");
}

}  // namespace
}  // namespace sallyport::policy
