#include "analysis/mesh_lints.h"

#include <gtest/gtest.h>

namespace sallyport::analysis {
namespace {

constexpr std::string_view kWorkloads = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: model, namespace: inference}
spec:
  selector: {matchLabels: {app: model}}
  template:
    metadata: {labels: {app: model}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: model, namespace: inference}
spec: {selector: {app: model}, ports: [{name: http, port: 8080}, {name: redis, port: 6379}]}
---
)";

constexpr std::string_view kStrict = R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: inference}
spec: {mtls: {mode: STRICT}}
---
)";

std::vector<std::string> lints(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  k8s::Manifest manifest = k8s::parse_manifest(text, "f");
  EXPECT_TRUE(manifest.ok()) << manifest.diagnostics[0].to_string();
  std::vector<std::string> out;
  for (const k8s::Diagnostic& d : mesh_lints(manifest.objects)) {
    EXPECT_EQ(d.severity, k8s::Diagnostic::Severity::kWarning);
    EXPECT_GT(d.origin.mark.line, 0);
    out.push_back(d.field_path + ": " + d.message);
  }
  return out;
}

// A policy of the namespace inference; lines of its spec.
std::string policy(const std::string& spec, const std::string& name = "p") {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
         ", namespace: inference}\nspec: " + spec + "\n---\n";
}

void expect_one(const std::vector<std::string>& lines, const std::string& start) {
  ASSERT_EQ(lines.size(), 1u) << start;
  EXPECT_TRUE(lines[0].starts_with(start)) << lines[0];
}

TEST(MeshLints, AGoodPolicyIsSilent) {
  EXPECT_TRUE(lints({kWorkloads, kStrict,
                     policy("{selector: {matchLabels: {app: model}}, rules: [{from: [{source: "
                            "{principals: [cluster.local/ns/a/sa/b]}}], to: [{operation: {ports: "
                            "[\"8080\"], methods: [POST], paths: [/v1/completions]}}]}]}")})
                  .empty());
  EXPECT_TRUE(lints({policy("{}")}).empty());
  EXPECT_TRUE(lints({}).empty());
}

TEST(MeshLints, SelectorsThatSelectNothing) {
  expect_one(lints({kWorkloads, policy("{selector: {matchLabels: {app: modle}}}")}),
             "spec.selector: selects no workload of these manifests");
  // Without workloads there is nothing to compare with.
  EXPECT_TRUE(lints({policy("{selector: {matchLabels: {app: modle}}}")}).empty());
}

TEST(MeshLints, RulesByAStrayDash) {
  expect_one(lints({policy("{rules: [{from: [{source: {ipBlocks: [198.18.0.1]}}]}, {to: "
                           "[{operation: {ports: [\"1\"]}}]}]}")}),
             "spec.rules[1]: has no `from`, and the rule before has nothing else");
  EXPECT_TRUE(lints({policy("{rules: [{from: [{source: {ipBlocks: [198.18.0.1]}}]}, {from: "
                            "[{source: {ipBlocks: [198.18.0.2]}}]}]}")})
                  .empty());
}

TEST(MeshLints, IdentitiesThatPlaintextEscapes) {
  const std::string deny =
      policy("{action: DENY, rules: [{from: [{source: {namespaces: [evil]}}]}]}");
  const std::string allow = policy(
      "{rules: [{when: [{key: source.principal, notValues: [cluster.local/ns/evil/sa/x]}]}]}");
  expect_one(lints({kWorkloads, deny}),
             "spec.rules[0].from[0].source.namespaces: a caller without mutual TLS has no identity "
             "and is not denied by this, and Deployment inference/model accepts such callers");
  expect_one(lints({kWorkloads, allow}),
             "spec.rules[0].when[0].notValues: a caller without mutual TLS has no identity and is "
             "allowed by this");
  EXPECT_TRUE(lints({kWorkloads, kStrict, deny}).empty());
  EXPECT_TRUE(lints({kWorkloads, kStrict, allow}).empty());
  EXPECT_EQ(lints({kWorkloads, kStrict, deny, R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: port, namespace: inference}
spec: {selector: {matchLabels: {app: model}}, mtls: {mode: STRICT}, portLevelMtls: {9: {mode: PERMISSIVE}}}
)"})
                .size(),
            1u)
      << "one port is not STRICT";
}

