#include "analysis/mesh_gate.h"

#include <gtest/gtest.h>

#include "codec/json.h"
#include "k8s/manifest.h"

namespace sallyport::analysis {
namespace {

constexpr std::string_view kPods = R"(
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: api-gateway, labels: {app: gateway}}
spec: {serviceAccountName: gateway-sa, containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 198.18.0.1}, {ip: "fd00::1"}], phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: shell, namespace: attacker, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 198.18.0.2}], phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: model, namespace: inference, labels: {app: model-server}, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "9999"}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
status: {podIPs: [{ip: 198.18.0.3}, {ip: "fd00::3"}], phase: Running}
---
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: inference}
spec: {selector: {app: model-server}, ports: [{name: tcp-raw, port: 9000}, {name: grpc, port: 9001}]}
)";

constexpr std::string_view kArticle = R"(
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: inference-authz, namespace: inference}
spec:
  selector: {matchLabels: {app: model-server}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/api-gateway/sa/gateway-sa]}}]
    to: [{operation: {methods: [POST], paths: [/v1/completions, /v1/chat/completions]}}]
)";

constexpr std::string_view kStrict = R"(
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: inference}
spec: {mtls: {mode: STRICT}}
)";

world::World world_of(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  k8s::Manifest manifest = k8s::parse_manifest(text, "f.yaml");
  for (const k8s::Diagnostic& d : manifest.diagnostics)
    if (d.severity == k8s::Diagnostic::Severity::kError) ADD_FAILURE() << d.to_string();
  return world::from_objects(manifest.objects);
}

struct Ask {
  std::string from = "api-gateway/gateway";
  std::string to = "inference/model";
  uint16_t port = 8080;
  MeshQuery query = {};
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  mesh::UnlabelledPods unlabelled = mesh::UnlabelledPods::kIn;
};

policy::Query network_query(const world::World& world, const Ask& ask) {
  auto pod = [&](const std::string& key, Ip& ip) -> const world::Endpoint* {
    size_t slash = key.find('/');
    if (slash != std::string::npos)
      return world.find_pod(key.substr(0, slash), key.substr(slash + 1));
    ip = Ip::parse(key).value();
    return nullptr;
  };
  policy::Query query;
  query.from_pod = pod(ask.from, query.from);
  query.to_pod = pod(ask.to, query.to);
  query.port = ask.port;
  query.protocol = ask.protocol;
  return query;
}

std::optional<MeshVerdict> judge(const world::World& world, const Ask& ask) {
  return judge_mesh(world, network_query(world, ask), ask.query, ask.unlabelled);
}

// "verdict policy rule action reason" in one line; "-" where the gate has no say.
std::string say(const world::World& world, const Ask& ask) {
  auto verdict = judge(world, ask);
  return verdict ? codec::write_json(mesh_value(*verdict)) : "-";
}

MeshQuery http(const std::string& method, const std::string& path) {
  MeshQuery query;
  query.http.emplace();
  query.http->method = method;
  query.http->path = path;
  return query;
}

TEST(MeshGate, HasNoSayWhereNothingIsMeshed) {
  world::World world = world_of({kPods, kArticle, kStrict});
  EXPECT_EQ(say(world, {.unlabelled = mesh::UnlabelledPods::kOut}), "-");
  EXPECT_EQ(say(world, {.to = "attacker/shell"}), "-");
  EXPECT_EQ(say(world, {.to = "198.18.77.1"}), "-");
  EXPECT_EQ(say(world, {.protocol = k8s::Protocol::kUdp}), "-");
  EXPECT_EQ(say(world, {.port = 0, .protocol = k8s::Protocol::kIcmp}), "-");
}

