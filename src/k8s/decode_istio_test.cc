// What decoded objects of Istio's security API hold, and of what they warn.
#include <gtest/gtest.h>

#include "k8s/istio_values.h"
#include "k8s/manifest.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kHead = "apiVersion: security.istio.io/v1\nkind: ";

template <class T>
T only(const std::string& kind, const std::string& spec, std::string metadata = "{name: x}") {
  std::string text = std::string(kHead) + kind + "\nmetadata: " + metadata + "\nspec: " + spec;
  Manifest manifest = parse_manifest(text, "f.yaml");
  for (const Diagnostic& d : manifest.diagnostics)
    if (d.severity == Diagnostic::Severity::kError) ADD_FAILURE() << d.to_string();
  if (manifest.objects.size() != 1 || !std::holds_alternative<T>(manifest.objects[0])) {
    ADD_FAILURE() << "not one object of the kind";
    return {};
  }
  return std::get<T>(manifest.objects[0]);
}

std::vector<std::string> warnings(const std::string& kind, const std::string& spec) {
  std::string text = std::string(kHead) + kind + "\nmetadata: {name: x}\nspec: " + spec;
  Manifest manifest = parse_manifest(text, "f");
  EXPECT_TRUE(manifest.ok()) << manifest.diagnostics[0].to_string();
  std::vector<std::string> out;
  for (const Diagnostic& d : manifest.diagnostics)
    out.push_back(std::to_string(d.origin.mark.line) + ":" + std::to_string(d.origin.mark.column) +
                  " " + d.field_path + ": " + d.message);
  return out;
}

TEST(DecodeIstio, AuthorizationPolicy) {
  auto policy = only<AuthorizationPolicy>("AuthorizationPolicy", R"(
  selector: {matchLabels: {app: model-server}}
  rules:
  - from:
    - source: {principals: [p], notPrincipals: [np], requestPrincipals: [r], notRequestPrincipals: [nr], namespaces: [ns], notNamespaces: [nn], ipBlocks: [198.18.0.1], notIpBlocks: [198.18.0.2], remoteIpBlocks: [198.18.0.3], notRemoteIpBlocks: [198.18.0.4]}
    - source: {serviceAccounts: [s], notServiceAccounts: [ns/a], trustDomains: [td], notTrustDomains: ["*.td"]}
    to:
    - operation: {hosts: [h], notHosts: [nh], ports: ["1"], notPorts: ["2"], methods: [m], notMethods: [nm], paths: [/p], notPaths: [/np]}
    when: [{key: "request.headers[x-tenant]", values: [v], notValues: [nv]}]
  - {}
)");
  using V = MatchValues;
  EXPECT_EQ(policy.action, AuthorizationAction::kAllow);
  EXPECT_EQ(policy.selector, (Labels{{"app", "model-server"}}));
  EXPECT_FALSE(policy.dry_run || policy.has_target_refs);
  ASSERT_EQ(policy.rules.size(), 2u);
  const AuthorizationRule& rule = policy.rules[0];
  EXPECT_EQ(rule.mark.line, 7);
  ASSERT_EQ(rule.from.size(), 2u);
  EXPECT_EQ(rule.from[0].principals, (V{{"p"}, {"np"}}));
  EXPECT_EQ(rule.from[0].request_principals, (V{{"r"}, {"nr"}}));
  EXPECT_EQ(rule.from[0].namespaces, (V{{"ns"}, {"nn"}}));
  EXPECT_EQ(rule.from[0].ip_blocks, (V{{"198.18.0.1"}, {"198.18.0.2"}}));
  EXPECT_EQ(rule.from[0].remote_ip_blocks, (V{{"198.18.0.3"}, {"198.18.0.4"}}));
  EXPECT_EQ(rule.from[1].service_accounts, (V{{"s"}, {"ns/a"}}));
  EXPECT_EQ(rule.from[1].trust_domains, (V{{"td"}, {"*.td"}}));
  ASSERT_EQ(rule.to.size(), 1u);
  EXPECT_EQ(rule.to[0].hosts, (V{{"h"}, {"nh"}}));
  EXPECT_EQ(rule.to[0].ports, (V{{"1"}, {"2"}}));
  EXPECT_EQ(rule.to[0].methods, (V{{"m"}, {"nm"}}));
  EXPECT_EQ(rule.to[0].paths, (V{{"/p"}, {"/np"}}));
  ASSERT_EQ(rule.when.size(), 1u);
  EXPECT_EQ(rule.when[0].key, "request.headers[x-tenant]");
  EXPECT_EQ(rule.when[0].match, (V{{"v"}, {"nv"}}));
  EXPECT_TRUE(policy.rules[1].from.empty() && policy.rules[1].to.empty());
  EXPECT_TRUE(policy.rules[1].when.empty());
}

