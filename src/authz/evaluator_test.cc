// The evaluator against Istio's documentation, case by case; the matcher is asked the same.
#include "authz/evaluator_test_support.h"

namespace sallyport::authz {
namespace {

using namespace testing;

TEST(Evaluator, TheArticlesPolicy) {
  const world::World world = world_of({inference_authz()});
  const ConnectionFacts gateway = connection();
  RequestFacts r = request();
  Decision d = ask(world, workload(), gateway, &r);
  EXPECT_TRUE(d.allow);
  EXPECT_EQ(d.reason, Reason::kRuleAllows);
  EXPECT_EQ(istio_policy_id(d), "ns[inference]-policy[inference-authz]-rule[0]");

  r.path = "/props";
  d = ask(world, workload(), gateway, &r);
  EXPECT_FALSE(d.allow);
  EXPECT_EQ(d.reason, Reason::kNoAllowMatches);
  EXPECT_EQ(d.policy.text(), "inference/inference-authz");
  EXPECT_EQ(istio_policy_id(d), "none");

  r.path = "/v1/completions";
  r.method = "GET";
  EXPECT_FALSE(ask(world, workload(), gateway, &r).allow);
  r.method = "POST";
  EXPECT_FALSE(ask(world, workload(), connection("cluster.local/ns/x/sa/gateway-sa"), &r).allow);
  EXPECT_FALSE(ask(world, workload(), connection(""), &r).allow) << "plaintext";
  EXPECT_FALSE(ask(world, workload(), gateway, nullptr).allow) << "opaque TCP";
  // Other workloads do not heed it.
  d = ask(world, workload("inference", {{"app", "other"}}), connection(""), &r);
  EXPECT_TRUE(d.allow);
  EXPECT_EQ(d.reason, Reason::kNoPolicy);
  EXPECT_TRUE(ask(world, workload("elsewhere"), connection(""), &r).allow);
}

TEST(Evaluator, EmptyForms) {
  const RequestFacts r = request();
  EXPECT_TRUE(allows({}, connection(), &r));
  EXPECT_FALSE(allows({policy("inference", "nothing", kAllow, {})}, connection(), &r));
  EXPECT_TRUE(allows({policy("inference", "all", kAllow, {{}})}, connection(), &r));
  EXPECT_FALSE(allows({policy("inference", "none", kDeny, {{}})}, connection(), &r));
  EXPECT_TRUE(allows({policy("inference", "none", kDeny, {})}, connection(), &r));
  EXPECT_TRUE(allows({policy("inference", "a", kAudit, {})}, connection(), &r));
}

TEST(Evaluator, DenyGoesBeforeAllowAndAuditOnlyMarks) {
  const RequestFacts r = request();
  const world::World world = world_of({policy("inference", "a-allow", kAllow, {{}}),
                                       policy("inference", "b-audit", kAudit, {{}}),
                                       policy("inference", "c-deny", kDeny, {{}})});
  const Decision d = ask(world, workload(), connection(), &r);
  EXPECT_FALSE(d.allow);
  EXPECT_EQ(d.reason, Reason::kRuleDenies);
  EXPECT_EQ(d.policy.text(), "inference/c-deny");
  EXPECT_TRUE(d.audited);
  EXPECT_EQ(d.audit_policy.text(), "inference/b-audit");
  EXPECT_EQ(d.audit_rule, 0);
}

TEST(Evaluator, TheRootNamespaceReachesEveryWorkload) {
  const RequestFacts r = request();
  auto root = policy("istio-system", "root", kDeny, {{}});
  EXPECT_FALSE(allows({root}, connection(), &r));
  root.selector = {{"app", "other"}};
  EXPECT_TRUE(allows({root}, connection(), &r));
  root.selector = {{"app", "model-server"}};
  EXPECT_FALSE(allows({root}, connection(), &r));
  root.has_target_refs = true;
  EXPECT_TRUE(allows({root}, connection(), &r)) << "targetRefs are for gateways and waypoints";
  EXPECT_TRUE(allows({policy("elsewhere", "p", kDeny, {{}})}, connection(), &r));
}

TEST(Evaluator, CreditGoesToTheFirstByNameAndRule) {
  const RequestFacts r = request();
  const world::World world =
      world_of({policy("istio-system", "a", kAllow, {{}}),
                policy("inference", "z", kAllow, {from(principals({{"nobody"}, {}})), {}, {}}),
                policy("inference", "zz", kAllow, {{}})});
  const Decision d = ask(world, workload(), connection(), &r);
  EXPECT_EQ(d.policy.text(), "inference/z");
  EXPECT_EQ(d.rule, 1);
}

TEST(Evaluator, Identities) {
  const RequestFacts r = request();
  const ConnectionFacts c = connection(), plain = connection("");
  for (const char* value : {"cluster.local/ns/api-gateway/sa/gateway-sa", "*", "cluster.local/*",
                            "*/sa/gateway-sa", "*way-sa"}) {
    EXPECT_TRUE(matches(from(principals({{value}, {}})), c, &r)) << value;
    EXPECT_FALSE(matches(from(principals({{value}, {}})), plain, &r)) << value;
    EXPECT_FALSE(matches(from(principals({{}, {value}})), c, &r)) << value;
    EXPECT_TRUE(matches(from(principals({{}, {value}})), plain, &r)) << value;
    EXPECT_TRUE(matches(from(principals({{value}, {}})), c, nullptr)) << value << " on TCP";
    EXPECT_TRUE(matches(from(principals({{value}, {}})), c, nullptr, kDeny)) << value;
  }
  EXPECT_FALSE(matches(
      from(principals({{"spiffe://cluster.local/ns/api-gateway/sa/gateway-sa"}, {}})), c, &r));
  EXPECT_TRUE(matches(from(namespaces({{"api-*"}, {}})), c, &r));
  EXPECT_FALSE(matches(from(namespaces({{"api-*"}, {}})), plain, &r));
  // Known: what is not named lets plaintext in (ISTIO-SECURITY-2021-004).
  EXPECT_TRUE(matches(from(namespaces({{}, {"evil"}})), plain, &r));
  EXPECT_TRUE(matches(from(accounts({{"api-gateway/gateway-sa"}, {}})), c, &r));
  EXPECT_FALSE(matches(from(accounts({{"gateway-sa"}, {}})), c, &r)) << "of the policy's namespace";
  EXPECT_TRUE(matches(from(accounts({{"gateway-sa"}, {}})),
                      connection("other/ns/inference/sa/gateway-sa"), &r));
  k8s::AuthorizationSource domains;
  domains.trust_domains = {{"cluster.*"}, {}};
  EXPECT_TRUE(matches(from(domains), c, &r));
  EXPECT_FALSE(matches(from(domains), plain, &r));
  EXPECT_FALSE(matches(from(domains), connection("other/ns/a/sa/b"), &r));
  EXPECT_FALSE(matches(from(accounts({{"a.i-gateway/gateway-sa"}, {}})), c, &r));
  EXPECT_FALSE(matches(from(namespaces({{"*"}, {}})), connection("td/spire/agent"), &r));
}

TEST(Evaluator, TheMeshTrustDomain) {
  world::World world = world_of({inference_authz()});
  world.mesh.trust_domain = "corp.example";
  const RequestFacts r = request();
  EXPECT_TRUE(
      ask(world, workload(), connection("corp.example/ns/api-gateway/sa/gateway-sa"), &r).allow);
  EXPECT_FALSE(ask(world, workload(), connection(), &r).allow);
}

TEST(Evaluator, SeveralFieldsAndAlternatives) {
  RequestFacts r = request("/a");
  k8s::AuthorizationRule rule;
  rule.from = {principals({{"nobody"}, {}}), namespaces({{"api-gateway"}, {}})};
  rule.to = {paths({{"/a"}, {}}), paths({{"/b"}, {}})};
  rule.when = {{"destination.port", {{"8080"}, {}}}, {"source.ip", {{"198.18.0.0/16"}, {}}}};
  EXPECT_TRUE(matches(rule, connection(), &r));
  r.path = "/b";
  EXPECT_TRUE(matches(rule, connection(), &r));
  r.path = "/c";
  EXPECT_FALSE(matches(rule, connection(), &r));
  r.path = "/b";
  rule.when[1].match.values = {"198.19.0.0/16"};
  EXPECT_FALSE(matches(rule, connection(), &r));
  // Positive and negative values of one field must both hold.
  EXPECT_TRUE(
      matches(to(paths({{"/v1/*"}, {"/v1/admin"}})), connection(), &(r = request("/v1/x"))));
  EXPECT_FALSE(
      matches(to(paths({{"/v1/*"}, {"/v1/admin"}})), connection(), &(r = request("/v1/admin"))));
}

TEST(Evaluator, AddressesPortsAndSni) {
  ConnectionFacts c = connection();
  RequestFacts r = request();
  r.remote_ip = ip("198.18.7.7");
  auto when_is = [&](const char* key, const char* value, const RequestFacts* facts) {
    return matches(when(key, {{value}, {}}), c, facts);
  };
  EXPECT_TRUE(when_is("source.ip", "198.18.0.1", &r));
  EXPECT_TRUE(when_is("source.ip", "198.18.0.0/24", nullptr));
  EXPECT_FALSE(when_is("source.ip", "::/0", &r));
  EXPECT_TRUE(when_is("remote.ip", "198.18.7.0/24", &r));
  EXPECT_FALSE(when_is("remote.ip", "198.18.0.0/24", &r));
  EXPECT_TRUE(when_is("remote.ip", "198.18.0.1", nullptr)) << "TCP: the direct peer";
  EXPECT_TRUE(when_is("destination.ip", "198.18.0.9", &r));
  EXPECT_TRUE(when_is("destination.port", "8080", nullptr));
  EXPECT_FALSE(when_is("destination.port", "80", nullptr));
  EXPECT_FALSE(when_is("connection.sni", "*", &r));
  c.sni = "a.example";
  EXPECT_TRUE(when_is("connection.sni", "*.example", nullptr));
  c.source_ip = ip("fd00::1");
  EXPECT_TRUE(when_is("source.ip", "fd00::/8", &r));
  EXPECT_FALSE(when_is("source.ip", "0.0.0.0/0", &r));
  EXPECT_TRUE(when_is("source.trustDomain", "cluster.local", &r));
  EXPECT_FALSE(when_is("source.trustDomain", "cluster", &r));
}

TEST(Evaluator, HttpFieldsOnOpaqueTcp) {
  const auto gateway = principals({{"*/gateway-sa"}, {}});
  k8s::AuthorizationRule rule;
  rule.from = {gateway};
  rule.to = {methods({{"GET"}, {}})};
  // ALLOW: the rule is dropped; nothing is left that allows.
  EXPECT_FALSE(matches(rule, connection(), nullptr, kAllow));
  EXPECT_TRUE(
      allows({policy("inference", "p", kAllow, {rule, from(gateway)})}, connection(), nullptr));
  EXPECT_FALSE(matches(to(methods({{}, {"GET"}})), connection(), nullptr, kAllow))
      << "also where it would hold without a request";
  // DENY: the field is ignored, the rest is kept: wider.
  EXPECT_TRUE(matches(rule, connection(), nullptr, kDeny));
  EXPECT_FALSE(matches(rule, connection("td/ns/a/sa/b"), nullptr, kDeny));
  EXPECT_TRUE(matches(to(methods({{"GET"}, {}})), connection(""), nullptr, kDeny))
      << "nothing but HTTP fields: all TCP";
  EXPECT_TRUE(matches(when("request.headers[x]", {{}, {"y"}}), connection(), nullptr, kDeny));
  k8s::AuthorizationRule ports = rule;
  ports.to[0].ports.values = {"9090"};
  EXPECT_FALSE(matches(ports, connection(), nullptr, kDeny));
  // AUDIT: as DENY.
  const world::World world = world_of({policy("inference", "p", kAudit, {rule})});
  EXPECT_TRUE(ask(world, workload(), connection(), nullptr).audited);
}

TEST(Evaluator, WhatCannotBeEnforcedDenies) {
  const RequestFacts r = request();
  k8s::AuthorizationOperation port;
  port.ports.values = {"70000"};
  k8s::AuthorizationSource block;
  block.ip_blocks.values = {"198.18.0.0/40"};
  const k8s::AuthorizationRule bad[] = {
      when("experimental.envoy.filters.x[y]", {{"v"}, {}}),
      when("request.nothing", {{"v"}, {}}),
      when("request.headers[:scheme]", {{"http"}, {}}),
      when("request.headers[]", {{"v"}, {}}),
      when("request.headers[a][b]", {{"v"}, {}}),
      when("request.auth.claims", {{"v"}, {}}),
      when("request.auth.claims[a]b", {{"v"}, {}}),
      when("source.ip", {{}, {}}),
      to(port),
      from(block),
      to(paths({{"/{**}/{*}"}, {}})),
      to(paths({{""}, {}})),
      from(accounts({{"a/*"}, {}})),
      from(accounts({{"a/b/c"}, {}})),
      from({}),
      to({}),
  };
  for (const auto& rule : bad)
    for (AuthorizationAction action : {kAllow, kDeny, kAudit}) {
      const auto broken = policy("inference", "broken", action, {{}, rule});
      const Unenforceable why = unenforceable(broken).value_or(Unenforceable{});
      EXPECT_EQ(why.rule, 1);
      EXPECT_FALSE(why.why.empty());
      const world::World world = world_of({broken, policy("inference", "all", kAllow, {{}})});
      for (const RequestFacts* facts : {&r, static_cast<const RequestFacts*>(nullptr)}) {
        const Decision d = ask(world, workload(), connection(), facts);
        EXPECT_FALSE(d.allow) << why.why;
        EXPECT_EQ(d.reason, Reason::kUnenforceable);
        EXPECT_EQ(d.policy.text(), "inference/broken");
        EXPECT_EQ(d.rule, 1);
      }
    }
  const auto custom = policy("inference", "custom", kCustom, {{}});
  EXPECT_TRUE(unenforceable(custom));
  EXPECT_FALSE(allows({custom}, connection(), &r));
  EXPECT_FALSE(unenforceable(inference_authz()));
}

TEST(Evaluator, DryRunTellsAndDoesNotAct) {
  const RequestFacts r = request();
  auto deny = policy("inference", "deny", kDeny, {{}});
  deny.dry_run = true;
  const Decision d = ask(world_of({deny}), workload(), connection(), &r);
  EXPECT_TRUE(d.allow);
  EXPECT_EQ(d.reason, Reason::kNoPolicy);
  EXPECT_TRUE(d.dry_run_deny);

  // An ALLOW in dry-run does not count as one that is there, and would have.
  auto allow = inference_authz();
  allow.dry_run = true;
  const RequestFacts other = request("/props");
  const world::World world = world_of({allow});
  const Decision passed = ask(world, workload(), connection(), &other);
  EXPECT_TRUE(passed.allow);
  EXPECT_TRUE(passed.dry_run_deny);
  EXPECT_EQ(passed.dry_run_policy.text(), "inference/inference-authz");
  EXPECT_FALSE(ask(world, workload(), connection(), &r).dry_run_deny);

  // Together with what is in force.
  auto live = policy("inference", "live", kDeny, {to(paths({{"/props"}, {}}))});
  const world::World both = world_of({allow, live});
  const Decision denied = ask(both, workload(), connection(), &other);
  EXPECT_FALSE(denied.allow);
  EXPECT_EQ(denied.dry_run_policy.text(), "inference/live");

  auto broken = policy("inference", "custom", kCustom, {{}});
  broken.dry_run = true;
  EXPECT_TRUE(allows({broken}, connection(), &r));
  auto audit = policy("inference", "audit", kAudit, {{}});
  audit.dry_run = true;
  EXPECT_FALSE(ask(world_of({audit}), workload(), connection(), &r).audited);
}

TEST(Nearest, NamesTheClauseThatFailed) {
  const world::World world =
      world_of({inference_authz(), policy("inference", "far", kAllow,
                                          {when("request.headers[x-team]", {{"red"}, {}})})});
  RequestFacts r = request("/props");
  NearestRule near = nearest(world, workload(), connection(), &r);
  EXPECT_EQ(near.policy, "inference/far");
  EXPECT_EQ(near.why, "when request.headers[x-team]: wants red, has no such header");
  const world::World one = world_of({inference_authz()});
  near = nearest(one, workload(), connection(), &r);
  EXPECT_EQ(near.policy, "inference/inference-authz");
  EXPECT_EQ(near.rule, 0);
  EXPECT_EQ(near.why, "paths: wants /v1/completions or /v1/chat/completions, has /props");
  r.path = "/v1/completions";
  near = nearest(one, workload(), connection(""), &r);
  EXPECT_EQ(near.why,
            "principals: wants cluster.local/ns/api-gateway/sa/gateway-sa, has no identity "
            "(plaintext)");
  near = nearest(one, workload(), connection(), nullptr);
  EXPECT_EQ(near.why, "does not apply to opaque TCP: methods, paths need HTTP");
  EXPECT_EQ(nearest(world_of({}), workload(), connection(), &r).policy, "");
}

}  // namespace
}  // namespace sallyport::authz