TEST(MeshGate, ARunningWorldGoesByItsLabels) {
  world::World world = world_of({kPods, kStrict, R"(
---
apiVersion: v1
kind: Namespace
metadata: {name: inference, labels: {sallyport.dev/mesh: enabled}}
)"});
  Ask ask{.unlabelled = mesh::UnlabelledPods::kOut};
  EXPECT_EQ(say(world, ask),
            R"({"verdict":"deny","policy":"inference/strict","rule":null,"action":"STRICT",)"
            R"("reason":"mutual TLS is required"})")
      << "the caller's namespace is not meshed";
  ask.unlabelled = mesh::UnlabelledPods::kIn;
  EXPECT_TRUE(judge(world, ask)->allow());
}

TEST(MeshGate, TheArticlesPolicy) {
  world::World world = world_of({kPods, kArticle});
  EXPECT_EQ(say(world, {.query = http("POST", "/v1/completions")}),
            R"({"verdict":"allow","policy":"inference/inference-authz","rule":0,"action":"ALLOW",)"
            R"("reason":"allowed by rule"})");
  auto denied = judge(world, {.query = http("POST", "/props")});
  ASSERT_TRUE(denied);
  EXPECT_EQ(denied->outcome, MeshVerdict::Outcome::kDeny);
  EXPECT_EQ(denied->policy, "inference/inference-authz");
  EXPECT_FALSE(denied->rule);
  EXPECT_EQ(denied->action, "ALLOW");
  ASSERT_TRUE(denied->nearest);
  EXPECT_EQ(denied->nearest->policy, "inference/inference-authz");
  EXPECT_NE(denied->nearest->why.find("/props"), std::string::npos) << denied->nearest->why;
  EXPECT_FALSE(judge(world, {.query = http("GET", "/v1/completions")})->allow());
  EXPECT_FALSE(judge(world, {})->allow()) << "as opaque TCP the rule is dropped";
  // The caller without identity, and another identity.
  EXPECT_FALSE(
      judge(world, {.from = "attacker/shell", .query = http("POST", "/v1/completions")})->allow());
  MeshQuery other = http("POST", "/v1/completions");
  other.principal = "spiffe://cluster.local/ns/api-gateway/sa/other";
  EXPECT_FALSE(judge(world, {.query = other})->allow());
  other.principal = "spiffe://cluster.local/ns/api-gateway/sa/gateway-sa";
  EXPECT_TRUE(judge(world, {.from = "198.18.0.9", .query = other})->allow())
      << "who has the identity has mutual TLS";
  other.mtls = false;
  EXPECT_FALSE(judge(world, {.query = other})->allow()) << "plaintext has no identity";
}

TEST(MeshGate, EverySpellingIsTheSamePathOrRefused) {
  world::World world = world_of({kPods, kArticle});
  for (const char* allowed :
       {"//v1/completions", "/v1/./completions", "/x/../v1/completions", "/v1/%63ompletions",
        "/v1\\completions", "/v1/completions?a=b", "http://model.inference:8080/v1/completions"})
    EXPECT_TRUE(judge(world, {.query = http("POST", allowed)})->allow()) << allowed;
  for (const char* denied :
       {"//props", "/%70rops", "/v1/chat/completions/../../props", "/v1/completions;x",
        "/V1/COMPLETIONS", "/v1/completions/", "http://h/props"})
    EXPECT_EQ(judge(world, {.query = http("POST", denied)})->outcome, MeshVerdict::Outcome::kDeny)
        << denied;
  for (const char* rejected :
       {"/v1/chat/completions%2f..%2f..%2fprops", "/%00", "/%zz", "props", "", "/a b", "/a#b",
        "ftp://h/v1/completions", "http://a@h/v1/completions", "*", "/v1/completions\r\nx: y"})
    EXPECT_EQ(judge(world, {.query = http("POST", rejected)})->outcome,
              MeshVerdict::Outcome::kReject)
        << rejected;
  for (const char* method : {"post", "", "PO ST", "CONNECT"})
    EXPECT_EQ(judge(world, {.query = http(method, "/v1/completions")})->outcome,
              MeshVerdict::Outcome::kReject)
        << method;
  EXPECT_EQ(say(world, {.query = http("POST", "/a%2fb")}),
            R"({"verdict":"reject","policy":null,"rule":null,"action":null,)"
            R"("reason":"the path has no canonical form: it holds an escaped slash"})");
}

TEST(MeshGate, EscapedSlashesByAnnotation) {
  world::World world = world_of({kPods, R"(
---
apiVersion: v1
kind: Pod
metadata: {name: hub, namespace: inference, labels: {app: hub}, annotations: {sallyport.dev/allow-escaped-slashes: "true"}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 198.18.0.4}], phase: Running}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: models, namespace: inference}
spec: {rules: [{to: [{operation: {paths: ["/v1/models/{*}"]}}]}]}
)"});
  EXPECT_TRUE(judge(world, {.to = "inference/hub", .query = http("GET", "/v1/models/org%2Fname")})
                  ->allow());
  EXPECT_EQ(judge(world, {.query = http("GET", "/v1/models/org%2Fname")})->outcome,
            MeshVerdict::Outcome::kReject);
}

