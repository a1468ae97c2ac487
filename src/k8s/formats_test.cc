#include "k8s/formats.h"

#include <gtest/gtest.h>

namespace sallyport::k8s {
namespace {

struct Row {
  FormatError (*check)(std::string_view);
  const char* name;
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

TEST(Formats, AcceptAndRefuse) {
  const std::string a63(63, 'a');
  const std::string a64(64, 'a');
  const Row rows[] = {
      {check_dns_label, "label", {"a", "0", "a-b", a63}, {"", "-a", "a-", "A", "a.b", "a_b", a64}},
      {check_dns1035_label, "label1035", {"a", "a1"}, {"1a", "", "a-"}},
      {check_dns_subdomain,
       "subdomain",
       {"a", "a.b", "1.2", std::string(253, 'a')},
       {"", ".", "a.", ".a", "a..b", "A.b", std::string(254, 'a')}},
      {check_label_key,
       "label key",
       {"a", "A_b.c-d", "example.com/a", "x/" + a63},
       {"", "/a", "a/", "a/b/c", "-a", "a b", "x/" + a64, "A.com/b"}},
      {check_label_value, "label value", {"", "a", "1.0", "a_B-c", a63}, {"-", "a ", "a/b", a64}},
      {check_port_name,
       "port name",
       {"a", "http", "1a", "a-b", "abcdefghijklmno"},
       {"", "80", "-a", "a-", "a--b", "A", "a_b", "abcdefghijklmnop"}},
      {check_config_key,
       "config key",
       {"a.b", "A_b-c", ".a"},
       {"", ".", "..", "..a", "a/b", "a b", std::string(254, 'a')}},
      {check_env_name, "env name", {"A", "a.b-c", "1 2"}, {"", "A=B", "a\n", "ü"}},
      {check_relative_path,
       "relative path",
       {"a", "a/b", "..a", ""},
       {"/a", "..", "a/../b", "a/.."}},
      {check_absolute_path, "absolute path", {"/", "/a"}, {"", "a"}},
      {check_header_name, "header", {"Accept", "x-1", "!#$"}, {"", "a b", "a:", "ü"}},
      {check_rfc3339,
       "time",
       {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05+02:00"},
       {"", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T25:04:05Z", "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+0200", "2026-01-02 03:04:05Z"}},
      {check_domain_pattern,
       "domain",
       {"a.b", "*.a.b", "a.b."},
       {"", "a", "*", "*.", "a.*.b", "*a.b", "**.a.b", "A.b"}},
  };
  for (const Row& row : rows) {
    for (const std::string& text : row.good)
      EXPECT_EQ(row.check(text).value_or(""), "") << row.name << " \"" << text << "\"";
    for (const std::string& text : row.bad)
      EXPECT_TRUE(row.check(text)) << row.name << " \"" << text << "\"";
  }
}

TEST(Formats, NearestWord) {
  const std::vector<std::string_view> words{"hostNetwork", "hostPID", "hostname", "topologyKey"};
  EXPECT_EQ(nearest_word("hostnetwork", words), "hostNetwork");
  EXPECT_EQ(nearest_word("hostNetwrok", words), "hostNetwork");
  EXPECT_EQ(nearest_word("topology", words), "topologyKey");
  EXPECT_EQ(nearest_word("replicas", words), "");
  EXPECT_EQ(nearest_word("", words), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'x'), words), "");
}

TEST(Formats, Durations) {
  for (const char* good : {"5s", "1m30s", "1.5h", "100ms", "0s1ns", ".5s", "1h2m3s4ms5us6ns"})
    EXPECT_FALSE(check_duration(good)) << good;
  for (const char* bad : {"", "0s", "5", "s", "-5s", "5 s", "5d", "1..5s", ".s", "1s2", "0.0s",
                          "99999999999999999999s"})
    EXPECT_TRUE(check_duration(bad)) << bad;
}

TEST(Formats, TimesAreBroughtToUtc) {
  EXPECT_EQ(normal_rfc3339("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
  EXPECT_EQ(normal_rfc3339("2024-02-29T00:00:00+00:01"), "2024-02-28T23:59:00Z");
  EXPECT_EQ(normal_rfc3339("2026-12-31T23:59:59.5-00:01"), "2027-01-01T00:00:59Z");
  EXPECT_EQ(normal_rfc3339("0000-01-01T00:00:00Z"), "0000-01-01T00:00:00Z");
  EXPECT_EQ(normal_rfc3339("2026-02-31T00:00:00Z"), "2026-03-03T00:00:00Z");
  EXPECT_EQ(normal_rfc3339("yesterday"), "");
  EXPECT_EQ(normal_rfc3339(""), "");
}

}  // namespace
}  // namespace sallyport::k8s