TEST(MeshLints, TrustDomainsAndNamespacesThatAreNotThere) {
  expect_one(lints({policy("{rules: [{from: [{source: {principals: [corp/ns/a/sa/b, "
                           "cluster.local/ns/a/sa/b, \"*/ns/a/sa/b\", short]}}]}]}")}),
             "spec.rules[0].from[0].source.principals: \"corp/ns/a/sa/b\": the trust domain of "
             "this mesh is cluster.local");
  const std::string named =
      policy("{rules: [{from: [{source: {namespaces: [api, apy, \"a*\"]}}]}]}");
  expect_one(lints({"apiVersion: v1\nkind: Namespace\nmetadata: {name: api}\n---\n", named}),
             "spec.rules[0].from[0].source.namespaces: there is no namespace \"apy\"");
  EXPECT_TRUE(lints({named}).empty()) << "the namespaces are elsewhere";
}

TEST(MeshLints, TokensThatNobodyChecks) {
  const std::string tokens = policy("{rules: [{from: [{source: {requestPrincipals: [\"*\"]}}]}]}");
  const std::string authentication = R"(apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: r, namespace: inference}
spec: {jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"RSA","n":"a","e":"b"}]}'}]}
)";
  expect_one(lints({tokens}),
             "spec.rules[0].from[0].source.requestPrincipals: no RequestAuthentication checks");
  EXPECT_TRUE(lints({tokens, authentication}).empty());
  expect_one(lints({authentication}), ": a request without a token still passes");
}

TEST(MeshLints, HostsWithoutTheirPort) {
  expect_one(lints({policy("{rules: [{to: [{operation: {hosts: [a.example, b.example, "
                           "\"b.example:*\", \"*.c\"]}}]}]}")}),
             "spec.rules[0].to[0].operation.hosts: \"a.example\" does not match a Host with a "
             "port; name \"a.example:*\" too");
}

TEST(MeshLints, HostsThatRestrictNeedNoPort) {
  EXPECT_TRUE(lints({policy("{action: DENY, rules: [{to: [{operation: {hosts: [a.example], ports: "
                            "[\"80\"]}}]}]}")})
                  .empty());
}

TEST(MeshLints, TheWrongWayRound) {
  expect_one(lints({policy("{rules: [{to: [{operation: {notPaths: [/admin]}}]}]}")}),
             "spec.rules[0].to[0].operation.notPaths: allows everything that is not named");
  expect_one(lints({policy("{action: DENY, rules: [{to: [{operation: {paths: [/admin], ports: "
                           "[\"80\"]}}]}]}")}),
             "spec.rules[0].to[0].operation.paths: denies only what is named");
  EXPECT_TRUE(lints({policy("{action: DENY, rules: [{to: [{operation: {notPaths: [/v1], ports: "
                            "[\"80\"]}}]}]}")})
                  .empty());
}

TEST(MeshLints, HttpConditionsAtOpaquePorts) {
  expect_one(lints({kWorkloads, policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}")}),
             "spec.rules[0]: port 6379 of Deployment inference/model is declared as tcp, where "
             "HTTP conditions (methods) make that the rule allows nothing");
  expect_one(lints({kWorkloads, policy("{action: DENY, rules: [{to: [{operation: {methods: [PUT], "
                                       "ports: [\"6379\"]}}]}]}")}),
             "spec.rules[0]: port 6379 of Deployment inference/model is declared as tcp, where "
             "HTTP conditions (methods) are ignored, so that the rule matches more");
  for (const char* elsewhere :
       {"{rules: [{to: [{operation: {methods: [GET], ports: [\"8080\"]}}]}]}",
        "{rules: [{to: [{operation: {methods: [GET], notPorts: [\"6379\"]}}]}]}",
        "{rules: [{to: [{operation: {methods: [GET]}}], when: [{key: "
        "destination.port, values: [\"8080\"]}]}]}"})
    EXPECT_TRUE(lints({kWorkloads, policy(elsewhere)}).empty()) << elsewhere;
}

TEST(MeshLints, PeerAuthenticationsWithoutEffect) {
  expect_one(lints({kStrict, R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: zz, namespace: inference}
spec: {mtls: {mode: DISABLE}}
)"}),
             ": has no effect: PeerAuthentication strict is for the same namespace");
  expect_one(lints({R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: r, namespace: istio-system}
spec: {selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}}
)"}),
             "spec.selector: is not heeded in the root namespace istio-system");
}

TEST(MeshLints, AnnotationsThatAreWrong) {
  expect_one(lints({R"(apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: http}}
spec: {containers: [{name: c, image: i}]}
)"}),
             "metadata.annotations: traffic.sidecar.istio.io/excludeInboundPorts: \"http\" is not");
}

}  // namespace
}  // namespace sallyport::analysis