TEST(MeshGate, BadHeadersAreRefused) {
  world::World world = world_of({kPods});
  auto with = [&](const std::string& name, const std::string& value, const std::string& host = "") {
    MeshQuery query = http("GET", "/");
    query.http->host = host;
    query.http->headers = {{name, value}};
    return judge(world, {.query = query})->outcome;
  };
  EXPECT_EQ(with("X-Tenant", "a b"), MeshVerdict::Outcome::kAllow);
  EXPECT_EQ(with("x tenant", "a"), MeshVerdict::Outcome::kReject);
  EXPECT_EQ(with("", "a"), MeshVerdict::Outcome::kReject);
  EXPECT_EQ(with("a", "b\r\nc: d"), MeshVerdict::Outcome::kReject);
  EXPECT_EQ(with("Host", "a.example"), MeshVerdict::Outcome::kAllow);
  EXPECT_EQ(with("Host", "a.example", "A.example"), MeshVerdict::Outcome::kAllow);
  EXPECT_EQ(with("Host", "b.example", "a.example"), MeshVerdict::Outcome::kReject);
  EXPECT_EQ(with("Host", "user@b"), MeshVerdict::Outcome::kReject);
}

TEST(MeshGate, ConditionsOnHeadersHostsAndAddresses) {
  world::World world = world_of({kPods, R"(
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}"}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: inference}
spec:
  rules:
  - when: [{key: "request.headers[X-Tenant]", values: [acme]}]
  - to: [{operation: {hosts: [model.example]}}]
  - from: [{source: {remoteIpBlocks: [198.18.7.0/24]}}]
  - when: [{key: connection.sni, values: ["*.sni"]}]
  - when: [{key: "request.headers[x-envoy-attempt-count]", values: ["1"]}]
)"});
  auto rule = [&](MeshQuery query) { return judge(world, {.query = std::move(query)})->rule; };
  MeshQuery query = http("GET", "/");
  EXPECT_EQ(rule(query), std::nullopt);
  query.http->headers = {{"x-TENANT", "acme"}};
  EXPECT_EQ(rule(query), 0);
  query.http->headers = {{"host", "MODEL.example"}};
  EXPECT_EQ(rule(query), 1);
  query.http->headers = {{"x-forwarded-for", "198.18.1.1, 198.18.7.7"}};
  EXPECT_EQ(rule(query), 2);
  query.http->headers = {{"x-forwarded-for", "198.18.7.7, 198.18.1.1"}};
  EXPECT_EQ(rule(query), std::nullopt) << "what the client claims does not count";
  query.http->headers = {{"x-envoy-attempt-count", "1"}};
  EXPECT_EQ(rule(query), std::nullopt) << "stripped before it is judged";
  query.http->headers.clear();
  query.sni = "a.sni";
  EXPECT_EQ(rule(query), 3);
}