TEST(DecodeIstio, ActionsAndDryRun) {
  using enum AuthorizationAction;
  const std::pair<const char*, AuthorizationAction> kActions[] = {
      {"{}", kAllow},
      {"{action: ALLOW}", kAllow},
      {"{action: DENY, rules: [{}]}", kDeny},
      {"{action: AUDIT}", kAudit},
      {"{action: CUSTOM, provider: {name: opa}, rules: [{}]}", kCustom}};
  for (const auto& [spec, action] : kActions)
    EXPECT_EQ(only<AuthorizationPolicy>("AuthorizationPolicy", spec).action, action) << spec;
  EXPECT_EQ(only<AuthorizationPolicy>("AuthorizationPolicy", kActions[4].first).provider, "opa");
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    EXPECT_TRUE(only<AuthorizationPolicy>(
                    "AuthorizationPolicy", "{}",
                    "{name: x, annotations: {istio.io/dry-run: \"" + std::string(yes) + "\"}}")
                    .dry_run)
        << yes;
  EXPECT_FALSE(only<AuthorizationPolicy>("AuthorizationPolicy", "{}",
                                         "{name: x, annotations: {istio.io/dry-run: \"false\"}}")
                   .dry_run);
}

TEST(DecodeIstio, TargetsAreMarked) {
  const std::string one = "{targetRef: {kind: Service, name: a}}";
  const std::string many =
      "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: g}]}";
  EXPECT_TRUE(only<AuthorizationPolicy>("AuthorizationPolicy", one).has_target_refs);
  EXPECT_TRUE(only<AuthorizationPolicy>("AuthorizationPolicy", many).has_target_refs);
  EXPECT_TRUE(only<RequestAuthentication>("RequestAuthentication", many).has_target_refs);
  EXPECT_FALSE(
      only<AuthorizationPolicy>("AuthorizationPolicy", "{targetRefs: []}").has_target_refs);
  EXPECT_EQ(
      warnings("AuthorizationPolicy", one),
      (std::vector<std::string>{"4:19 spec.targetRef: selects gateways and waypoints only; no "
                                "sidecar heeds this policy"}));
}

TEST(DecodeIstio, PeerAuthentication) {
  using enum MutualTlsMode;
  auto plain = only<PeerAuthentication>("PeerAuthentication", "{}");
  EXPECT_EQ(plain.mode, kUnset);
  EXPECT_FALSE(plain.has_selector);
  auto empty =
      only<PeerAuthentication>("PeerAuthentication", "{selector: {}, mtls: {mode: STRICT}}");
  EXPECT_EQ(empty.mode, kStrict);
  EXPECT_FALSE(empty.has_selector);
  auto full = only<PeerAuthentication>(
      "PeerAuthentication",
      "{selector: {matchLabels: {a: b}}, mtls: {mode: PERMISSIVE}, portLevelMtls: {8080: {mode: "
      "STRICT}, \"9090\": {mode: DISABLE}, 1: {}}}");
  EXPECT_TRUE(full.has_selector);
  EXPECT_EQ(full.selector, (Labels{{"a", "b"}}));
  EXPECT_EQ(full.mode, kPermissive);
  EXPECT_EQ(full.port_modes,
            (std::map<uint16_t, MutualTlsMode>{{1, kUnset}, {8080, kStrict}, {9090, kDisable}}));
}

