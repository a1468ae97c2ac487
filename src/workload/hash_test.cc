#include "workload/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport::workload {
namespace {

using codec::Value;

TEST(Hash, IgnoresKeyOrderAndPositions) {
  Value a = Value::map();
  a.set("x", Value::integer(1));
  a.set("y", "two");
  Value b = Value::map();
  b.set("y", "two");
  b.set("x", Value::integer(1));
  b.mark = {7, 3};
  EXPECT_EQ(hash_value(a), hash_value(b));
}

TEST(Hash, SeesTypesValuesAndStructure) {
  Value pair = Value::list();
  pair.push(Value::string("ab"));
  pair.push(Value::string("c"));
  Value other = Value::list();
  other.push(Value::string("a"));
  other.push(Value::string("bc"));
  Value swapped = Value::list();
  swapped.push(Value::string("c"));
  swapped.push(Value::string("ab"));
  Value nested = Value::list();
  nested.push(pair);
  Value map = Value::map();
  map.set("ab", "c");
  const std::set<uint64_t> hashes = {hash_value(Value()),
                                     hash_value(Value::boolean(false)),
                                     hash_value(Value::boolean(true)),
                                     hash_value(Value::integer(0)),
                                     hash_value(Value::integer(1)),
                                     hash_value(Value::floating(1.0)),
                                     hash_value(Value::string("1")),
                                     hash_value(Value::string("")),
                                     hash_value(Value::list()),
                                     hash_value(Value::map()),
                                     hash_value(pair),
                                     hash_value(other),
                                     hash_value(swapped),
                                     hash_value(nested),
                                     hash_value(map)};
  EXPECT_EQ(hashes.size(), 15u);
}

TEST(Hash, SafeTextHasNoVowels) {
  const std::string text = safe_text(0xffffffffffffffffULL, 10);
  EXPECT_EQ(text.size(), 10u);
  EXPECT_EQ(text.find_first_of("aeiou013"), std::string::npos);
  EXPECT_EQ(safe_text(0, 3), "bbb");
}

TEST(Hash, ReplicaSuffixesNeverCollide) {
  std::set<std::string> seen;
  for (uint32_t i = 0; i < 100'000; ++i) seen.insert(replica_suffix(123456789, i));
  EXPECT_EQ(seen.size(), 100'000u);
  EXPECT_NE(replica_suffix(1, 0), replica_suffix(2, 0));
}

}  // namespace
}  // namespace sallyport::workload