TEST(MeshGate, PeerAuthenticationByPort) {
  world::World world = world_of({kPods, kStrict, R"(
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ports, namespace: inference}
spec: {selector: {matchLabels: {app: model-server}}, mtls: {mode: STRICT}, portLevelMtls: {8081: {mode: PERMISSIVE}, 8082: {mode: DISABLE}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: identified, namespace: inference}
spec: {rules: [{from: [{source: {principals: ["*"]}}]}]}
)"});
  auto strict = judge(world, {.from = "attacker/shell"});
  EXPECT_EQ(strict->policy, "inference/ports");
  EXPECT_EQ(strict->step, MeshVerdict::Step::kStrict);
  EXPECT_TRUE(judge(world, {})->allow());
  MeshQuery plain;
  plain.mtls = false;
  EXPECT_EQ(judge(world, {.query = plain})->policy, "inference/ports");
  auto permissive = judge(world, {.from = "attacker/shell", .port = 8081});
  EXPECT_EQ(permissive->step, MeshVerdict::Step::kAuthorization);
  EXPECT_FALSE(permissive->allow()) << "no identity";
  EXPECT_TRUE(judge(world, {.port = 8081})->allow());
  EXPECT_FALSE(judge(world, {.port = 8082})->allow()) << "DISABLE: nobody has an identity";
  MeshQuery tls;
  tls.mtls = true;
  EXPECT_FALSE(judge(world, {.port = 8082, .query = tls})->allow());
  // An excluded port is out of the mesh, STRICT or not.
  EXPECT_EQ(judge(world, {.from = "attacker/shell", .port = 9999})->step,
            MeshVerdict::Step::kNotTaken);
  // A pod to itself is not intercepted.
  EXPECT_EQ(judge(world, {.from = "inference/model"})->step, MeshVerdict::Step::kNotTaken);
}

TEST(MeshGate, OutboundExclusionsMakeThePlaintextCaller) {
  world::World world = world_of({kPods, kStrict, R"(
---
apiVersion: v1
kind: Pod
metadata: {name: out, namespace: api-gateway, annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: "8080", traffic.sidecar.istio.io/excludeOutboundIPRanges: "fd00::/8"}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 198.18.0.5}, {ip: "fd00::5"}], phase: Running}
)"});
  EXPECT_FALSE(judge(world, {.from = "api-gateway/out"})->allow());
  EXPECT_TRUE(judge(world, {.from = "api-gateway/out", .port = 8081})->allow());
  Ask v6{.from = "api-gateway/out", .port = 8081};
  policy::Query query = network_query(world, v6);
  query.family = Family::kV6;
  EXPECT_FALSE(judge_mesh(world, query, {}, mesh::UnlabelledPods::kIn)->allow());
}

TEST(MeshGate, Tokens) {
  const std::string_view policies = R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens, namespace: inference}
