#include "codec/yaml_scalar.h"

#include <gtest/gtest.h>

namespace sallyport::codec {
namespace {

using Type = Value::Type;

TEST(YamlScalar, PlainTextsThatAreNotText) {
  constexpr std::pair<std::string_view, Type> kCases[] = {
      {"", Type::kNull},
      {"~", Type::kNull},
      {"NULL", Type::kNull},
      {"nULL", Type::kString},
      {"y", Type::kBool},
      {"Off", Type::kBool},
      {"oFF", Type::kString},
      {"0", Type::kInt},
      {"-0", Type::kInt},
      {"0777", Type::kInt},
      {"0o7", Type::kInt},
      {"0O7", Type::kInt},
      {"0x", Type::kString},
      {"0b2", Type::kString},
      {"0xfg", Type::kString},
      {"1__0", Type::kInt},
      {"_1", Type::kString},
      {"1e5", Type::kFloat},
      {"1.", Type::kFloat},
      {".", Type::kString},
      {"-", Type::kString},
      {"+", Type::kString},
      {"1.2.3", Type::kString},
      {"1e", Type::kString},
      {".inf", Type::kFloat},
      {"+.INF", Type::kFloat},
      {"-.nan", Type::kString},
      {"inf", Type::kString},
      {"nan", Type::kString},
      {"12:30:45", Type::kString},
      {"2026-01-02", Type::kString},
      {"1e999", Type::kString},
      {"0x1p4", Type::kString},
      {"99999999999999999999", Type::kFloat},
  };
  for (const auto& [text, type] : kCases)
    EXPECT_EQ(resolve_plain(text).type(), type)
        << text << " is " << resolve_plain(text).type_name();
  EXPECT_EQ(resolve_plain("0777").as_int(), 511);
  EXPECT_EQ(resolve_plain("-0x10").as_int(), -16);
}

TEST(YamlScalar, TagsMustFit) {
  constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
  auto tag = [&](std::string_view name) { return std::string(kPrefix) + std::string(name); };
  EXPECT_EQ(resolve_tagged(tag("str"), "12")->as_string(), "12");
  EXPECT_EQ(resolve_tagged(tag("int"), "0x10")->as_int(), 16);
  EXPECT_EQ(resolve_tagged(tag("float"), "3")->as_double(), 3);
  EXPECT_EQ(resolve_tagged(tag("binary"), "aGk=")->as_string(), "hi");
  EXPECT_EQ(resolve_tagged("!mine", "12")->as_string(), "12");
  EXPECT_TRUE(resolve_tagged(tag("null"), "")->is_null());
  EXPECT_FALSE(resolve_tagged(tag("int"), "x"));
  EXPECT_FALSE(resolve_tagged(tag("bool"), "1"));
  EXPECT_FALSE(resolve_tagged(tag("binary"), "?"));
  EXPECT_FALSE(resolve_tagged(tag("binary"), "/w=="));  // 0xff
}

TEST(YamlScalar, WhatIsWrittenWithoutQuotesComesBack) {
  for (std::string_view text : {"a", "app.kubernetes.io/name", "a b", "x:y", "a#b"})
    EXPECT_TRUE(is_safe_plain(text)) << text;
  for (std::string_view text :
       {"",   "yes", "n",          "1",  "1a", "-a",  "a: b", "a #b", "a ",       " a",
        "a:", "[a",  "a]",         "&a", "*a", "!a",  "|",    "%a",   "@a",       "`a",
        "<<", "=",   "2026-01-02", ".5", "+1", "a,b", "{",    "a\nb", "\xc3\xbc", "~"})
    EXPECT_FALSE(is_safe_plain(text)) << text;
}

}  // namespace
}  // namespace sallyport::codec
