#include "analysis/explain_batch.h"

#include <gtest/gtest.h>

#include "codec/json.h"
#include "policy/test_support.h"

namespace sallyport::analysis {
namespace {

using namespace policy::testing;  // NOLINT: short words for worlds

world::World pipeline() {
  world::World world;
  world.namespaces["api-gateway"] = {{"name", "api-gateway"}};
  world.namespaces["inference"] = {};
  world.endpoints = {pod("api-gateway/gateway", {{"app", "gateway"}}, {"198.18.0.1", "fd00::1"}),
                     pod("attacker/shell", {{"app", "attacker"}}, {"198.18.0.2", "fd00::2"}),
                     pod("inference/model", {{"app", "model-server"}}, {"198.18.0.3", "fd00::3"},
                         {{"http", 8080, k8s::Protocol::kTcp}})};
  add(world,
      network_policy("inference", "default-deny-all", everything(),
                     std::vector<k8s::NetworkPolicyRule>{}, std::vector<k8s::NetworkPolicyRule>{}));
  add(world, network_policy("inference", "inference-ingress", labelled({{"app", "model-server"}}),
                            std::vector{rule({pods_in(labelled({{"name", "api-gateway"}}),
                                                      labelled({{"app", "gateway"}}))},
                                             {port(8080)})}));
  world.finish();
  return world;
}

std::string answer(const std::string& line, bool expect_ok = true) {
  bool ok = false;
  std::string out = explain_batch_line(pipeline(), line, ok);
  EXPECT_EQ(ok, expect_ok) << out;
  return out;
}

TEST(ExplainBatch, AllowNamesTheRuleAndHasNoGate) {
  EXPECT_EQ(
      answer(R"({"id":"q1","from":{"pod":"api-gateway/gateway"},"to":{"pod":"inference/model"},)"
             R"("port":8080,"protocol":"TCP"})"),
      R"({"id":"q1","verdict":"allow","gate":null,"network":{)"
      R"("egress":{"verdict":"allow","policy":null,"rule":null,"reason":"not isolated",)"
      R"("isolatedBy":[],"nearest":null},)"
      R"("ingress":{"verdict":"allow","policy":"inference/inference-ingress","rule":0,)"
      R"("reason":"rule","isolatedBy":[],"nearest":null}},"mesh":null})");
}

TEST(ExplainBatch, DenyNamesTheGateTheIsolatingPoliciesAndTheNearestRule) {
  EXPECT_EQ(answer(R"({"id":"q2","from":{"ip":"198.18.0.2"},"to":{"pod":"inference/model"},)"
                   R"("port":8080,"protocol":"TCP"})"),
            R"({"id":"q2","verdict":"deny","gate":"network","network":{)"
            R"("egress":{"verdict":"allow","policy":null,"rule":null,"reason":"not isolated",)"
            R"("isolatedBy":[],"nearest":null},)"
            R"("ingress":{"verdict":"deny","policy":"inference/default-deny-all","rule":null,)"
            R"("reason":"implicit deny",)"
            R"("isolatedBy":["inference/default-deny-all","inference/inference-ingress"],)"
            R"("nearest":{"policy":"inference/inference-ingress","rule":0,)"
            R"("why":"peer namespace label name: wants api-gateway, has none; )"
            R"(peer pod label app: wants gateway, has attacker"}}},"mesh":null})");
}

TEST(ExplainBatch, NoPodAndDefaultAllowHaveNoPolicy) {
  std::string out = answer(
      R"({"id":3,"from":{"ip":"203.0.113.7"},"to":{"ip":"198.18.0.1"},"port":1,"protocol":"UDP"})");
  EXPECT_NE(out.find(R"("id":3,"verdict":"allow")"), std::string::npos) << out;
  EXPECT_NE(out.find(R"("policy":null,"rule":null,"reason":"no pod")"), std::string::npos) << out;
}

TEST(ExplainBatch, FamilyDefaultsToFourOrToThatOfTheAddress) {
  auto v6 = answer(R"({"id":"a","from":{"ip":"fd00::1"},"to":{"pod":"inference/model"},)"
                   R"("port":8080,"protocol":"TCP"})");
  EXPECT_NE(v6.find(R"("verdict":"allow")"), std::string::npos) << v6;
  answer(R"({"id":"a","family":6,"from":{"pod":"attacker/shell"},"to":{"pod":"inference/model"},)"
         R"("port":0,"protocol":"ICMP"})");
}