spec:
  rules:
  - from: [{source: {requestPrincipals: ["https://iss/alice"]}}]
  - when: [{key: "request.auth.claims[roles]", values: [admin]}]
)";
  const std::string_view authentication = R"(
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: inference}
spec: {jwtRules: [{issuer: "https://iss", audiences: [models], spaceDelimitedClaims: [roles], jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"a"}]}'}]}
)";
  auto ask = [](const world::World& world, const char* claims) {
    MeshQuery query = http("GET", "/");
    if (*claims) query.http->jwt = codec::parse_json(claims).value();
    return judge(world, {.query = query}).value();
  };
  world::World open = world_of({kPods, policies});
  EXPECT_FALSE(ask(open, "").allow());
  EXPECT_EQ(ask(open, R"({"iss":"https://iss","sub":"alice"})").rule, 0);
  EXPECT_FALSE(ask(open, R"({"iss":"https://iss","sub":"bob"})").allow());
  EXPECT_EQ(ask(open, R"({"iss":"x","sub":"y","roles":["user","admin"]})").rule, 1);
  EXPECT_FALSE(ask(open, R"({"iss":"x","sub":"y","roles":"user admin"})").allow());
  EXPECT_FALSE(ask(open, R"({"sub":"alice"})").allow());

  world::World checked = world_of({kPods, policies, authentication});
  EXPECT_EQ(ask(checked, R"({"iss":"https://iss","sub":"alice","aud":"models"})").rule, 0);
  EXPECT_EQ(
      ask(checked, R"({"iss":"https://iss","sub":"x","aud":["a","models"],"roles":"a admin"})")
          .rule,
      1);
  MeshVerdict audience = ask(checked, R"({"iss":"https://iss","sub":"alice","aud":"other"})");
  EXPECT_EQ(audience.step, MeshVerdict::Step::kToken);
  EXPECT_EQ(audience.policy, "inference/jwt");
  EXPECT_EQ(audience.reason, "no rule takes the audiences of the token (403)");
  MeshVerdict issuer = ask(checked, R"({"iss":"https://other","sub":"alice"})");
  EXPECT_FALSE(issuer.allow());
  EXPECT_EQ(issuer.reason, "no rule takes the issuer of the token (401)");
  EXPECT_EQ(ask(checked, "").step, MeshVerdict::Step::kAuthorization) << "no token is no error";
}

TEST(MeshGate, DeclaredPorts) {
  world::World world = world_of({kPods, kArticle});
  auto raw = judge(world, {.port = 9000, .query = http("POST", "/v1/completions")});
  EXPECT_FALSE(raw->allow());
  EXPECT_EQ(raw->note, "the port is declared as tcp: judged as opaque TCP");
  EXPECT_TRUE(judge(world, {.port = 9001, .query = http("POST", "/v1/completions")})->allow());
}

TEST(MeshGate, AuditDryRunAndWhatCannotBeEnforced) {
  world::World world = world_of({kPods, R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: audit, namespace: inference}
spec: {action: AUDIT, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: dry, namespace: inference, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{}]}
)"});
  EXPECT_EQ(
      say(world, {}),
      R"({"verdict":"allow","policy":null,"rule":null,"action":null,"reason":"no ALLOW policy",)"
      R"("audit":{"policy":"inference/audit","rule":0},)"
      R"("dryRun":{"verdict":"deny","policy":"inference/dry"}})");
  EXPECT_EQ(mesh_text(*judge(world, {}), 8080),
            "  mesh:    allowed by default: no ALLOW policy selects the workload\n"
            "    caller      spiffe://cluster.local/ns/api-gateway/sa/gateway-sa\n"
            "    audited by  inference/audit rule 0\n"
            "    dry run     would be denied by inference/dry\n");
  world = world_of({kPods, R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: custom, namespace: inference}
spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]}
)"});
  auto custom = judge(world, {});
  EXPECT_FALSE(custom->allow());
  EXPECT_EQ(custom->action, "CUSTOM");
  EXPECT_TRUE(mesh_text(*custom, 8080)
                  .starts_with("  mesh:    denied by AuthorizationPolicy inference/custom: "))
      << mesh_text(*custom, 8080);
}

TEST(MeshGate, AllPodsOfAnEmptyPolicyAreDenied) {
  world::World world = world_of({kPods, R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: istio-system}
spec: {}
)"});
  EXPECT_EQ(say(world, {}),
            R"({"verdict":"deny","policy":"istio-system/nothing","rule":null,"action":"ALLOW",)"
            R"("reason":"no ALLOW rule matches"})");
  EXPECT_EQ(mesh_text(*judge(world, {}), 8080),
            "  mesh:    denied by default\n"
            "    policies    istio-system/nothing\n"
            "    nearest     none: they have no rules\n"
            "    caller      spiffe://cluster.local/ns/api-gateway/sa/gateway-sa\n");
}

}  // namespace
}  // namespace sallyport::analysis
