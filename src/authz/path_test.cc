#include "authz/path.h"

#include <gtest/gtest.h>

#include <random>

namespace sallyport::authz {
namespace {

using enum k8s::PathNormalization;

constexpr char kRefused[] = "(refused)";

std::string canonical(std::string_view target, PathOptions options = {}) {
  std::string out;
  size_t length = 0;
  if (!canonicalize(target, options, out, length)) {
    EXPECT_TRUE(out.empty());
    EXPECT_EQ(length, 0u);
    return kRefused;
  }
  EXPECT_EQ(length, std::min(out.find('?'), out.size()));
  return out;
}

struct Case {
  std::string_view target;
  std::string_view canonical;
};

// The default: MERGE_SLASHES, escaped slashes refused.
constexpr Case kDefault[] = {
    {"/", "/"},
    {"/props", "/props"},
    {"/v1/chat/completions", "/v1/chat/completions"},
    {"/a/", "/a/"},
    // Slashes.
    {"//props", "/props"},
    {"///props", "/props"},
    {"/v1//props", "/v1/props"},
    {"/props//", "/props/"},
    {"//", "/"},
    {"/\\props", "/props"},
    {"/v1\\props", "/v1/props"},
    {"/v1\\\\props", "/v1/props"},
    {"/v1/\\/props", "/v1/props"},
    {"\\props", kRefused},
    // Dots.
    {"/.", "/"},
    {"/..", "/"},
    {"/./props", "/props"},
    {"/../props", "/props"},
    {"/../../props", "/props"},
    {"/v1/../props", "/props"},
    {"/v1/./props", "/v1/props"},
    {"/v1/chat/completions/../../props", "/v1/props"},
    {"/v1/chat/completions/../../../props", "/props"},
    {"/v1/x/..", "/v1/"},
    {"/v1/x/.", "/v1/x/"},
    {"/v1/x/../", "/v1/"},
    {"/v1\\..\\props", "/props"},
    {"/v1/..\\props", "/props"},
    {"/v1//../props", "/v1/props"},
    {"//../props", "/props"},
    {"/...", "/..."},
    {"/..a", "/..a"},
    {"/a..", "/a.."},
    {"/.a/.b", "/.a/.b"},
    {"/v1/.../props", "/v1/.../props"},
    // Escapes of unreserved bytes.
    {"/%70rops", "/props"},
    {"/%70%72%6f%70%73", "/props"},
    {"/%70%72%6F%70%73", "/props"},
    {"/%2e/props", "/props"},
    {"/%2E/props", "/props"},
    {"/v1/%2e%2e/props", "/props"},
    {"/v1/.%2e/props", "/props"},
    {"/v1/%2e./props", "/props"},
    {"/v1/%2E%2E/props", "/props"},
    {"/%2e%2e/%2e%2e/props", "/props"},
    {"/v1\\%2e%2e\\props", "/props"},
    {"/%7Euser", "/~user"},
    {"/a%2Db%5Fc", "/a-b_c"},
    {"/%41%5A%61%7a%30%39", "/AZaz09"},
    // Other escapes stay, in upper case.
    {"/a%3ab", "/a%3Ab"},
    {"/a%20b", "/a%20b"},
    {"/a%3Fb", "/a%3Fb"},
    {"/a%23b", "/a%23b"},
    {"/a%0ab", "/a%0Ab"},
    {"/a%7fb", "/a%7Fb"},
    {"/%c3%a9", "/%C3%A9"},
    {"/%e2%82%ac", "/%E2%82%AC"},
    {"/%f0%9f%9a%80", "/%F0%9F%9A%80"},
    // Twice escaped: decoded once, never again.
    {"/%2570rops", "/%2570rops"},
    {"/%252e%252e/props", "/%252e%252e/props"},
    {"/v1%252fprops", "/v1%252fprops"},
    {"/%25", "/%25"},
    {"/%25%32%65", "/%252e"},
    // Escaped slashes.
    {"/v1/chat/completions%2f..%2f..%2fprops", kRefused},
    {"/v1%2Fprops", kRefused},
    {"/%2fprops", kRefused},
    {"/v1%5cprops", kRefused},
    {"/v1%5C..%5Cprops", kRefused},
    {"/v1/models/org%2Fname", kRefused},
    // Bad escapes.
    {"/%", kRefused},
    {"/%7", kRefused},
    {"/%zz", kRefused},
    {"/%7g", kRefused},
    {"/props%", kRefused},
    {"/%%37%30rops", kRefused},
    {"/%u002e/props", kRefused},
    {"/% 70", kRefused},
    // Control bytes, spaces, fragments.
    {"/%00", kRefused},
    {"/props%00", kRefused},
    {"/props%00.js", kRefused},
    {"/pr\tops", kRefused},
    {"/props\r\nX: y", kRefused},
    {"/props\x7f", kRefused},
    {"/pro ps", kRefused},
    {"/props#", kRefused},
    {"/props#x", kRefused},
    {"/v1#/../props", kRefused},
    {"/props?x#y", kRefused},
    {"/props?a b", kRefused},
    {"/props?a\nb", kRefused},
    {std::string_view("/\0props", 7), kRefused},
    {std::string_view("/props\0", 7), kRefused},
    // UTF-8.
    {"/\xc3\xa9", kRefused},
    {"/\xff", kRefused},
    {"/%c0%afprops", kRefused},
    {"/%c0%ae%c0%ae/props", kRefused},
    {"/%e0%80%af", kRefused},
    {"/%f0%80%80%af", kRefused},
    {"/%c1%9c", kRefused},
    {"/%ed%a0%80", kRefused},
    {"/%f4%90%80%80", kRefused},
    {"/%f5%80%80%80", kRefused},
    {"/%c3", kRefused},
    {"/%c3/x", kRefused},
    {"/%c3x", kRefused},
    {"/%a9", kRefused},
    {"/%e2%82", kRefused},
    {"/%ff", kRefused},
    // Parameters.
    {"/props;x", "/props;x"},
    {"/props;x=1/y", "/props;x=1/y"},
    {"/;x/props", "/;x/props"},
    {"/v1/..;/props", kRefused},
    {"/v1/..;x/props", kRefused},
    {"/v1/.;x/props", kRefused},
    {"/v1/..;x", kRefused},
    {"/v1/%2e%2e;x/props", kRefused},
    {"/v1/..%3bx/props", kRefused},
    {"/v1/.%2E%3B/props", kRefused},
    {"/..;", kRefused},
    {"/...;x", "/...;x"},
    {"/..a;x", "/..a;x"},
    {"/a;..", "/a;.."},
    {"/a;../b", "/a;../b"},
    // Case is the application's.
    {"/PROPS", "/PROPS"},
    {"/Props", "/Props"},
    // Queries.
    {"/props?", "/props?"},
    {"/props?a=b", "/props?a=b"},
    {"/v1/../props?x=/../y", "/props?x=/../y"},
    {"/?//..%2f%zz\\", "/?//..%2f%zz\\"},
    {"//a?b?c", "/a?b?c"},
    {"/a%3f/../b?c", "/b?c"},
    // Other forms are not this one's.
    {"", kRefused},
    {"*", kRefused},
    {"props", kRefused},
    {"?", kRefused},
    {"http://host/props", kRefused},
    {"host:443", kRefused},
    {"./props", kRefused},
};

TEST(Path, TheDefault) {
  static_assert(std::size(kDefault) >= 130);
  for (const Case& each : kDefault)
    EXPECT_EQ(canonical(each.target), each.canonical) << each.target;
}

TEST(Path, AllowedEscapedSlashes) {
  const PathOptions options{kMergeSlashes, true};
  const Case cases[] = {
      {"/v1/models/org%2Fname", "/v1/models/org%2Fname"},
      {"/v1/models/org%2fname", "/v1/models/org%2Fname"},
      {"/v1/models/a%5cb", "/v1/models/a%5Cb"},
      {"/v1/models/a%2Fb%2Fc/x", "/v1/models/a%2Fb%2Fc/x"},
      {"/v1/models/org%2Fname/../x", "/v1/models/x"},
      {"/v1/../models/org%2Fname", "/models/org%2Fname"},
      {"/v1/models/a.b%2Fc..d", "/v1/models/a.b%2Fc..d"},
      // What an application that decodes them would take for other segments.
      {"/v1/chat/completions%2f..%2f..%2fprops", kRefused},
      {"/v1/models/a%2F..", kRefused},
      {"/v1/models/..%2Fa", kRefused},
      {"/v1/models/.%2Fa", kRefused},
      {"/v1/models/a%2F%2e%2E%2Fb", kRefused},
      {"/v1/models/a%2F.", kRefused},
      {"/%2Fprops", kRefused},
      {"/v1/models/a%2F%2Fb", kRefused},
      {"/v1/models/a%2F", kRefused},
      {"/v1/models/a%2F/b", kRefused},
      {"/v1/models/%5Ca", kRefused},
      {"/v1/models/a%2F..;x%2Fb", kRefused},
      {"/v1/models/a%2F..;x", kRefused},
      {"/v1/models/..;x%2Fa", kRefused},
      {"/v1/models/a%2F.%3Bx", kRefused},
  };
  for (const Case& each : cases)
    EXPECT_EQ(canonical(each.target, options), each.canonical) << each.target;
}

TEST(Path, Base) {
  const PathOptions options{kBase, false};
  const Case cases[] = {
      {"//props", "//props"},           {"/v1//props", "/v1//props"},
      {"/v1/%2e%2e//props", "//props"}, {"/v1//../props", "/v1/props"},
      {"/a/..//..//b", "//b"},          {"/v1\\\\props", "/v1//props"},
      {"/%70rops", "/props"},           {"/v1%2fprops", kRefused},
  };
  for (const Case& each : cases)
    EXPECT_EQ(canonical(each.target, options), each.canonical) << each.target;
}

TEST(Path, DecodeAndMerge) {
  for (bool allow : {false, true}) {
    const PathOptions options{kDecodeAndMergeSlashes, allow};
    const Case cases[] = {
        {"/v1%2fprops", "/v1/props"},
        {"/v1%5Cprops", "/v1/props"},
        {"/v1/chat/completions%2f..%2f..%2fprops", "/v1/props"},
        {"/%2fprops", "/props"},
        {"/v1%252fprops", "/v1%252fprops"},
        {"/v1%2f..;x%2fprops", kRefused},
        {"/a%2F", "/a/"},
    };
    for (const Case& each : cases)
      EXPECT_EQ(canonical(each.target, options), each.canonical) << each.target;
  }
}

TEST(Path, None) {
  const PathOptions options{kNone, false};
  const Case cases[] = {
      {"//a/../%70%2f\\;x", "//a/../%70%2f\\;x"},
      {"/%zz", "/%zz"},
      {"/a?b", "/a?b"},
      {"/a#b", kRefused},
      {"/a b", kRefused},
      {"/a\r", kRefused},
      {"/\xc3\xa9", kRefused},
      {"*", kRefused},
      {"", kRefused},
  };
  for (const Case& each : cases)
    EXPECT_EQ(canonical(each.target, options), each.canonical) << each.target;
}

TEST(Path, TheErrorSaysWhyAndQuotesNothing) {
  std::string out;
  size_t length = 0;
  const Status status = canonicalize("/secret%2fname", {}, out, length);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalid);
  EXPECT_EQ(status.error().message, "the path has no canonical form: it holds an escaped slash");
}

TEST(Path, TheBufferIsReused) {
  std::string out;
  size_t length = 0;
  out.reserve(256);
  const char* const before = out.data();
  ASSERT_TRUE(canonicalize("/v1/../a/./b//c?q=1", {}, out, length));
  ASSERT_TRUE(canonicalize("/x", {}, out, length));
  EXPECT_EQ(out, "/x");
  EXPECT_EQ(out.data(), before);
}

TEST(PathProperty, CanonicalPathsStayAndHaveNoOtherSpelling) {
  constexpr std::string_view kPieces[] = {
      "/",   "/",   "//",  "\\",  ".",   "..", "...", "/../", "/./", "%2e", "%2E", "%2f",
      "%5C", "%25", "%70", "%3b", ";",   ";x", "a",   "B",    "v1",  "%c3", "%a9", "%C3%A9",
      "?",   "q=1", "%",   "%00", "%zz", "#",  " ",   "~",    "%7e", "*",   "=",   "%3F"};
  std::mt19937_64 random(7);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string target = below(20) == 0 ? "" : "/";
    for (size_t n = below(9); n > 0; --n) target += kPieces[below(std::size(kPieces))];
    const PathOptions options{static_cast<k8s::PathNormalization>(below(4)), below(2) == 0};
    std::string once, twice;
    size_t length = 0, again = 0;
    if (!canonicalize(target, options, once, length)) continue;
    ++accepted;
    ASSERT_TRUE(canonicalize(once, options, twice, again)) << target << " to " << once;
    ASSERT_EQ(twice, once) << target;
    ASSERT_EQ(again, length) << target;
    const std::string path = once.substr(0, length);
    ASSERT_EQ(once.substr(length), target.substr(std::min(target.find('?'), target.size())));
    ASSERT_EQ(path.front(), '/');
    ASSERT_EQ(path.find_first_of("?# "), std::string::npos);
    if (options.mode == kNone) continue;
    ASSERT_EQ(path.find('\\'), std::string::npos) << target;
    ASSERT_EQ((path + "/").find("/../"), std::string::npos) << target << " to " << path;
    ASSERT_EQ((path + "/").find("/./"), std::string::npos) << target << " to " << path;
    ASSERT_EQ(path.find("/..;"), std::string::npos) << target << " to " << path;
    ASSERT_EQ(path.find("%2e"),
              path.find("%252e") == std::string::npos ? std::string::npos : path.find("%2e"));
    if (options.mode != kBase)
      ASSERT_EQ(path.find("//"), std::string::npos) << target << " to " << path;
    if (options.mode == kDecodeAndMergeSlashes || !options.allow_escaped_slashes)
      ASSERT_EQ(path.find("%2F"), std::string::npos) << target << " to " << path;
  }
  EXPECT_GE(accepted, 10'000);
}

}  // namespace
}  // namespace sallyport::authz
