#include "net/netlink.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/netns.h"
#include "net/test_support.h"

namespace sallyport::net {
namespace {

Cidr cidr(const char* text) {
  return *Cidr::parse(text);
}
Ip ip(const char* text) {
  return *Ip::parse(text);
}

class NetlinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto a = create_netns();
    auto b = create_netns();
    ASSERT_TRUE(a && b);
    a_ = std::move(*a);
    b_ = std::move(*b);
    auto links = Netlink::open(a_.get());
    auto peer_links = Netlink::open(b_.get());
    ASSERT_TRUE(links && peer_links);
    here_ = std::move(*links);
    there_ = std::move(*peer_links);
  }
  void wait_until_operating(int left, int right) {
    for (int tries = 0; tries < 3000; ++tries) {
      if (here_.link(left)->operating && there_.link(right)->operating) return;
      ::usleep(1000);
    }
    ADD_FAILURE() << "the links have no carrier after 3 s";
  }

  static void wait_until_local(Netlink& links, const char* address) {
    for (int tries = 0; tries < 3000; ++tries) {
      auto local = links.is_local(ip(address));
      ASSERT_TRUE(local) << local.error().message;
      if (*local) return;
      ::usleep(1000);
    }
    ADD_FAILURE() << address << " is not in use after 3 s";
  }

  Fd a_, b_;
  Netlink here_, there_;
};

TEST_F(NetlinkTest, NoWayIsNotFound) {
  for (const char* nowhere : {"198.18.99.1", "fd00:99::1"})
    EXPECT_EQ(here_.way_to(ip(nowhere)).error().code, Code::kNotFound) << nowhere;
}

TEST_F(NetlinkTest, VethIsMadeSeenAndDeleted) {
  VethOptions options{.mac = Mac{2, 0, 0, 0, 0, 1}, .peer_mac = Mac{2, 0, 0, 0, 0, 2}, .mtu = 1400};
  auto made = here_.add_veth("v0", "eth0", b_.get(), options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(here_.ifindex("v0").value(), *made);
  auto peer = there_.ifindex("eth0");
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(here_.mac(*made).value(), std::string("\x02\0\0\0\0\x01", 6));
  EXPECT_EQ(there_.mac(*peer).value(), std::string("\x02\0\0\0\0\x02", 6));
  auto links = here_.links();
  ASSERT_TRUE(links);
  ASSERT_EQ(links->size(), 2u);
  EXPECT_EQ((*links)[0].name, "lo");
  EXPECT_EQ((*links)[1].name, "v0");
  EXPECT_FALSE((*links)[1].up);
  ASSERT_TRUE(here_.delete_link(*made));
  EXPECT_EQ(here_.delete_link(*made).error().code, Code::kNotFound);
  EXPECT_EQ(here_.ifindex("v0").error().code, Code::kNotFound);
  EXPECT_EQ(there_.ifindex("eth0").error().code, Code::kNotFound);
  EXPECT_EQ(here_.link(*made).error().code, Code::kNotFound);
}

TEST_F(NetlinkTest, WrongRequestsSayWhy) {
  ASSERT_TRUE(here_.add_veth("v0", "eth0", b_.get()));
  EXPECT_EQ(here_.add_veth("v0", "eth1", b_.get()).error().code, Code::kConflict);
  EXPECT_EQ(here_.add_veth("sixteen-letters.", "eth1", b_.get()).error().code, Code::kInvalid);
  EXPECT_EQ(here_.add_veth("", "eth1", b_.get()).error().code, Code::kInvalid);
  EXPECT_EQ(here_.add_veth("v1", "a/b", b_.get()).error().code, Code::kInvalid);
  EXPECT_EQ(here_.ifindex("v1").error().code, Code::kNotFound) << "half a pair was left";
  EXPECT_FALSE(here_.set_up(4242));
  // A gateway that no connected subnet holds is refused, with the kernel's own words.
  int index = here_.ifindex("v0").value();
  ASSERT_TRUE(here_.set_up(index));
  Ip gateway = ip("198.18.9.9");
  Status refused = here_.add_route(cidr("198.18.1.0/24"), &gateway, index);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("gateway"), std::string::npos) << refused.error().message;
}

