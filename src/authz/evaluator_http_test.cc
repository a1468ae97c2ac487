// What a request says of itself: hosts, headers, paths, claims.
#include "authz/evaluator_test_support.h"
#include "authz/patterns.h"

namespace sallyport::authz {
namespace {

using namespace testing;

TEST(Evaluator, Hosts) {
  RequestFacts r = request();
  auto with = [&](const char* host, const char* value, AuthorizationAction action, bool negated) {
    r.host = host;
    return matches(to(hosts(negated ? MatchValues{{}, {value}} : MatchValues{{value}, {}})),
                   connection(), &r, action);
  };
  // ALLOW: as sent, but letters have no case.
  EXPECT_TRUE(with("a.example", "a.example", kAllow, false));
  EXPECT_TRUE(with("A.Example", "a.eXample", kAllow, false));
  EXPECT_FALSE(with("a.example:80", "a.example", kAllow, false));
  EXPECT_TRUE(with("a.example:80", "a.example:*", kAllow, false));
  EXPECT_FALSE(with("a.example.", "a.example", kAllow, false));
  EXPECT_FALSE(with("", "*", kAllow, false));
  // DENY: also without port and one trailing dot.
  for (const char* host : {"a.example", "a.EXAMPLE:80", "a.example.", "a.example.:8080"}) {
    EXPECT_TRUE(with(host, "a.example", kDeny, false)) << host;
    EXPECT_TRUE(with(host, "*.example", kDeny, false)) << host;
    // Mirrored: an exception from an ALLOW counts widely ...
    EXPECT_FALSE(with(host, "a.example", kAllow, true)) << host;
  }
  EXPECT_TRUE(with("a.example.:80", "a.example:80", kDeny, false));
  EXPECT_FALSE(with("a.example..", "a.example", kDeny, false));
  EXPECT_FALSE(with("b.example", "a.example", kDeny, false));
  // ... and one from a DENY only as sent.
  EXPECT_TRUE(with("a.example:80", "a.example", kDeny, true));
  EXPECT_FALSE(with("a.example", "a.example", kDeny, true));
}

TEST(Evaluator, HeadersWithSeveralValues) {
  const HeaderField two[] = {{"x-team", "red"}, {"x-other", "1"}, {"x-team", "blue"}};
  RequestFacts r = request();
  r.headers = two;
  auto with = [&](MatchValues match, AuthorizationAction action) {
    return matches(when("request.headers[X-Team]", std::move(match)), connection(), &r, action);
  };
  EXPECT_TRUE(with({{"red"}, {}}, kDeny)) << "any value denies";
  EXPECT_FALSE(with({{"red"}, {}}, kAllow)) << "all values allow";
  EXPECT_TRUE(with({{"red", "bl*"}, {}}, kAllow));
  EXPECT_FALSE(with({{}, {"red"}}, kAllow)) << "one forbidden value is enough";
  EXPECT_TRUE(with({{}, {"red"}}, kDeny)) << "one other value is enough";
  EXPECT_FALSE(with({{}, {"red", "blue"}}, kDeny));
  r.headers = {};
  EXPECT_FALSE(with({{"*"}, {}}, kAllow));
  EXPECT_FALSE(with({{"*"}, {}}, kDeny));
  EXPECT_TRUE(with({{}, {"red"}}, kAllow));
  EXPECT_TRUE(with({{}, {"red"}}, kDeny));
  const HeaderField odd[] = {{"x-team", "\xff\xfe"}};
  r.headers = odd;
  EXPECT_TRUE(with({{"*"}, {}}, kDeny)) << "bytes that are no text count as any others";
  EXPECT_TRUE(with({{"\xff*"}, {}}, kDeny));
}

TEST(Evaluator, PseudoHeaders) {
  RequestFacts r = request("/v1/x");
  r.target = "/v1/x?q=1";
  EXPECT_TRUE(matches(when("request.headers[:method]", {{"POST"}, {}}), connection(), &r));
  EXPECT_TRUE(matches(when("request.headers[:path]", {{"*?q=1"}, {}}), connection(), &r));
  EXPECT_FALSE(matches(when("request.headers[:path]", {{"/v1/x"}, {}}), connection(), &r));
  EXPECT_TRUE(
      matches(when("request.headers[:authority]", {{"model-server*"}, {}}), connection(), &r));
  EXPECT_TRUE(matches(when("request.headers[Host]", {{"*.inference"}, {}}), connection(), &r));
}

TEST(Evaluator, Claims) {
  using codec::Value;
  Value claims = Value::map();
  claims.set("iss", "https://issuer.example");
  claims.set("sub", "team/alice");
  claims.set("aud", Value::list()).push(Value::string("models"));
  claims.set("azp", "app");
  claims.set("scope", "read  write");
  claims.set("plain", "read write");
  claims.set("admin", Value::boolean(true));
  claims.set("level", Value::integer(7));
  claims.set("a.b", "dotted");
  Value& groups = claims.set("groups", Value::list());
  groups.push(Value::string("dev"));
  groups.push(Value::integer(3));
  claims.set("realm", Value::map()).set("roles", Value::list()).push(Value::string("admin"));
  RequestFacts r = request();
  auto is = [&](const std::string& key, const char* value) {
    return matches(when("request.auth." + key, {{value}, {}}), connection(), &r);
  };
  EXPECT_FALSE(is("principal", "*")) << "no token";
  r.claims = &claims;
  r.request_principal = "https://issuer.example/team/alice";
  EXPECT_TRUE(is("principal", "*"));
  EXPECT_TRUE(is("principal", "https://issuer.example/*"));
  EXPECT_FALSE(is("principal", "https://issuer.example/team/alice")) << "as in Istio";
  EXPECT_TRUE(is("audiences", "models"));
  EXPECT_TRUE(is("presenter", "ap*"));
  EXPECT_TRUE(is("claims[scope]", "write"));
  EXPECT_FALSE(is("claims[scope]", "read  write"));
  EXPECT_FALSE(is("claims[plain]", "write"));
  const std::string_view split[] = {"plain"};
  r.space_delimited_claims = split;
  EXPECT_TRUE(is("claims[plain]", "write"));
  EXPECT_FALSE(is("claims[admin]", "*")) << "neither booleans nor numbers";
  EXPECT_FALSE(is("claims[level]", "7"));
  EXPECT_TRUE(is("claims[a.b]", "dotted"));
  EXPECT_FALSE(is("claims[a][b]", "dotted"));
  EXPECT_TRUE(is("claims[groups]", "dev"));
  EXPECT_FALSE(is("claims[groups]", "3"));
  EXPECT_TRUE(is("claims[realm][roles]", "admin"));
  EXPECT_FALSE(is("claims[realm]", "*"));
  EXPECT_FALSE(is("claims[none]", "*"));
  claims.set("permission", Value::map()).set("x", "read write");
  EXPECT_TRUE(is("claims[permission][x]", "read write")) << "only the claim itself is split";
}

TEST(Evaluator, PathValuesMeanThePathTheyName) {
  RequestFacts r = request("/v1/models/org%2Fname");
  const auto rule = to(paths({{"/v1/models/org%2fname"}, {}}));
  EXPECT_TRUE(matches(rule, connection(), &r, kDeny));
  world::World world = world_of({policy("inference", "p", kDeny, {rule})});
  world.mesh.path_normalization = k8s::PathNormalization::kNone;
  EXPECT_TRUE(ask(world, workload(), connection(), &r).allow) << "nothing is normalised";
  r.path = "/v1/models/org%2fname";
  EXPECT_FALSE(ask(world, workload(), connection(), &r).allow);
}

TEST(Evaluator, PathsThatMayBeReadInTwoWays) {
  RequestFacts r = request();
  auto with = [&](const char* path, const char* value, AuthorizationAction action, bool negated) {
    r.path = path;
    return matches(to(paths(negated ? MatchValues{{}, {value}} : MatchValues{{value}, {}})),
                   connection(), &r, action);
  };
  for (const char* path : {"/v1:admin;x", "/v1%3Aadmin", "/v1%3Aadmin%3Bx", "/;y/v1:admin"}) {
    EXPECT_TRUE(with(path, "/v1:admin", kDeny, false)) << path;
    EXPECT_FALSE(with(path, "/v1:admin", kAllow, false)) << path;
    EXPECT_FALSE(with(path, "/v1:admin", kAllow, true)) << path;
    EXPECT_TRUE(with(path, "/v1:admin", kDeny, true)) << path;
  }
  EXPECT_TRUE(with("/v1%2Fadmin", "/v1/admin", kDeny, false));
  EXPECT_TRUE(with("/v1/admin;x", "/v1/{*}", kDeny, false));
  EXPECT_FALSE(with("/v1:other;x", "/v1:admin", kDeny, false));
  const std::string longer = "/x%3A" + std::string(kLooseRoom, 'x');
  EXPECT_TRUE(with(longer.c_str(), "/v1:admin", kDeny, false)) << "too long to tell";
  EXPECT_FALSE(with(std::string(kLooseRoom + 9, 'x').c_str(), "/v1:admin", kDeny, false));
}

}  // namespace
}  // namespace sallyport::authz
