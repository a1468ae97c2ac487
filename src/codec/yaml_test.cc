#include "codec/yaml.h"

#include <gtest/gtest.h>

#include "codec/json.h"

namespace sallyport::codec {
namespace {

std::string as_json(std::string_view text) {
  auto documents = parse_yaml(text);
  if (!documents)
    return std::to_string(documents.error().mark.line) + ":" +
           std::to_string(documents.error().mark.column) + " " + documents.error().message;
  std::string out;
  for (const Value& value : *documents) out += (out.empty() ? "" : "|") + write_json(value);
  return out;
}

TEST(Yaml, ScalarsMeanWhatKubectlReads) {
  EXPECT_EQ(as_json("[yes, No, ON, off, y, n, true, False, yEs]"),
            "[true,false,true,false,true,false,true,false,\"yEs\"]");
  EXPECT_EQ(as_json("[010, 0o17, 0x1F, 0b101, -0x10, +7, 1_000, 08, 1e3, .5, 1.0]"),
            "[8,15,31,5,-16,7,1000,8,1000,0.5,1]");
  EXPECT_EQ(as_json("[~, null, Null, '', \"~\", 'yes', \"010\"]"),
            "[null,null,null,\"\",\"~\",\"yes\",\"010\"]");
  EXPECT_EQ(as_json("[2001-01-01, 1:30, 10.0.0.0/8, 100m, 0x, 0o8, -, ._]"),
            "[\"2001-01-01\",\"1:30\",\"10.0.0.0/8\",\"100m\",\"0x\",\"0o8\",\"-\",\"._\"]");
  EXPECT_EQ(as_json("[!!str 12, !!int '12', !!float 1, !foo bar, !!binary aGk=, ! 5]"),
            "[\"12\",12,1,\"bar\",\"hi\",\"5\"]");
  EXPECT_EQ(as_json("[9223372036854775807, -9223372036854775808]"),
            "[9223372036854775807,-9223372036854775808]");
  auto inf = parse_yaml("[.inf, -.INF, .nan, 9223372036854775808]");
  ASSERT_TRUE(inf);
  for (const Value& v : (*inf)[0].items()) EXPECT_EQ(v.type(), Value::Type::kFloat);
  EXPECT_EQ(as_json("!!int abc"), "1:1 !!int on a value that is a string");
}

TEST(Yaml, KeysBecomeStrings) {
  EXPECT_EQ(as_json("{1: a, yes: b, 0x10: c, 1.5: d}"),
            R"({"1":"a","true":"b","16":"c","1.5":"d"})");
  EXPECT_EQ(as_json("~: a"), "1:1 a map key that is null; expected a string");
  EXPECT_EQ(as_json("{[a]: b}"), "1:2 a map key that is a list; expected a string");
  EXPECT_EQ(as_json("? [a]\n: b"), "1:3 a map key that is a list; expected a string");
}

TEST(Yaml, DuplicateKeysAreErrorsAtTheSecond) {
  EXPECT_EQ(as_json("a: 1\nb: 2\n\"a\": 3\n"),
            "3:1 duplicate key \"a\"; a key may stand only once in a map");
  EXPECT_EQ(as_json("x:\n  1: a\n  '1': b\n"),
            "3:3 duplicate key \"1\"; a key may stand only once in a map");
}

TEST(Yaml, DocumentsAreSeparated) {
  EXPECT_EQ(as_json(""), "");
  EXPECT_EQ(as_json("# only a comment\n"), "");
  EXPECT_EQ(as_json("a: 1\n---\nb: 2\n---\n"), R"({"a":1}|{"b":2}|null)");
  EXPECT_EQ(as_json("---\na: 1\n...\n---\n- b\n"), R"({"a":1}|["b"])");
  EXPECT_EQ(as_json("[a]\n[b]\n"), "2:1 text after the end of the document; expected \"---\"");
  EXPECT_EQ(as_json("\xef\xbb\xbfkey: 1\r\nb: 2\r\n"), R"({"key":1,"b":2})");
}

TEST(Yaml, AnchorsAndMergeKeys) {
  EXPECT_EQ(as_json("a: &x {k: 1}\nb: *x\n"), R"({"a":{"k":1},"b":{"k":1}})");
  EXPECT_EQ(as_json("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n"),
            R"({"a":{"k":1,"l":2},"b":{"k":1,"l":3}})");
  EXPECT_EQ(as_json("a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  <<: [*x, *y]\n"),
            R"({"a":{"k":1},"b":{"k":2,"m":3},"c":{"k":1,"m":3}})");
  EXPECT_EQ(as_json("b:\n  '<<': 1\n"), R"({"b":{"<<":1}})");
  EXPECT_EQ(as_json("a: &x 5\nb:\n  <<: *x\n"),
            "3:3 a merge key (<<) with a integer; expected a map or a list of maps");
  EXPECT_EQ(as_json("a: &x {l: 2}\nb:\n  l: 3\n  <<: *x\n").substr(0, 4), "4:3 ");
  EXPECT_EQ(as_json("a: *x\n"), "1:4 not valid YAML: alias of an anchor that is not defined");
  EXPECT_EQ(as_json("a: &x\n  b: *x\n"), "2:6 alias inside the value of its own anchor");
}

TEST(Yaml, ABillionLaughsStopsEarly) {
  std::string text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 12; ++i) {
    std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) text += ", " + last;
    text += "]\n";
  }
  std::string answer = as_json(text);
  EXPECT_NE(answer.find("values with aliases expanded"), std::string::npos) << answer;
  EXPECT_EQ(answer.substr(0, 2), "6:");

