#include "policy/cidr_partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "policy/test_support.h"

namespace sallyport::policy {
namespace {

using testing::cidr;
using testing::ip;
using Ids = std::vector<uint32_t>;

TEST(CidrPartition, NestedBlocksAddUpAndExceptionsTakeAwayTheirOwnPeerOnly) {
  CidrPartition partition({{1, {cidr("198.18.0.0/15")}, {cidr("198.18.1.0/24")}},
                           {2, {cidr("198.18.1.0/24")}, {}},
                           {3, {cidr("198.18.1.128/25")}, {cidr("198.18.1.200/32")}}});
  EXPECT_EQ(partition.lookup(ip("198.19.0.1")), (Ids{1}));
  EXPECT_EQ(partition.lookup(ip("198.18.1.1")), (Ids{2}));
  EXPECT_EQ(partition.lookup(ip("198.18.1.129")), (Ids{2, 3}));
  EXPECT_EQ(partition.lookup(ip("198.18.1.200")), (Ids{2}));
  EXPECT_EQ(partition.lookup(ip("198.20.0.0")), Ids{});
}

TEST(CidrPartition, AnExceptionThatHoldsTheWholeBlockLeavesNothing) {
  CidrPartition partition({{1, {cidr("198.18.1.0/24")}, {cidr("198.18.0.0/16")}},
                           {2, {cidr("198.18.2.0/24")}, {cidr("198.18.2.0/24")}}});
  EXPECT_EQ(partition.lookup(ip("198.18.1.1")), Ids{});
  EXPECT_EQ(partition.lookup(ip("198.18.2.1")), Ids{});
}

// ::/0 holds ::ffff:a.b.c.d, the form of IPv4 in the kernel's table.
TEST(CidrPartition, ShortIpv6PrefixesAreKeptFromIpv4) {
  auto has_v4 = [](const CidrPartition& partition) {
    return std::any_of(partition.entries().begin(), partition.entries().end(), [](const auto& e) {
      return e.cidr == cidr("0.0.0.0/0") && e.peers.empty();
    });
  };
  EXPECT_TRUE(has_v4(CidrPartition({{1, {cidr("::/0")}, {}}})));
  EXPECT_TRUE(has_v4(CidrPartition({{1, {cidr("::/64")}, {}}})));
  EXPECT_FALSE(has_v4(CidrPartition({{1, {cidr("fd00::/8")}, {}}})));
  EXPECT_FALSE(has_v4(CidrPartition({{1, {cidr("::1/128")}, {}}})));
  EXPECT_EQ(CidrPartition({{1, {cidr("::/0")}, {}}}).lookup(ip("198.18.0.1")), Ids{});
}

// One longest match must give what asking each peer gives.
TEST(CidrPartition, EqualsAskingEachPeer) {
  std::mt19937 random(7);
  auto block = [&](bool v6) {
    Ip base = v6 ? ip("fd00::") : ip("198.18.0.0");
    base.bytes[14] = static_cast<uint8_t>(random() & 3);
    base.bytes[15] = static_cast<uint8_t>(random());
    int bits = static_cast<int>(random() % 18) + (v6 ? 111 : 15);
    return cidr(base.to_string() + "/" + std::to_string(bits));
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<AddressPeer> peers;
    for (uint32_t id = 0; id < 6; ++id) {
      AddressPeer peer{id, {}, {}};
      for (auto n = random() % 3; n > 0; --n) peer.include.push_back(block(random() % 2));
      if (peer.include.size() == 1 && random() % 2) peer.except.push_back(block(random() % 2));
      peers.push_back(peer);
    }
    CidrPartition partition(peers);
    for (int i = 0; i < 60; ++i) {
      Ip address = block(random() % 2).base;
      Ids expected;
      for (const AddressPeer& peer : peers) {
        auto holds = [&](const Cidr& c) { return c.contains(address); };
        if (std::any_of(peer.include.begin(), peer.include.end(), holds) &&
            std::none_of(peer.except.begin(), peer.except.end(), holds))
          expected.push_back(peer.id);
      }
      ASSERT_EQ(partition.lookup(address), expected)
          << "round " << round << " " << address.to_string();
    }
  }
}

}  // namespace
}  // namespace sallyport::policy