TEST(ExplainBatch, TheMeshFieldsAreAccepted) {
  answer(
      R"({"id":"m","from":{"pod":"api-gateway/gateway"},"to":{"pod":"inference/model"},)"
      R"("port":8080,"protocol":"TCP","mtls":true,"principal":"spiffe://x/ns/a/sa/b","sni":"m",)"
      R"("http":{"method":"POST","path":"/admin","host":"h","headers":[["a","b"]],"jwt":null}})");
}

// What both gates say, of a world in which the model's namespace is STRICT and has a policy.
std::string meshed(const std::string& rest, mesh::UnlabelledPods unlabelled) {
  world::World world = pipeline();
  k8s::PeerAuthentication strict;
  strict.meta.name = "strict";
  strict.meta.ns = "inference";
  strict.mode = k8s::MutualTlsMode::kStrict;
  world.peer_authentications.push_back(std::make_shared<k8s::PeerAuthentication>(strict));
  k8s::AuthorizationPolicy authz;
  authz.meta.name = "authz";
  authz.meta.ns = "inference";
  k8s::AuthorizationRule rule;
  rule.from.emplace_back().principals.values = {"cluster.local/ns/api-gateway/sa/default"};
  rule.to.emplace_back().paths.values = {"/v1/completions"};
  authz.rules.push_back(rule);
  world.authorization_policies.push_back(std::make_shared<k8s::AuthorizationPolicy>(authz));
  world.finish();
  bool ok = false;
  std::string out = explain_batch_line(
      world, R"({"id":"m","to":{"pod":"inference/model"},"port":8080,)" + rest + "}", ok,
      unlabelled);
  EXPECT_TRUE(ok) << out;
  // Without the network's part.
  size_t network = out.find(",\"network\"");
  size_t mesh_part = out.find(",\"mesh\"");
  return out.substr(0, network) + out.substr(mesh_part);
}

TEST(ExplainBatch, BothGates) {
  using enum mesh::UnlabelledPods;
  const std::string gateway = R"("from":{"pod":"api-gateway/gateway"})";
  const std::string request = R"(,"http":{"method":"POST","path":"/v1/completions"})";
  EXPECT_EQ(meshed(gateway + request, kIn),
            R"({"id":"m","verdict":"allow","gate":null,"mesh":{"verdict":"allow",)"
            R"("policy":"inference/authz","rule":0,"action":"ALLOW","reason":"allowed by rule"}})");
  EXPECT_EQ(meshed(gateway + R"(,"mtls":false)" + request, kIn),
            R"({"id":"m","verdict":"deny","gate":"mesh","mesh":{"verdict":"deny",)"
            R"("policy":"inference/strict","rule":null,"action":"STRICT",)"
            R"("reason":"mutual TLS is required"}})");
  EXPECT_EQ(meshed(gateway + R"(,"http":null)", kIn),
            R"({"id":"m","verdict":"deny","gate":"mesh","mesh":{"verdict":"deny",)"
            R"("policy":"inference/authz","rule":null,"action":"ALLOW",)"
            R"("reason":"no ALLOW rule matches","nearest":{"policy":"inference/authz","rule":0,)"
            R"("why":"does not apply to opaque TCP: paths need HTTP"}}})");
  EXPECT_EQ(meshed(gateway + R"(,"http":{"path":"/a%2fb"})", kIn),
            R"({"id":"m","verdict":"reject","gate":"mesh","mesh":{"verdict":"reject",)"
            R"("policy":null,"rule":null,"action":null,)"
            R"("reason":"the path has no canonical form: it holds an escaped slash"}})");
  // The network's gate refuses first.
  EXPECT_TRUE(meshed(R"("from":{"pod":"attacker/shell"},"http":{"path":"/a%2fb"})", kIn)
                  .starts_with(R"({"id":"m","verdict":"deny","gate":"network","mesh":{"verdict":)"
                               R"("reject",)"));
  EXPECT_EQ(meshed(gateway + request, kOut),
            R"({"id":"m","verdict":"allow","gate":null,"mesh":null})");
  EXPECT_TRUE(meshed(gateway + R"(,"protocol":"UDP")", kIn).ends_with(R"("mesh":null})"));
}

