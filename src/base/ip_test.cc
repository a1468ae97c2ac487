#include "base/ip.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(Ip, ParsesBothFamilies) {
  EXPECT_EQ(Ip::parse("198.18.0.1")->to_string(), "198.18.0.1");
  EXPECT_EQ(Ip::parse("fd00:0:0::1")->to_string(), "fd00::1");
  EXPECT_EQ(Ip::parse("10.0.0.1")->family(), Family::kV4);
  EXPECT_EQ(Ip::parse("::1")->family(), Family::kV6);
}

TEST(Ip, RefusesSloppyForms) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4 ",
                           "fe80::1%lo", "::ffff:1.2.3.4", ":::", "1.2.3.-4", "g::1"})
    EXPECT_FALSE(Ip::parse(text)) << text;
}

TEST(Cidr, MasksHostBitsUnlessStrict) {
  EXPECT_EQ(Cidr::parse("10.1.2.3/8")->to_string(), "10.0.0.0/8");
  EXPECT_EQ(Cidr::parse("fd00::1/8")->to_string(), "fd00::/8");
  EXPECT_FALSE(Cidr::parse("10.1.2.3/8", true));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/33"));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/08"));
  EXPECT_FALSE(Cidr::parse("10.0.0.0"));
}

TEST(Cidr, ContainsNeverCrossesFamilies) {
  Cidr all4 = *Cidr::parse("0.0.0.0/0");
  Cidr all6 = *Cidr::parse("::/0");
  EXPECT_TRUE(all4.contains(*Ip::parse("255.0.0.1")));
  EXPECT_FALSE(all4.contains(*Ip::parse("::1")));
  EXPECT_FALSE(all6.contains(*Ip::parse("1.2.3.4")));
  EXPECT_TRUE(Cidr::parse("10.0.0.0/8")->contains(*Cidr::parse("10.2.0.0/16")));
  EXPECT_FALSE(Cidr::parse("10.2.0.0/16")->contains(*Cidr::parse("10.0.0.0/8")));
}

TEST(Ip, Offsets) {
  EXPECT_EQ(offset_ip(*Ip::parse("198.18.0.255"), 1).to_string(), "198.18.1.0");
}

}  // namespace
}  // namespace sallyport