TEST(DecodeIstio, RequestAuthentication) {
  auto object = only<RequestAuthentication>("RequestAuthentication", R"(
  selector: {matchLabels: {a: b}}
  jwtRules:
  - issuer: i
    audiences: [a, b]
    jwks: '{"keys":[{"kty":"RSA","n":"a","e":"b"}]}'
    fromHeaders: [{name: X-Token, prefix: "Token "}, {name: z}]
    fromParams: [p]
    fromCookies: [c]
    outputPayloadToHeader: o
    outputClaimToHeaders: [{header: h, claim: cl}]
    spaceDelimitedClaims: [roles]
    forwardOriginalToken: true
  - {jwks_uri: "https://k"}
)");
  EXPECT_EQ(object.selector, (Labels{{"a", "b"}}));
  ASSERT_EQ(object.rules.size(), 2u);
  const JwtRule& rule = object.rules[0];
  EXPECT_EQ(rule.issuer, "i");
  EXPECT_EQ(rule.audiences, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(rule.jwks.starts_with("{\"keys\""));
  ASSERT_EQ(rule.from_headers.size(), 2u);
  EXPECT_EQ(rule.from_headers[0].name, "X-Token");
  EXPECT_EQ(rule.from_headers[0].prefix, "Token ");
  EXPECT_EQ(rule.from_headers[1].prefix, "");
  EXPECT_EQ(rule.from_params, (std::vector<std::string>{"p"}));
  EXPECT_EQ(rule.from_cookies, (std::vector<std::string>{"c"}));
  EXPECT_EQ(rule.output_payload_to_header, "o");
  ASSERT_EQ(rule.output_claim_to_headers.size(), 1u);
  EXPECT_EQ(rule.output_claim_to_headers[0], (std::pair<std::string, std::string>{"h", "cl"}));
  EXPECT_EQ(rule.space_delimited_claims, (std::vector<std::string>{"roles"}));
  EXPECT_TRUE(rule.forward_original_token);
  EXPECT_EQ(object.rules[1].jwks_uri, "https://k");
  EXPECT_FALSE(object.rules[1].forward_original_token);
}

TEST(DecodeIstio, TimesOfCreationCompareAsTexts) {
  auto time = [](const std::string& text) {
    return only<PeerAuthentication>("PeerAuthentication", "{}",
                                    "{name: x, creationTimestamp: \"" + text + "\"}")
        .meta.creation_timestamp;
  };
  EXPECT_EQ(time("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
  EXPECT_EQ(time("2026-01-02T03:04:05.999Z"), "2026-01-02T03:04:05Z");
  EXPECT_EQ(time("2026-01-01T00:30:00+01:00"), "2025-12-31T23:30:00Z");
  EXPECT_EQ(time("2026-02-28T23:30:00-01:30"), "2026-03-01T01:00:00Z");
  EXPECT_EQ(only<PeerAuthentication>("PeerAuthentication", "{}").meta.creation_timestamp, "");
}

TEST(DecodeIstio, WarnsOfRulesThatDenyAllTcp) {
  auto lines = warnings("AuthorizationPolicy",
                        "{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(
      lines[0].starts_with("4:30 spec.rules[0]: has only conditions on HTTP: this DENY "
                           "rule will deny all traffic to TCP ports"))
      << lines[0];
  for (const char* http : {"{when: [{key: \"request.headers[a]\", values: [b]}]}",
                           "{from: [{source: {requestPrincipals: [\"*\"]}}]}",
                           "{to: [{operation: {methods: [GET], hosts: [a]}}]}"})
    EXPECT_EQ(warnings("AuthorizationPolicy", std::string("{action: DENY, rules: [") + http + "]}")
                  .size(),
              1u)
        << http;
  for (const char* quiet :
       {"{action: DENY, rules: [{}]}", "{rules: [{to: [{operation: {paths: [/a]}}]}]}",
        "{action: DENY, rules: [{to: [{operation: {paths: [/a], ports: [\"80\"]}}]}]}",
        "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}], to: [{operation: {paths: "
        "[/a]}}]}]}",
        "{action: DENY, rules: [{to: [{operation: {paths: [/a]}}], when: [{key: source.ip, values: "
        "[198.18.0.1]}]}]}"})
    EXPECT_TRUE(warnings("AuthorizationPolicy", quiet).empty()) << quiet;
}

TEST(DecodeIstio, WarnsOfStarsThatAreNoWildcards) {
  auto lines = warnings("AuthorizationPolicy",
                        R"({rules: [{to: [{operation: {paths: ["/a/*/b", "*x*", ok, "/x*"]}}]}]})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[0].starts_with(
      "4:43 spec.rules[0].to[0].operation.paths[0]: \"/a/*/b\": only one \"*\""))
      << lines[0];
  EXPECT_NE(lines[1].find("\"*x*\""), std::string::npos);
  EXPECT_NE(lines[2].find("\"ok\" matches no path: paths begin with \"/\""), std::string::npos);
  // In namespaces every star is a wildcard.
  EXPECT_TRUE(
      warnings("AuthorizationPolicy", R"({rules: [{from: [{source: {namespaces: ["a*b*"]}}]}]})")
          .empty());
}

TEST(DecodeIstio, WarnsOfSelectorsWithoutLabelsAndOfSecretKeys) {
  EXPECT_EQ(warnings("AuthorizationPolicy", "{selector: {matchLabels: {}}}"),
            (std::vector<std::string>{"4:18 spec.selector: workload selector specified without "
                                      "labels: it selects every workload"}));
  auto lines = warnings("RequestAuthentication",
                        R"({jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519",)"
                        R"("x":"a","d":"secret"}]}'}, {issuer: b, jwks: '{"keys":[]}'}]})");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("holds a private or secret key"), std::string::npos);
  EXPECT_NE(lines[1].find("holds no key"), std::string::npos);
}

