#include "base/table.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(Table, AlignsColumnsAndDoesNotPadTheLast) {
  Table table({"NAME", "READY", "AGE"});
  table.add({"a-long-name", "1/1", "5s"});
  table.add({"b", "0/1", "3m12s"});
  EXPECT_EQ(table.to_string(),
            "NAME          READY   AGE\n"
            "a-long-name   1/1     5s\n"
            "b             0/1     3m12s\n");
}

TEST(Table, WithoutHeaderItsWidthDoesNotCount) {
  Table table({"A-WIDE-HEADER", "B"});
  table.add({"x", "y"});
  EXPECT_EQ(table.to_string(false), "x   y\n");
}

TEST(Table, ShortRowsAreFilledAndLongOnesCut) {
  Table table({"A", "B"});
  table.add({"x"});
  table.add({"x", "y", "z"});
  EXPECT_EQ(table.to_string(), "A   B\nx\nx   y\n");
}

TEST(Table, CountsCharactersAndHidesControlBytes) {
  Table table({"A", "B"});
  table.add({"\xc3\xa4\xc3\xb6", "x"});
  table.add({"a\x1b[2J", "y\n"});
  EXPECT_EQ(table.to_string(), "A       B\n\xc3\xa4\xc3\xb6      x\na?[2J   y?\n");
}

TEST(Table, KnowsWhenEmpty) {
  Table table({"A"});
  EXPECT_TRUE(table.empty());
  table.add({"x"});
  EXPECT_FALSE(table.empty());
}

TEST(ShortDuration, AsKubectlShowsAges) {
  EXPECT_EQ(short_duration(-5), "0s");
  EXPECT_EQ(short_duration(119), "119s");
  EXPECT_EQ(short_duration(120), "2m");
  EXPECT_EQ(short_duration(192), "3m12s");
  EXPECT_EQ(short_duration(600), "10m");
  EXPECT_EQ(short_duration(3 * 3600 - 1), "179m");
  EXPECT_EQ(short_duration(3 * 3600 + 120), "3h2m");
  EXPECT_EQ(short_duration(10 * 3600), "10h");
  EXPECT_EQ(short_duration(50 * 3600), "2d2h");
  EXPECT_EQ(short_duration(30 * 86400), "30d");
}

}  // namespace
}  // namespace sallyport
