#include "authz/patterns.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace sallyport::authz {
namespace {

TEST(Glob, OneStarAtAnEnd) {
  EXPECT_TRUE(glob_matches("abc", "abc"));
  EXPECT_FALSE(glob_matches("abc", "abcd"));
  EXPECT_FALSE(glob_matches("abc", "ABC"));
  EXPECT_TRUE(glob_matches("abc*", "abc"));
  EXPECT_TRUE(glob_matches("abc*", "abcd"));
  EXPECT_FALSE(glob_matches("abc*", "ab"));
  EXPECT_TRUE(glob_matches("*abc", "abc"));
  EXPECT_TRUE(glob_matches("*abc", "xabc"));
  EXPECT_FALSE(glob_matches("*abc", "abcx"));
  EXPECT_TRUE(glob_matches("*", "x"));
  EXPECT_FALSE(glob_matches("*", ""));
}

TEST(Glob, AStarElsewhereIsAnOrdinaryByte) {
  EXPECT_TRUE(glob_matches("/a/*/b", "/a/*/b"));
  EXPECT_FALSE(glob_matches("/a/*/b", "/a/x/b"));
  EXPECT_TRUE(glob_matches("*foo*", "xfoo*"));
  EXPECT_FALSE(glob_matches("*foo*", "xfoox"));
}

TEST(Namespace, EveryStarIsAnyRun) {
  EXPECT_TRUE(namespace_matches("prod", "prod"));
  EXPECT_FALSE(namespace_matches("prod", "prod-a"));
  EXPECT_TRUE(namespace_matches("prod-*", "prod-a"));
  EXPECT_TRUE(namespace_matches("prod*", "prod"));
  EXPECT_TRUE(namespace_matches("*-a", "prod-a"));
  EXPECT_TRUE(namespace_matches("p*d-*", "prod-a"));
  EXPECT_TRUE(namespace_matches("*r*o*", "prod"));
  EXPECT_FALSE(namespace_matches("*o*r*", "prod"));
  EXPECT_TRUE(namespace_matches("**", "x"));
  EXPECT_TRUE(namespace_matches("*", "x"));
  EXPECT_FALSE(namespace_matches("*", ""));
  EXPECT_FALSE(namespace_matches("ab*ba", "aba")) << "the two ends may not overlap";
  EXPECT_FALSE(namespace_matches("p.od", "prod")) << "no regular expression";
  EXPECT_FALSE(namespace_matches("*sa", "prod")) << "only the namespace is looked at";
}

TEST(Namespace, ManyStarsTakeNoTime) {
  std::string value, text(60'000, 'a');
  for (int i = 0; i < 200; ++i) value += "*a";
  value += "*b";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(namespace_matches(value, text));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

bool template_matches(const std::string& value, const std::string& path) {
  auto parsed = PathTemplate::parse(value);
  EXPECT_TRUE(parsed) << value << ": " << parsed.error().message;
  return parsed && parsed->matches(path);
}

TEST(Template, MatchesAsIstioDocuments) {
  struct Case {
    const char* value;
    const char* path;
    bool matches;
  };
  const Case cases[] = {
      {"/foo/{*}", "/foo/bar", true},
      {"/foo/{*}", "/foo/", false},
      {"/foo/{*}", "/foo", false},
      {"/foo/{*}", "/foo/bar/", false},
      {"/foo/{*}", "/foo/bar/x", false},
      {"/foo/{*}/", "/foo/bar/", true},
      {"/foo/{*}/", "/foo/bar", false},
      {"/foo/{*}", "/foo/*", true},
      {"/foo/{*}", "/foo/a=b", true},
      {"/foo/{*}", "/foo/%2F", true},
      {"/{*}/baz/{*}", "/bar/baz/x", true},
      {"/{*}/baz/{*}", "//baz/x", false},
      {"/foo/{**}", "/foo/", true},
      {"/foo/{**}", "/foo", false},
      {"/foo/{**}", "/foo/a/b/c", true},
      {"/{**}", "/", true},
      {"/{*}", "/", false},
      {"/allow/admin/{**}", "/allow/admin/", true},
      {"/allow/admin/{**}", "/allow/admin", false},
      {"/store/{**}/cart", "/store//cart", true},
      {"/store/{**}/cart", "/store/a/b/cart", true},
      {"/store/{**}/cart", "/store/cart", false},
      {"/store/{**}/cart", "/store/a/cart/x", false},
      {"/store/{**}/cart", "/store/cart/cart", true},
      {"/foo/{*}/bar/{**}", "/foo/x/bar/", true},
      {"/foo/{*}/bar/{**}", "/foo/x/bar/y/z", true},
      {"/foo/{*}/bar/{**}", "/foo//bar/x", false},
      {"/foo/{*}/bar/{**}", "/foo/x/y/bar/z", false},
      {"/{*}/{*}/{**}", "/a/b/", true},
      {"/{*}/{*}/{**}", "/a/b", false},
  };
  for (const Case& each : cases)
    EXPECT_EQ(template_matches(each.value, each.path), each.matches)
        << each.value << " and " << each.path;
}

TEST(Template, RefusesWhatIstioRefuses) {
  for (const char* value :
       {"/{**}/{*}", "/{**}/a/{**}", "/{*}.txt", "/a{*}", "/**/{*}", "/*/{*}", "/{", "/a}b", "/{x}",
        "/{***}", "/{*}//a", "foo/{*}", "{*}", "/{*}/a b", "/{*}/\"x\""})
    EXPECT_FALSE(PathTemplate::parse(value)) << value;
  for (const char* value : {"/{*}", "/{**}", "/a/{*}/", "/{*}/-._~%!$&'()+,;:@=/{**}"})
    EXPECT_TRUE(PathTemplate::parse(value)) << value;
}

TEST(PathValue, IsSpelledAsCanonicalPathsAre) {
  EXPECT_EQ(canonical_path_value("/v1/models/org%2fname"), "/v1/models/org%2Fname");
  EXPECT_EQ(canonical_path_value("/%61dmin%7e"), "/admin~");
  EXPECT_EQ(canonical_path_value("/\xc3\xa9*"), "/%C3%A9*");
  EXPECT_EQ(canonical_path_value("/100%"), "/100%");
  EXPECT_EQ(canonical_path_value("/a%2*"), "/a%2*");
  EXPECT_EQ(canonical_path_value("/%252e"), "/%252e");
  EXPECT_EQ(canonical_path_value("/v1/{*}"), "/v1/{*}");
}

TEST(LooseReading, DecodesDropsParametersAndMerges) {
  std::array<char, kLooseRoom> room;
  auto read = [&](std::string_view path) { return std::string(read_loosely(path, room).text); };
  EXPECT_EQ(read("/a/b"), "") << "reads as it stands";
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("/a;x"), "/a");
  EXPECT_EQ(read("/a;x=1;y/b;z"), "/a/b");
  EXPECT_EQ(read("/;x/b"), "/b");
  EXPECT_EQ(read("//a//b"), "/a/b");
  EXPECT_EQ(read("/a%2Fb%5Cc"), "/a/b/c");
  EXPECT_EQ(read("/a%3Bx%2Fb"), "/a/b");
  EXPECT_EQ(read("/a%252F"), "/a%2F") << "once";
  EXPECT_EQ(read("/a%"), "/a%");
  EXPECT_EQ(read("/a%zz"), "/a%zz");
  const std::string full = "/;" + std::string(9000, 'x') + "/" + std::string(kLooseRoom - 1, 'y');
  EXPECT_EQ(read(full), "/" + std::string(kLooseRoom - 1, 'y'));
  EXPECT_TRUE(read_loosely(full + "y", room).too_long);
}

TEST(Peer, OnlyTheFormOfServiceAccounts) {
  const Peer peer = parse_peer("td/ns/a/sa/b");
  EXPECT_EQ(peer.trust_domain, "td");
  EXPECT_EQ(peer.ns, "a");
  EXPECT_EQ(peer.account, "a/sa/b");
  for (const char* other : {"td/ns/a/sa/b/x", "td/ns/a/sa/", "td/ns//sa/b", "td/xx/a/sa/b",
                            "td/ns/a/xx/b", "td/ns/a", "td", "td/", ""})
    EXPECT_EQ(parse_peer(other).ns, "") << other;
  EXPECT_EQ(parse_peer("td/workload").trust_domain, "td");
}

TEST(TrustDomain, ClusterLocalPointsToTheMeshOwn) {
  EXPECT_EQ(own_trust_domain("cluster.local/ns/a/sa/b", "corp"), "corp/ns/a/sa/b");
  EXPECT_EQ(own_trust_domain("cluster.local/ns/a/sa/*", "corp"), "corp/ns/a/sa/*");
  EXPECT_EQ(own_trust_domain("cluster.local/ns/a/*", "corp"), "cluster.local/ns/a/*");
  EXPECT_EQ(own_trust_domain("*.local/ns/a/sa/b", "corp"), "*.local/ns/a/sa/b");
  EXPECT_EQ(own_trust_domain("other/ns/a/sa/b", "corp"), "other/ns/a/sa/b");
  EXPECT_EQ(own_trust_domain("cluster.localx/ns/a/sa/b", "corp"), "cluster.localx/ns/a/sa/b");
}

TEST(Host, Parts) {
  struct Case {
    const char *host, *with_dot, *name, *port;
  };
  for (const Case& each :
       {Case{"a.b", "a.b", "a.b", ""}, Case{"a.b:80", "a.b", "a.b", ":80"},
        Case{"a.b.:80", "a.b.", "a.b", ":80"}, Case{"a.b.", "a.b.", "a.b", ""},
        Case{"a.b..", "a.b..", "a.b.", ""}, Case{"a:", "a", "a", ":"},
        Case{"[::1]:80", "[::1]", "[::1]", ":80"}, Case{"[::1]", "[::1]", "[::1]", ""},
        Case{"::1", "::1", "::1", ""}, Case{"", "", "", ""}, Case{":80", "", "", ":80"}}) {
    const HostParts parts = split_host(each.host);
    EXPECT_EQ(parts.with_dot, each.with_dot) << each.host;
    EXPECT_EQ(parts.name, each.name) << each.host;
    EXPECT_EQ(parts.port, each.port) << each.host;
  }
}

TEST(RequestPrincipal, SplitsAtTheLastSlash) {
  struct Case {
    const char *value, *iss, *sub;
    bool matches;
  };
  const Case cases[] = {
      {"*", "i", "s", true},
      {"*", "i", "", false},
      {"*", "", "s", false},
      {"https://i/x/s", "https://i/x", "s", true},
      {"i/s/t", "i", "s/t", false},
      {"i/*", "i", "anything", true},
      {"i/*", "j", "anything", false},
      {"i/*", "i", "", false},
      {"i/pre*", "i", "prefix", true},
      {"i/pre*", "i", "other", false},
      {"iss*", "issuer", "any", true},
      {"iss*", "x", "any", false},
      {"*suf", "any", "xsuf", true},
      {"*suf", "xsuf", "any", false},
      {"*/sub", "any", "sub", true},
      {"*/sub", "any", "subs", false},
      {"*isuf/sub", "xisuf", "sub", true},
      {"*isuf/sub", "x", "sub", false},
      {"*isuf/*", "xisuf", "any", true},
      {"*/*", "i", "s", true},
      {"alone", "alone", "", false},
      {"alone", "alone", "alone", false},
  };
  for (const Case& each : cases)
    EXPECT_EQ(parse_request_principal(each.value).matches(each.iss, each.sub), each.matches)
        << each.value << " with " << each.iss << " and " << each.sub;
}

}  // namespace
}  // namespace sallyport::authz
