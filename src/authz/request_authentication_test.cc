#include "authz/request_authentication.h"

#include <gtest/gtest.h>

#include "authz/evaluator.h"
#include "authz/test_support.h"
#include "jwt/test_signer.h"

namespace sallyport::authz {
namespace {

using jwt::testing::Signer;
using testing::workload;
using Kind = TokenResult::Kind;

constexpr char kIssuer[] = "https://issuer.example";
const WallTime kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

struct Issuer {
  explicit Issuer(std::string issuer) : name(std::move(issuer)), signer(Signer::ed25519()) {}
  [[nodiscard]] std::string jwks() const { return "{\"keys\":[" + signer.jwk() + "]}"; }
  [[nodiscard]] std::string token(const std::string& more = "") const {
    return signer.token(R"({"alg":"EdDSA"})",
                        R"({"iss":")" + name + R"(","sub":"alice","exp":1800000100)" + more + "}",
                        nullptr);
  }
  [[nodiscard]] k8s::JwtRule rule() const {
    k8s::JwtRule out;
    out.issuer = name;
    out.jwks = jwks();
    return out;
  }
  std::string name;
  Signer signer;
};

k8s::RequestAuthentication policy(std::vector<k8s::JwtRule> rules,
                                  const std::string& ns = "inference",
                                  const std::string& name = "tokens") {
  k8s::RequestAuthentication out;
  out.meta.ns = ns;
  out.meta.name = name;
  out.rules = std::move(rules);
  return out;
}

std::shared_ptr<const TokenVerifier> compiled(
    const std::vector<k8s::RequestAuthentication>& policies) {
  world::World world;
  for (const auto& each : policies)
    world.request_authentications.push_back(
        std::make_shared<const k8s::RequestAuthentication>(each));
  world.finish();
  return compile_tokens(world, workload());
}

using Fields = std::vector<std::pair<std::string, std::string>>;

TokenResult verify(const TokenVerifier& verifier, const Fields& fields,
                   std::string_view method = "POST") {
  std::vector<HeaderField> headers;
  for (const auto& [name, value] : fields) headers.push_back({name, value});
  return verifier.verify(method, headers, kNow);
}

Fields bearer(const std::string& token) {
  return {{"authorization", "Bearer " + token}};
}

TEST(Tokens, NoPolicyAndNoToken) {
  const Issuer a(kIssuer);
  const auto none = compiled({});
  EXPECT_TRUE(none->empty());
  EXPECT_EQ(verify(*none, bearer("x.y.z")).kind, Kind::kNone);
  const auto one = compiled({policy({a.rule()})});
  EXPECT_FALSE(one->empty());
  EXPECT_EQ(verify(*one, {}).kind, Kind::kNone);
  EXPECT_EQ(verify(*one, {{"x-token", a.token()}}).kind, Kind::kNone);
}

TEST(Tokens, AGoodTokenIsAPrincipal) {
  const Issuer a(kIssuer);
  const auto one = compiled({policy({a.rule()})});
  const TokenResult result = verify(*one, bearer(a.token(R"(,"team":"red")")));
  ASSERT_EQ(result.kind, Kind::kValid) << result.reason;
  EXPECT_EQ(result.request_principal, "https://issuer.example/alice");
  EXPECT_EQ((*result.claims)["team"].as_string(), "red");
  EXPECT_EQ(result.strip_headers, std::vector<std::string>{"authorization"});
}

TEST(Tokens, ABadTokenRefuses) {
  const Issuer a(kIssuer), other(kIssuer), stranger("https://stranger.example");
  const auto one = compiled({policy({a.rule()})});
  auto reason = [&](const std::string& token) {
    const TokenResult result = verify(*one, bearer(token));
    EXPECT_EQ(result.kind, Kind::kRefused) << token;
    EXPECT_EQ(result.status, 401);
    EXPECT_TRUE(result.request_principal.empty());
    return result.reason;
  };
  EXPECT_EQ(reason(other.token()), "Jwt verification fails");
  EXPECT_EQ(reason(stranger.token()), "Jwt issuer is not configured");
  EXPECT_EQ(reason(a.signer.token(R"({"alg":"EdDSA"})",
                                  R"({"iss":"https://issuer.example","exp":1799999900})", nullptr)),
            "Jwt is expired");
  EXPECT_EQ(reason(a.signer.token(R"({"alg":"EdDSA"})",
                                  R"({"iss":"https://issuer.example","nbf":1800000100})", nullptr)),
            "Jwt not yet valid");
  EXPECT_EQ(
      reason(a.signer.token(R"({"alg":"none"})", R"({"iss":"https://issuer.example"})", nullptr)),
      "Jwt header [alg] is not supported");
  reason("");
  reason("x");
  reason("a.b.c");
  reason(a.token() + " ");
  reason(a.token() + ", Bearer " + a.token());
}

TEST(Tokens, ThePlaceIsExact) {
  const Issuer a(kIssuer);
  const auto one = compiled({policy({a.rule()})});
  for (const char* prefix : {"bearer ", "Bearer", "Basic ", "", " Bearer "})
    EXPECT_EQ(verify(*one, {{"authorization", prefix + a.token()}}).kind, Kind::kNone) << prefix;
  EXPECT_EQ(verify(*one, {{":path", "/?access_token=" + a.token()}}).kind, Kind::kNone);

  k8s::JwtRule rule = a.rule();
  rule.from_headers = {{"X-Token", ""}, {"x-other", "Token "}};
  const auto headers = compiled({policy({rule})});
  EXPECT_EQ(verify(*headers, {{"x-token", a.token()}}).kind, Kind::kValid);
  EXPECT_EQ(verify(*headers, {{"x-other", "Token " + a.token()}}).kind, Kind::kValid);
  EXPECT_EQ(verify(*headers, {{"x-other", a.token()}}).kind, Kind::kNone);
  EXPECT_EQ(verify(*headers, bearer("bad")).kind, Kind::kNone) << "fromHeaders replaces it";
  EXPECT_EQ(verify(*headers, {{"x-token", "bad"}}).kind, Kind::kRefused);
}

TEST(Tokens, AWrongAudienceIsForbidden) {
  const Issuer a(kIssuer);
  k8s::JwtRule rule = a.rule();
  rule.audiences = {"models", "chat"};
  const auto one = compiled({policy({rule})});
  EXPECT_EQ(verify(*one, bearer(a.token(R"(,"aud":["x","chat"])"))).kind, Kind::kValid);
  for (const char* claims : {R"(,"aud":"other")", ""}) {
    const TokenResult result = verify(*one, bearer(a.token(claims)));
    EXPECT_EQ(result.kind, Kind::kRefused);
    EXPECT_EQ(result.status, 403);
    EXPECT_EQ(result.reason, "Audiences in Jwt are not allowed");
  }
  // Another rule of the issuer may take it.
  k8s::JwtRule second = a.rule();
  second.audiences = {"other"};
  const auto two = compiled({policy({rule, second})});
  EXPECT_EQ(verify(*two, bearer(a.token(R"(,"aud":"other")"))).kind, Kind::kValid);
  EXPECT_EQ(verify(*two, bearer(a.token(R"(,"aud":"third")"))).status, 403);
  // A rule with other keys of that issuer does not change the answer.
  const k8s::JwtRule keys = Issuer(kIssuer).rule();
  for (const auto& rules : {std::vector{rule, keys}, std::vector{keys, rule}})
    EXPECT_EQ(verify(*compiled({policy(rules)}), bearer(a.token(R"(,"aud":"third")"))).status, 403);
}

TEST(Tokens, SeveralRulesShareAPlace) {
  const Issuer a("a"), b("b"), renewed("a");
  const auto both = compiled(
      {policy({b.rule()}), policy({a.rule()}, "istio-system", "root"), policy({}, "other", "x")});
  EXPECT_EQ(verify(*both, bearer(a.token())).request_principal, "a/alice");
  EXPECT_EQ(verify(*both, bearer(b.token())).request_principal, "b/alice");
  EXPECT_EQ(verify(*both, bearer(Issuer("c").token())).kind, Kind::kRefused);
  EXPECT_EQ(verify(*both, bearer(renewed.token())).kind, Kind::kRefused);
  // Two rules with the same issuer: either key will do.
  const auto same = compiled({policy({a.rule(), renewed.rule()})});
  EXPECT_EQ(verify(*same, bearer(a.token())).kind, Kind::kValid);
  EXPECT_EQ(verify(*same, bearer(renewed.token())).kind, Kind::kValid);
  // A token is only for the rules of its place.
  k8s::JwtRule elsewhere = b.rule();
  elsewhere.from_headers = {{"x-token", ""}};
  const auto places = compiled({policy({a.rule(), elsewhere})});
  EXPECT_EQ(verify(*places, {{"x-token", b.token()}}).kind, Kind::kValid);
  EXPECT_EQ(verify(*places, {{"x-token", a.token()}}).kind, Kind::kRefused);
  EXPECT_EQ(verify(*places, bearer(b.token())).kind, Kind::kRefused);
}

TEST(Tokens, EachOfSeveralMustBeGood) {
  const Issuer a("a"), b("b");
  k8s::JwtRule second = b.rule();
  second.from_headers = {{"x-token", ""}};
  second.forward_original_token = true;
  const auto both = compiled({policy({second, a.rule()})});
  TokenResult result =
      verify(*both, {{"x-token", b.token()}, {"authorization", "Bearer " + a.token()}});
  EXPECT_EQ(result.kind, Kind::kValid);
  EXPECT_EQ(result.request_principal, "a/alice") << "the first by issuer";
  EXPECT_EQ(result.strip_headers, std::vector<std::string>{"authorization"});
  result = verify(*both, {{"x-token", "bad"}, {"authorization", "Bearer " + a.token()}});
  EXPECT_EQ(result.kind, Kind::kRefused);
  result = verify(
      *both, {{"authorization", "Bearer " + a.token()}, {"authorization", "Bearer bad.bad.bad"}});
  EXPECT_EQ(result.kind, Kind::kRefused) << "one header, twice";
  Fields many;
  for (int i = 0; i < 9; ++i) many.emplace_back("authorization", "Bearer " + a.token());
  EXPECT_EQ(verify(*both, many).reason, "Too many Jwts in the request");
}

TEST(Tokens, ForwardingAndSpaceDelimitedClaims) {
  const Issuer a(kIssuer);
  k8s::JwtRule rule = a.rule();
  rule.forward_original_token = true;
  rule.space_delimited_claims = {"rights"};
  const TokenResult result = verify(*compiled({policy({rule})}), bearer(a.token()));
  EXPECT_EQ(result.kind, Kind::kValid);
  EXPECT_TRUE(result.strip_headers.empty());
  EXPECT_EQ(result.space_delimited_claims, std::vector<std::string>{"rights"});
}

TEST(Tokens, APreflightIsNotAsked) {
  const Issuer a(kIssuer);
  const auto one = compiled({policy({a.rule()})});
  Fields fields = bearer("bad");
  fields.emplace_back("origin", "https://app.example");
  EXPECT_EQ(verify(*one, fields, "OPTIONS").kind, Kind::kRefused);
  fields.emplace_back("access-control-request-method", "POST");
  EXPECT_EQ(verify(*one, fields, "OPTIONS").kind, Kind::kNone);
  EXPECT_EQ(verify(*one, fields, "POST").kind, Kind::kRefused);
}

TEST(Tokens, KeysThatAreNotHereVerifyNothing) {
  const Issuer a(kIssuer);
  k8s::JwtRule remote = a.rule();
  remote.jwks.clear();
  remote.jwks_uri = "https://issuer.example/keys";
  k8s::JwtRule bad = a.rule();
  bad.jwks = "{\"keys\":[]}";
  for (const k8s::JwtRule& rule : {remote, bad}) {
    const auto one = compiled({policy({rule})});
    EXPECT_EQ(verify(*one, {}).kind, Kind::kNone);
    const TokenResult result = verify(*one, bearer(a.token()));
    EXPECT_EQ(result.kind, Kind::kRefused);
    EXPECT_EQ(result.reason, "Jwks of the issuer are not available");
    EXPECT_EQ(verify(*compiled({policy({rule, a.rule()})}), bearer(a.token())).kind, Kind::kValid);
  }
}

TEST(Tokens, WhatIsNotSupportedRefusesEveryRequest) {
  const Issuer a(kIssuer);
  std::vector<k8s::JwtRule> rules(4, a.rule());
  rules[0].from_params = {"token"};
  rules[1].from_cookies = {"token"};
  rules[2].output_payload_to_header = "x-payload";
  rules[3].output_claim_to_headers = {{"x-sub", "sub"}};
  for (const k8s::JwtRule& rule : rules) {
    const auto one = compiled({policy({rule})});
    EXPECT_FALSE(one->empty());
    EXPECT_EQ(verify(*one, {}).kind, Kind::kRefused);
    EXPECT_EQ(verify(*one, {}).status, 401);
    EXPECT_EQ(verify(*one, bearer(a.token())).kind, Kind::kRefused);
    EXPECT_NE(verify(*one, {}).reason.find("inference/tokens cannot be enforced"),
              std::string::npos);
  }
}

TEST(Tokens, SelectorsAndScopes) {
  const Issuer a(kIssuer);
  auto selected = policy({a.rule()});
  selected.selector = {{"app", "other"}};
  auto gateway = policy({a.rule()});
  gateway.has_target_refs = true;
  EXPECT_TRUE(compiled({selected, gateway, policy({a.rule()}, "other")})->empty());
  selected.selector = {{"app", "model-server"}};
  EXPECT_FALSE(compiled({selected})->empty());
}

TEST(Tokens, TheResultIsWhatThePolicyAsksFor) {
  const Issuer a(kIssuer);
  const auto tokens = compiled({policy({a.rule()})});
  const TokenResult result = verify(*tokens, bearer(a.token(R"(,"groups":["dev","ops"])")));
  RequestFacts facts = testing::request();
  facts.request_principal = result.request_principal;
  facts.claims = result.claims.get();
  k8s::AuthorizationRule rule = testing::when("request.auth.claims[groups]", {{"ops"}, {}});
  rule.from.emplace_back();
  rule.from[0].request_principals.values = {"https://issuer.example/*"};
  const world::World world = testing::world_of(
      {testing::policy("inference", "p", k8s::AuthorizationAction::kAllow, {rule})});
  EXPECT_TRUE(evaluate(world, workload(), testing::connection(), &facts).allow);
  facts.claims = nullptr;
  facts.request_principal = {};
  EXPECT_FALSE(evaluate(world, workload(), testing::connection(), &facts).allow);
}

}  // namespace
}  // namespace sallyport::authz
