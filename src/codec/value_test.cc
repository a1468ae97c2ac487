#include "codec/value.h"

#include <gtest/gtest.h>

namespace sallyport::codec {
namespace {

TEST(Value, ReadsOnlyWhatItIs) {
  EXPECT_TRUE(Value::boolean(true).as_bool());
  EXPECT_FALSE(Value::integer(1).as_bool());
  EXPECT_EQ(Value::boolean(true).as_int(), 0);
  EXPECT_EQ(Value::integer(-3).as_double(), -3);
  EXPECT_EQ(Value::floating(1.5).as_int(), 0);
  EXPECT_EQ(Value::integer(1).as_string(), "");
  EXPECT_EQ(Value().type_name(), "null");
}

TEST(Value, MapsKeepTheOrderOfTheirKeys) {
  Value map = Value::map();
  map.set("b", "1");
  map.set("a", Value::list()).push(Value::integer(2));
  map.set("b", "3");
  ASSERT_EQ(map.members().size(), 2u);
  EXPECT_EQ(map.members()[0].key, "b");
  EXPECT_EQ(map["b"].as_string(), "3");
  EXPECT_EQ(map["a"].items()[0].as_int(), 2);
  EXPECT_TRUE(map["none"]["deeper"].is_null());
  EXPECT_EQ(map.find("none"), nullptr);
  map.erase("b");
  EXPECT_EQ(map.members().size(), 1u);
}

}  // namespace
}  // namespace sallyport::codec
