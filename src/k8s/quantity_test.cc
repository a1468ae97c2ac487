#include "k8s/quantity.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sallyport::k8s {
namespace {

TEST(Quantity, Units) {
  constexpr std::pair<const char*, int64_t> kMilli[] = {
      {"1", 1000},      {"100m", 100},   {"0.5", 500},     {".5", 500},
      {"1.", 1000},     {"1k", 1000000}, {"1Ki", 1024000}, {"1e3", 1000000},
      {"1E3", 1000000}, {"2e-3", 2},     {"1u", 1},        {"1n", 1},
      {"-1.5", -1500},  {"+2", 2000},    {"0", 0},         {"1.5Gi", 1610612736000}};
  for (const auto& [text, value] : kMilli) EXPECT_EQ(parse_quantity_milli(text), value) << text;
  EXPECT_EQ(parse_quantity("128Mi"), 134217728);
  EXPECT_EQ(parse_quantity("1500m"), 2);  // rounded up, as Kubernetes does
  EXPECT_EQ(parse_quantity("1G"), 1000000000);
  EXPECT_EQ(parse_quantity("1E"), 1000000000000000000);
}

TEST(Quantity, SaturatesInsteadOfWrapping) {
  EXPECT_EQ(parse_quantity_milli("16Ei"), INT64_MAX);
  EXPECT_EQ(parse_quantity_milli("-16Ei"), -INT64_MAX);
  EXPECT_EQ(parse_quantity("99999999999999999999999999999999999999999999"), INT64_MAX);
  EXPECT_EQ(parse_quantity("1e100"), INT64_MAX);
  EXPECT_EQ(parse_quantity("1e-100"), 1);
  EXPECT_EQ(parse_quantity("0.00000000000000000000000000000000000000000001"), 1);
}

TEST(Quantity, RefusesOtherText) {
  for (const char* text : {"", "m", ".", "-", "1KB", "1GB", "1 Gi", " 1", "1ki", "1K", "1.2.3",
                           "1e", "1e1000", "0x10", "1,5", "NaN", "1--2"})
    EXPECT_FALSE(parse_quantity_milli(text)) << text;
}

}  // namespace
}  // namespace sallyport::k8s
