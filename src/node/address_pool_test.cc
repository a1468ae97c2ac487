#include "node/address_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport::node {
namespace {

using std::chrono::seconds;

Ranges small() {
  Ranges ranges = default_ranges();
  ranges.pods4 = *Cidr::parse("198.18.0.0/29");  // six pods
  return ranges;
}

PodAddresses pair(const char* v4, const char* v6) {
  return {*Ip::parse(v4), *Ip::parse(v6)};
}

TEST(AddressPool, BothFamiliesHaveOneOffset) {
  AddressPool pool(default_ranges());
  auto first = pool.allocate({});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->v4.to_string(), "198.18.0.1");
  EXPECT_EQ(first->v6.to_string(), "fd00:5a11::1");
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(pool.allocate({}));
  auto later = pool.allocate({});
  EXPECT_EQ(later->v4.to_string(), "198.18.1.46");
  EXPECT_EQ(later->v6.to_string(), "fd00:5a11::12e");
}

TEST(AddressPool, AnAddressRestsForAMinute) {
  AddressPool pool(small());
  std::vector<PodAddresses> all;
  Monotonic now{};
  for (int i = 0; i < 6; ++i) all.push_back(pool.allocate(now).value());
  EXPECT_EQ(pool.in_use(), 6u);
  auto none = pool.allocate(now);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kExhausted);
  EXPECT_NE(none.error().message.find("6 are in use"), std::string::npos) << none.error().message;

  pool.release(all[4], now);
  pool.release(all[2], now + seconds(30));
  EXPECT_FALSE(pool.allocate(now + seconds(59)));
  auto back = pool.allocate(now + seconds(60));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->v4, all[4].v4);
  EXPECT_FALSE(pool.allocate(now + seconds(89)));
  back = pool.allocate(now + seconds(90));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->v4, all[2].v4);
}

TEST(AddressPool, TheOneReleasedLastComesBackLast) {
  AddressPool pool(small());
  Monotonic now{};
  auto first = pool.allocate(now).value();
  pool.release(first, now);
  // Long after its rest, the others still come first.
  for (int i = 0; i < 5; ++i) EXPECT_NE(pool.allocate(now + seconds(600))->v4, first.v4);
  EXPECT_EQ(pool.allocate(now + seconds(600))->v4, first.v4);
}

TEST(AddressPool, ClaimedAddressesAreNotGiven) {
  AddressPool pool(small());
  ASSERT_TRUE(pool.claim(pair("198.18.0.2", "fd00:5a11::2")));
  EXPECT_EQ(pool.claim(pair("198.18.0.2", "fd00:5a11::2")).error().code, Code::kConflict);
  std::set<std::string> given;
  while (auto next = pool.allocate({})) given.insert(next->v4.to_string());
  EXPECT_EQ(given.size(), 5u);
  EXPECT_FALSE(given.contains("198.18.0.2"));
}

TEST(AddressPool, WrongClaimsAreRefused) {
  AddressPool pool(small());
  for (auto [v4, v6] : {std::pair{"198.19.0.1", "fd00:5a11::1"},
                        {"198.18.0.1", "fd00:5a11:0:1::1"},
                        {"198.18.0.1", "fd00:5a11::2"},
                        {"198.18.0.0", "fd00:5a11::"},
                        {"198.18.0.7", "fd00:5a11::7"},
                        {"198.18.0.1", "fd00:5a11:0:0:1::1"},
                        {"fd00:5a11::1", "198.18.0.1"}})
    EXPECT_EQ(pool.claim(pair(v4, v6)).error().code, Code::kInvalid) << v4 << " " << v6;
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(AddressPool, ReleasingTwiceOrNothingIsIgnored) {
  AddressPool pool(small());
  auto one = pool.allocate({}).value();
  pool.release(one, {});
  pool.release(one, {});
  pool.release(pair("198.18.0.5", "fd00:5a11::5"), {});
  pool.release(pair("198.18.0.0", "fd00:5a11::"), {});
  EXPECT_EQ(pool.in_use(), 0u);
  std::set<std::string> given;
  while (auto next = pool.allocate(Monotonic{} + seconds(60))) given.insert(next->v4.to_string());
  EXPECT_EQ(given.size(), 6u) << "each exactly once";
}

TEST(AddressPool, BeginsWhereADeadNodeWouldHaveGoneOn) {
  EXPECT_EQ(AddressPool(small(), 4).allocate({})->v4.to_string(), "198.18.0.4");
  EXPECT_EQ(AddressPool(small(), 0).allocate({})->v4.to_string(), "198.18.0.1");
  EXPECT_EQ(AddressPool(small(), 800).allocate({})->v4.to_string(), "198.18.0.1");
  AddressPool last(small(), 6);
  EXPECT_EQ(last.allocate({})->v4.to_string(), "198.18.0.6");
  EXPECT_EQ(last.next_offset(), 1u) << "goes round";
}

}  // namespace
}  // namespace sallyport::node