TEST(ExplainBatch, BadQueriesAreNamedByFieldAndDoNotStopTheOthers) {
  const std::string pair = R"("from":{"pod":"attacker/shell"},"to":{"pod":"inference/model"})";
  struct Case {
    std::string line, expected;
  };
  const std::vector<Case> cases = {
      {R"({"id":"x",)" + pair + "}", R"({"id":"x","error":"port: is missing"})"},
      {R"({"id":"x",)" + pair + R"(,"port":0})",
       R"({"id":"x","error":"port: 0 is not in 1..65535"})"},
      {R"({"id":"x",)" + pair + R"(,"port":70000})",
       R"({"id":"x","error":"port: 70000 is not in 1..65535"})"},
      {R"({"id":"x",)" + pair + R"(,"port":"80"})",
       R"({"id":"x","error":"port: is a string, expected an integer"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"protocol":"ICMP"})",
       R"({"id":"x","error":"port: ICMP has port 0"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"protocol":"tcp"})",
       R"({"id":"x","error":"protocol: \"tcp\" is none of TCP, UDP, SCTP and ICMP"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"family":5})",
       R"({"id":"x","error":"family: expected 4 or 6"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"famly":6})",
       R"({"id":"x","error":"famly: is not a known field"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"mtls":"yes"})",
       R"({"id":"x","error":"mtls: is a string, expected true or false"})"},
      {R"({"id":"x",)" + pair + R"(,"port":7,"http":{"headers":[["a"]]}})",
       R"({"id":"x","error":"http.headers: expected pairs of strings, [name, value]"})"},
      {R"({"id":"x","from":{"ip":"10.0.0.300"},"to":{"ip":"::2"},"port":1})",
       R"({"id":"x","error":"from.ip: \"10.0.0.300\" is not an IP address"})"},
      {R"({"id":"x","from":{"ip":"198.18.0.1"},"to":{"ip":"fd00::2"},"port":1})",
       R"({"id":"x","error":"to.ip: is of another family than from.ip"})"},
      {R"({"id":"x","family":4,"from":{"ip":"fd00::1"},"to":{"ip":"fd00::2"},"port":1})",
       R"({"id":"x","error":"family: is not that of the address that is given"})"},
      {R"({"id":"x","from":{"ip":"::"},"to":{"ip":"fd00::2"},"port":1})",
       R"({"id":"x","error":"from.ip: is the unspecified address"})"},
      {R"({"id":"x","from":{"pod":"shell"},"to":{"ip":"::2"},"port":1})",
       R"({"id":"x","error":"from.pod: \"shell\" is not of the form namespace/name"})"},
      {R"({"id":"x","from":{"pod":"inference/shell"},"to":{"ip":"::2"},"port":1})",
       R"({"id":"x","error":"from.pod: there is no pod inference/shell; did you mean attacker/shell?"})"},
      {R"({"id":"x","from":{"pod":"a/b","ip":"::1"},"to":{"ip":"::2"},"port":1})",
       R"({"id":"x","error":"from: expected exactly one of pod and ip"})"},
      {R"({"id":"x","to":{"ip":"::2"},"port":1})", R"({"id":"x","error":"from: is missing"})"},
      {R"({"to":{"ip":"::2"},"port":1})", R"({"id":null,"error":"id: is missing"})"},
      {"[]", R"({"id":null,"error":"id: is missing"})"},
  };
  for (const Case& one : cases) EXPECT_EQ(answer(one.line, false), one.expected) << one.line;
  EXPECT_EQ(answer("{not json", false).rfind(R"({"id":null,"error":")", 0), 0U);
}

TEST(ExplainBatch, AnswersEachLineInOrderAndCounts) {
  std::string input =
      R"({"id":"1","from":{"ip":"198.18.0.1"},"to":{"ip":"198.18.0.3"},"port":8080})"
      "\r\n\n"
      R"({"id":"2"})"
      "\n"
      R"({"id":"3","from":{"ip":"198.18.0.2"},"to":{"ip":"198.18.0.3"},"port":8080})";
  std::vector<std::string> out;
  BatchSummary summary =
      explain_batch(pipeline(), input, [&](std::string_view line) { out.emplace_back(line); });
  EXPECT_EQ(summary.answered, 2U);
  EXPECT_EQ(summary.failed, 1U);
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0].rfind(R"({"id":"1","verdict":"allow")", 0), 0U) << out[0];
  EXPECT_EQ(out[1], R"({"id":"2","error":"from: is missing"})");
  EXPECT_EQ(out[2].rfind(R"({"id":"3","verdict":"deny")", 0), 0U) << out[2];
}

}  // namespace
}  // namespace sallyport::analysis
