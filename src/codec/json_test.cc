#include "codec/json.h"

#include <gtest/gtest.h>

namespace sallyport::codec {
namespace {

TEST(Json, ReadsAndWrites) {
  constexpr std::string_view kText =
      R"({"a":[1,-2,0.5,true,false,null,"x\n\"\\\u0001"],"b":{},"c":[],"d":"\ud83d\ude00"})";
  auto value = parse_json(kText);
  ASSERT_TRUE(value) << value.error().message;
  std::string once = write_json(*value);
  EXPECT_EQ(once, R"({"a":[1,-2,0.5,true,false,null,"x\n\"\\\u0001"],"b":{},"c":[],"d":"😀"})");
  EXPECT_EQ(write_json(*parse_json(write_json(*value, 2))), once);
  EXPECT_EQ(write_json(*parse_json(R"({"a":[1,{}]})"), 2), "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
}

TEST(Json, MarksPointAtValuesAndKeys) {
  auto value = parse_json("{\n  \"a\": [\n    7 ]}");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->members()[0].mark.line, 2);
  EXPECT_EQ(value->members()[0].mark.column, 3);
  EXPECT_EQ((*value)["a"].items()[0].mark.line, 3);
  EXPECT_EQ((*value)["a"].items()[0].mark.column, 5);
}

TEST(Json, RefusesWhatIsNotJson) {
  constexpr std::pair<std::string_view, std::string_view> kCases[] = {
      {"", "1:1"},         {"{\"a\":1,}", "1:8"},
      {"[1,]", "1:4"},     {"{'a':1}", "1:2"},
      {"01", "1:1"},       {"1.", "1:3"},
      {"[1] x", "1:5"},    {"\"a\nb\"", "1:3"},
      {"\"\\x\"", "1:3"},  {"\"\\ud800\"", "1:8"},
      {"\"\xff\"", "1:2"}, {"{\"a\":1,\n\"a\":2}", "2:1"},
      {"nul", "1:1"},      {"{\"a\" 1}", "1:6"},
      {"1e999", "1:1"},    {"+1", "1:1"},
      {"NaN", "1:1"},      {"\"abc", "1:5"},
  };
  for (const auto& [text, where] : kCases) {
    auto value = parse_json(text);
    ASSERT_FALSE(value) << text;
    EXPECT_TRUE(value.error().message.starts_with(std::string(where) + ": "))
        << text << " " << value.error().message;
  }
  EXPECT_FALSE(parse_json(std::string(100'000, '[')));
  EXPECT_FALSE(parse_json("[1,2,3]", 3));
}

TEST(Json, LargeAndOddNumbers) {
  EXPECT_EQ(parse_json("9223372036854775807")->as_int(), INT64_MAX);
  EXPECT_EQ(parse_json("9223372036854775808")->type(), Value::Type::kFloat);
  EXPECT_EQ(write_json(Value::floating(1e20)), "100000000000000000000");
  EXPECT_EQ(write_json(Value::floating(0.0 / 0.0)), "null");
  EXPECT_EQ(write_json(Value::floating(80)), "80");
}

TEST(Json, QuotesInvalidUtf8) {
  EXPECT_EQ(quote_json("a\xff"), "\"a\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace sallyport::codec