TEST(DecodeIstio, PathTemplates) {
  for (const char* good : {"/a", "/{*}", "/a/{*}/b/{**}", "/{**}", "{**}", "/store/{**}/cart",
                           "/a-b._~%20!$&'()+,;:@=/{*}", "/allow/admin/{**}", "/*", "/{*}/"})
    EXPECT_EQ(check_path_template(good), "") << good;
  for (const char* bad : {"/{", "/}", "/{}", "/{**}/{**}", "/{**}/a/{*}", "/{***}", "/a{*}",
                          "/{*}b", "/{*}/*", "/{*}/a b", "/{*}//a", "/{**}/{x}"})
    EXPECT_NE(check_path_template(bad), "") << bad;
}

TEST(DecodeIstio, ConditionKeys) {
  for (const char* http : {"request.headers[a]", "request.auth.principal", "request.auth.audiences",
                           "request.auth.presenter", "request.auth.claims[a][b]"}) {
    EXPECT_TRUE(find_condition_key(http).problem.empty()) << http;
    EXPECT_TRUE(find_condition_key(http).http_only) << http;
  }
  for (const char* plain :
       {"source.ip", "remote.ip", "source.namespace", "source.principal", "source.serviceAccount",
        "source.trustDomain", "destination.ip", "destination.port", "connection.sni",
        "experimental.envoy.filters.a.b[c]"}) {
    EXPECT_TRUE(find_condition_key(plain).problem.empty()) << plain;
    EXPECT_FALSE(find_condition_key(plain).http_only) << plain;
  }
  for (const char* bad : {"", "x", "request.headers", "request.headers[a]b", "request.headers[[a]]",
                          "request.headers[a][b]", "request.auth.claims", "request.auth.claims[]",
                          "request.auth.claims[a]x[b]", "request.auth.claims[a][", "source.IP",
                          "experimental.envoy.filters.[a", "source.trustDomains"})
    EXPECT_FALSE(find_condition_key(bad).problem.empty()) << bad;
}

}  // namespace
}  // namespace sallyport::k8s
