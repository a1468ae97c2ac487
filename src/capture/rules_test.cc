#include "capture/rules.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/fs.h"

namespace sallyport::capture {
namespace {

// With SALLYPORT_WRITE_GOLDEN set, the files are written instead of compared.
void expect_golden(const std::string& name, const std::string& text) {
  std::string path = std::string(SALLYPORT_SOURCE_DIR) + "/src/capture/testdata/" + name;
  if (std::getenv("SALLYPORT_WRITE_GOLDEN")) {
    ASSERT_TRUE(write_file_atomic(path, text, 0644));
    return;
  }
  auto golden = read_file(path);
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(text, *golden);
}

Rules plain() {
  Rules rules;
  rules.marks = {0x5a110001, 0x00000a1f};
  rules.probe_sources = {*Ip::parse("169.254.7.1"), *Ip::parse("fd00:5a11:0:4::1")};
  return rules;
}

TEST(Rules, Plain) {
  expect_golden("plain.nft", ruleset(plain()));
}

TEST(Rules, Exclusions) {
  Rules rules = plain();
  rules.exclude_inbound_ports = {9000, 15020};
  rules.exclude_outbound_ports = {443};
  for (const char* range :
       {"198.18.7.0/24", "198.18.0.0/16", "198.18.7.0/24", "198.19.1.1/32", "fd00:1::/32"})
    rules.exclude_outbound_ranges.push_back(*Cidr::parse(range));
  expect_golden("exclusions.nft", ruleset(rules));
}

TEST(Rules, Deny) {
  expect_golden("deny.nft", deny_ruleset(plain().probe_sources));
}

TEST(Rules, EverythingExcludedIsNoSetThatNftRefuses) {
  Rules rules = plain();
  rules.exclude_outbound_ranges = {*Cidr::parse("0.0.0.0/0"), *Cidr::parse("198.18.0.0/16"),
                                   *Cidr::parse("::/0")};
  std::string text = ruleset(rules);
  EXPECT_NE(text.find("meta nfproto ipv4 accept"), std::string::npos) << text;
  EXPECT_NE(text.find("meta nfproto ipv6 accept"), std::string::npos) << text;
  EXPECT_EQ(text.find("198.18.0.0/16"), std::string::npos) << text;
}

TEST(Marks, AreDrawnAtRandom) {
  std::set<uint32_t> seen;
  for (int i = 0; i < 1000; ++i) {
    auto marks = draw_marks();
    ASSERT_TRUE(marks);
    EXPECT_NE(marks->outbound, 0U);
    EXPECT_NE(marks->to_app, 0U);
    EXPECT_NE(marks->outbound, marks->to_app);
    seen.insert(marks->outbound);
    seen.insert(marks->to_app);
  }
  // 2,000 draws of 32 bits: that ten coincide does not happen.
  EXPECT_GT(seen.size(), 1990U);
}

}  // namespace
}  // namespace sallyport::capture