  // Long scalars instead of many nodes.
  std::string bulky = "a: &x \"" + std::string(1 << 20, 'x') + "\"\nb:\n";
  for (int i = 0; i < 100; ++i) bulky += "- *x\n";
  EXPECT_NE(as_json(bulky).find("bytes of text"), std::string::npos);
}

TEST(Yaml, DepthIsBounded) {
  for (std::string open : {"[", "{a: ", "- ", "? "}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += open;
    auto answer = parse_yaml(text);
    ASSERT_FALSE(answer) << open;
    EXPECT_GT(answer.error().mark.line, 0);
  }
  EXPECT_TRUE(parse_yaml(std::string(100, '[') + std::string(100, ']')));
  auto deep = parse_yaml(std::string(101, '[') + std::string(101, ']'));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().message, "nested deeper than 100 levels");
  EXPECT_EQ(deep.error().mark.column, 101);
}

TEST(Yaml, OddCharactersAreRefused) {
  EXPECT_EQ(as_json("a: 1\nb: \x04hidden: true\n").substr(0, 4), "2:4 ");
  EXPECT_EQ(as_json("a: \xff\n"), "1:4 a byte that is not valid UTF-8");
  EXPECT_EQ(as_json("# x\rb: 1\n"), "1:4 a carriage return without a line feed");
  EXPECT_EQ(as_json("# x\xe2\x80\xa8"
                    "b: 1\n")
                .substr(0, 4),
            "1:4 ");
  EXPECT_EQ(as_json(std::string("a\0b", 3)).substr(0, 4), "1:2 ");
  EXPECT_EQ(as_json("a: \"\\u0004\"\n"), R"({"a":"\u0004"})");
  EXPECT_EQ(as_json("a: grüße\n"), R"({"a":"grüße"})");
}

TEST(Yaml, SyntaxErrorsHaveMarks) {
  EXPECT_EQ(as_json("a: b: c\n").substr(0, 4), "1:5 ");
  EXPECT_EQ(as_json("a:\n \tb: c\n"),
            "2:2 not valid YAML: a tab in the indentation; expected spaces");
  EXPECT_EQ(as_json("{a: b, c: [\n"), "1:11 not valid YAML: \"[\" without \"]\"");
  EXPECT_EQ(as_json("{a: b, c: d\n"), "1:1 not valid YAML: \"{\" without \"}\"");
  EXPECT_EQ(as_json("[a,,b]"), "1:4 a comma without an item before it");
  EXPECT_EQ(as_json("[a, ~, null,]"), "[\"a\",null,null]");
  EXPECT_EQ(as_json("a: [1, {}, 2\n\n"), "1:4 not valid YAML: \"[\" without \"]\"");
  EXPECT_EQ(as_json("a: \"x\n"), "1:4 not valid YAML: text in quotes that never ends");
  EXPECT_EQ(as_json("a: 1\nb: &x 'it''s\n").substr(0, 5), "2:7 n");
  EXPECT_EQ(as_json("a: 'it''s' # '\n"), "{\"a\":\"it's\"}");
}

TEST(Yaml, MarksOfKeysAndValues) {
  auto documents = parse_yaml("a:\n  - b: 1\n    c:  two\n");
  ASSERT_TRUE(documents);
  const Value& item = (*documents)[0]["a"].items()[0];
  EXPECT_EQ(item.mark.line, 2);
  EXPECT_EQ(item.mark.column, 5);
  EXPECT_EQ(item.members()[1].mark.column, 5);
  EXPECT_EQ(item["c"].mark.line, 3);
  EXPECT_EQ(item["c"].mark.column, 9);
}

TEST(Yaml, WritesWhatItReadsBack) {
  constexpr std::string_view kJson =
      R"({"plain":"text","no":"no","num":"010","colon":"a: b","hash":"a #b","empty":"","list":[1,[2,[]],{"k":{}}],)"
      R"("multi":"l1\n  l2\n\nl3\n","trail":"x\n\n","lead":" x\ny\n","q":"it's \"q\"","nl":"a\nb","bool":true,"null":null,)"
      R"("date":"2001-01-01","sex":"1:30","uni":"grüße \u0001","merge":"<<","y":"y","tilde":"~","dash":"- a",)"
      R"("maps":[{"a":[{"b":1,"c":[1]}]},{"d":"e"}],"float":1.5,"big":9223372036854775807})";
  auto value = parse_json(kJson);
  ASSERT_TRUE(value) << value.error().message;
  std::string yaml = write_yaml(*value);
  EXPECT_EQ(as_json(yaml), write_json(*value)) << yaml;
  EXPECT_EQ(write_yaml(*parse_json(R"({"a":{"b":[1,{"c":2,"d":[]}]},"e":"l1\nl2\n"})")),
            "a:\n  b:\n  - 1\n  - c: 2\n    d: []\ne: |\n  l1\n  l2\n");
}

}  // namespace
}  // namespace sallyport::codec
