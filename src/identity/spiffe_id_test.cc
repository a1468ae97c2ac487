#include "identity/spiffe_id.h"

#include <gtest/gtest.h>

namespace sallyport::identity {
namespace {

using namespace std::string_literals;

TEST(SpiffeId, ReadsWhatItWrites) {
  const SpiffeId id = workload_id("cluster.local", "api-gateway", "gateway-sa");
  EXPECT_EQ(id.to_string(), "spiffe://cluster.local/ns/api-gateway/sa/gateway-sa");
  const auto parsed = parse_spiffe_id(id.to_string());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(*parsed, id);
}

TEST(SpiffeId, AcceptsWhatTheSpecificationAllows) {
  for (const std::string& text :
       {"spiffe://td/a"s, "spiffe://1.2.3.4/service"s, "spiffe://a_b-c.d/X/Y.z/_-"s,
        "spiffe://td/..."s, "spiffe://td/.a"s, "spiffe://"s + std::string(255, 'a') + "/p",
        "spiffe://td/" + std::string(2048 - 12, 'x')}) {
    EXPECT_TRUE(parse_spiffe_id(text).has_value()) << text;
  }
}

TEST(SpiffeId, RefusesEverythingElse) {
  const struct {
    std::string text, reason;
  } table[] = {
      {"", "does not start"},
      {"spiffe:/td/a", "does not start"},
      {"SPIFFE://td/a", "does not start"},
      {"https://td/a", "does not start"},
      {" spiffe://td/a", "does not start"},
      {"spiffe://", "trust domain is empty"},
      {"spiffe:///a", "trust domain is empty"},
      {"spiffe://td", "names a trust domain"},
      {"spiffe://td/", "empty path segment"},
      {"spiffe://td/a/", "empty path segment"},
      {"spiffe://td//a", "empty path segment"},
      {"spiffe://td/a//b", "empty path segment"},
      {"spiffe://td/.", "path segment \".\""},
      {"spiffe://td/a/../b", "path segment \"..\""},
      {"spiffe://TD/a", "'T'"},
      {"spiffe://td:80/a", "':'"},
      {"spiffe://user@td/a", "'@'"},
      {"spiffe://[::1]/a", "'['"},
      {"spiffe://t%64/a", "'%'"},
      {"spiffe://td/%61", "'%' in its path"},
      {"spiffe://td/a?b", "'?'"},
      {"spiffe://td/a#b", "'#'"},
      {"spiffe://td?b", "'?'"},
      {"spiffe://td/a\0"s, "byte 0x00"},
      {"spiffe://td/a\0.evil/b"s, "byte 0x00"},
      {"spiffe://td\0.other/b"s, "byte 0x00"},
      {"spiffe://td/\xc3\xa4", "byte 0xc3"},
      {"spiffe://td/a\n", "byte 0x0a"},
      {"spiffe://td/a b", "byte 0x20"},
      {"spiffe://" + std::string(256, 'a') + "/p", "longer than 255"},
      {"spiffe://td/" + std::string(2048 - 11, 'x'), "longer than 2048"},
  };
  for (const auto& [text, reason] : table) {
    const auto parsed = parse_spiffe_id(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().message.find(reason), std::string::npos)
        << text << " gave " << parsed.error().message;
  }
}

TEST(SpiffeId, TrustDomains) {
  EXPECT_TRUE(check_trust_domain("cluster.local").has_value());
  EXPECT_TRUE(check_trust_domain("a").has_value());
  for (const std::string& bad :
       {""s, "Cluster.local"s, "a/b"s, "a b"s, "a\0b"s, std::string(256, 'a')})
    EXPECT_FALSE(check_trust_domain(bad).has_value()) << bad;
}

}  // namespace
}  // namespace sallyport::identity