// The wiring of pods: /32 and /128, gateways outside any subnet, permanent neighbours. Data passes
// at the first packet.
TEST_F(NetlinkTest, RoutesAndNeighboursCarryBothFamilies) {
  VethOptions options{.mac = Mac{2, 0, 0, 0, 0, 1}, .peer_mac = Mac{2, 0, 0, 0, 0, 2}};
  int left = here_.add_veth("v0", "eth0", b_.get(), options).value();
  int right = there_.ifindex("eth0").value();
  struct Side {
    Netlink& links;
    int index;
    const char *v4, *v6, *other4, *other6;
    const Mac& other_mac;
  };
  Side sides[] = {
      {here_, left, "198.18.0.1", "fd00::1", "198.18.7.2", "fd00:7::2", *options.peer_mac},
      {there_, right, "198.18.7.2", "fd00:7::2", "198.18.0.1", "fd00::1", *options.mac}};
  for (Side& side : sides) {
    ASSERT_TRUE(side.links.set_mtu(side.index, 1400));
    ASSERT_TRUE(side.links.set_up(side.index));
    ASSERT_TRUE(side.links.add_address(side.index, ip(side.v4), 32));
    ASSERT_TRUE(side.links.add_address(side.index, ip(side.v6), 128));
    EXPECT_EQ(side.links.add_address(side.index, ip(side.v6), 128).error().code, Code::kConflict);
    Ip hop4 = ip("169.254.1.1"), hop6 = ip("fe80::1");
    for (const Ip& hop : {hop4, hop6})
      ASSERT_TRUE(side.links.add_neighbour(side.index, hop, side.other_mac.data()));
    Ip source4 = ip(side.v4);
    Status routed = side.links.add_route(cidr("0.0.0.0/0"), &hop4, side.index, &source4, true);
    ASSERT_TRUE(routed) << routed.error().message;
    routed = side.links.add_route(cidr("::/0"), &hop6, side.index, nullptr, true);
    ASSERT_TRUE(routed) << routed.error().message;
    EXPECT_EQ(side.links.add_route(cidr("::/0"), &hop6, side.index, nullptr, true).error().code,
              Code::kConflict);
    Route again{cidr("0.0.0.0/0"), hop4, source4, side.index, true, false, true};
    EXPECT_TRUE(side.links.add_route(again)) << "a replacement is not a conflict";
  }
  wait_until_operating(left, right);
  wait_until_local(here_, "fd00::1");
  wait_until_local(there_, "fd00:7::2");
  EXPECT_FALSE(here_.is_local(ip("fd00:7::2")).value());
  EXPECT_FALSE(here_.is_local(ip("198.18.7.2")).value());
  EXPECT_TRUE(here_.is_local(ip("198.18.0.1")).value());
  EXPECT_EQ(here_.way_to(ip("198.18.7.2")).value(), left);
  EXPECT_EQ(there_.way_to(ip("fd00::1")).value(), right);
  auto server = socket_in(b_.get(), AF_INET6, SOCK_DGRAM, 0);
  auto client = socket_in(a_.get(), AF_INET6, SOCK_DGRAM, 0);
  ASSERT_TRUE(server && client);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(5000);
  ASSERT_EQ(::bind(server->get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  timeval limit{2, 0};
  ::setsockopt(server->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  for (const char* target : {"::ffff:198.18.7.2", "fd00:7::2"}) {
    ASSERT_EQ(::inet_pton(AF_INET6, target, &address.sin6_addr), 1);
    ASSERT_EQ(
        ::sendto(client->get(), "hi", 2, 0, reinterpret_cast<sockaddr*>(&address), sizeof address),
        2)
        << target << ": " << strerror(errno);
    char data[8];
    EXPECT_EQ(::recv(server->get(), data, sizeof data, 0), 2) << target;
  }
  EXPECT_TRUE(there_.delete_route(cidr("::/0"), right));
  EXPECT_TRUE(there_.delete_route(cidr("0.0.0.0/0"), right));
  EXPECT_EQ(there_.delete_route(cidr("0.0.0.0/0"), right).error().code, Code::kNotFound);
}

TEST_F(NetlinkTest, LocalRouteAnswersForAWholeRange) {
  EXPECT_FALSE(here_.is_local(ip("198.19.200.3")).value()) << "no route at all";
  EXPECT_FALSE(here_.is_local(ip("fd00:2::3")).value()) << "no route at all";
  int lo = here_.ifindex("lo").value();
  Route route{.destination = cidr("198.19.128.0/17"), .ifindex = lo, .local = true};
  ASSERT_TRUE(here_.add_route(route));
  route.destination = cidr("fd00:2::/64");
  ASSERT_TRUE(here_.add_route(route));
  auto socket = socket_in(a_.get(), AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  ::inet_pton(AF_INET, "198.19.200.3", &address.sin_addr);
  EXPECT_NE(::connect(socket->get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(NetlinkTest, AGroupIsDeletedAndNothingElse) {
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(here_.add_veth("v" + std::to_string(i), "p" + std::to_string(i), b_.get(),
                               {.group = i == 3 ? 8u : 7u}));
  ASSERT_TRUE(here_.delete_group(7));
  EXPECT_EQ(here_.links().value().size(), 2u);
  EXPECT_TRUE(here_.ifindex("v3"));
  EXPECT_TRUE(here_.delete_group(7)) << "an empty group is fine";
  EXPECT_FALSE(here_.delete_group(0));
}

TEST_F(NetlinkTest, ARenamedLinkBelongsToItsNewGroup) {
  int index = here_.add_veth("v0", "p0", b_.get(), {.group = 7}).value();
  int other = here_.add_veth("v1", "p1", b_.get(), {.group = 7}).value();
  ASSERT_TRUE(here_.rename(index, "gone", 9));
  EXPECT_EQ(here_.ifindex("gone").value(), index);
  EXPECT_EQ(here_.ifindex("v0").error().code, Code::kNotFound);
  EXPECT_EQ(here_.rename(other, "gone", 9).error().code, Code::kConflict);
  EXPECT_FALSE(here_.rename(other, "a b", 9));
  ASSERT_TRUE(here_.delete_group(9));
  EXPECT_EQ(here_.ifindex("gone").error().code, Code::kNotFound);
  EXPECT_TRUE(here_.ifindex("v1"));
}

TEST_F(NetlinkTest, ManyLinksAreAllListed) {
  for (int i = 0; i < 150; ++i)
    ASSERT_TRUE(here_.add_veth("v" + std::to_string(i), "p" + std::to_string(i), b_.get()));
  EXPECT_EQ(here_.links().value().size(), 151u);
}

TEST_F(NetlinkTest, NoLinkLocalAddressWhereNoneIsWanted) {
  VethOptions options{.no_link_local = true};
  int left = here_.add_veth("v0", "eth0", b_.get(), options).value();
  ASSERT_TRUE(here_.set_up(left));
  int right = there_.ifindex("eth0").value();
  ASSERT_TRUE(there_.set_up(right));
  wait_until_operating(left, right);
  std::string here, there;
  auto read_into = [](std::string& text) {
    return [&text]() -> Status {
      SP_TRY(text, read_file("/proc/thread-self/net/if_inet6"));
      return {};
    };
  };
  ASSERT_TRUE(in_netns(a_.get(), read_into(here)));
  ASSERT_TRUE(in_netns(b_.get(), read_into(there)));
  EXPECT_EQ(here.find("fe80"), std::string::npos) << here;
  EXPECT_NE(there.find("fe80"), std::string::npos) << there;
}

TEST_F(NetlinkTest, OpensAndClosesWithoutLeaks) {
  auto before = open_descriptors();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Netlink::open(i % 2 ? a_.get() : -1));
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace sallyport::net
