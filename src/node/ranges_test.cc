#include "node/ranges.h"

#include <gtest/gtest.h>

namespace sallyport::node {
namespace {

TEST(Ranges, AreThoseReservedForTestsAndLocalUse) {
  Ranges r = default_ranges();
  Cidr all4 = *Cidr::parse("198.18.0.0/15"), all6 = *Cidr::parse("fd00::/8");
  for (const Cidr& each : {r.pods4, r.services4, r.outside4}) EXPECT_TRUE(all4.contains(each));
  for (const Cidr& each : {r.pods6, r.services6, r.outside6}) EXPECT_TRUE(all6.contains(each));
  EXPECT_TRUE(all4.contains(r.node4));
  EXPECT_TRUE(all6.contains(r.node6));
  EXPECT_EQ(r.pods4.to_string(), "198.18.0.0/16");
  EXPECT_EQ(r.services4.to_string(), "198.19.0.0/17");
  EXPECT_EQ(r.outside4.to_string(), "198.19.128.0/17");
}

TEST(Ranges, DoNotOverlap) {
  Ranges r = default_ranges();
  const Cidr* ranges[] = {&r.pods4, &r.services4, &r.outside4, &r.pods6, &r.services6, &r.outside6};
  for (const Cidr* a : ranges)
    for (const Cidr* b : ranges) {
      if (a != b) {
        EXPECT_FALSE(a->contains(*b)) << a->to_string() << " and " << b->to_string();
      }
    }
  for (const Cidr* range : {&r.pods4, &r.services4}) EXPECT_FALSE(range->contains(r.node4));
  for (const Cidr* range : {&r.pods6, &r.services6, &r.outside6})
    EXPECT_FALSE(range->contains(r.node6));
  EXPECT_TRUE(Cidr::parse("169.254.0.0/16")->contains(r.probe4));
  EXPECT_TRUE(Cidr::parse("fe80::/10")->contains(r.probe6));
  EXPECT_NE(r.probe4, pod_gateway4());
  EXPECT_NE(r.probe6, pod_gateway6());
  EXPECT_NE(r.probe6, outside_router6());
  EXPECT_NE(outside_router4(), r.node4);
  EXPECT_NE(outside_router6(), pod_gateway6());
}

}  // namespace
}  // namespace sallyport::node
