#include "node/network.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/strings.h"
#include "net/netlink.h"
#include "net/sysctl.h"
#include "net/test_support.h"
#include "node/test_pods.h"

namespace sallyport::node {
namespace {

TEST_F(NetworkTest, PodsReachEachOtherAtTheirFirstPacket) {
  TestPod a = start_pod(*network_, "veth-a"), b = start_pod(*network_, "veth-b");
  TestServer server(b.netns.get(), "b", 8080);
  for (int type : {SOCK_STREAM, SOCK_DGRAM})
    for (auto [to, from] :
         {std::pair{b.addresses.v4, a.addresses.v4}, std::pair{b.addresses.v6, a.addresses.v6}}) {
      auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(ask_from(a.netns.get(), type, to, 8080), "b " + from.to_string());
      // A lost first packet costs TCP a second.
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
    }
}

TEST_F(NetworkTest, TheFirstPacketIsNotLostInManyStarts) {
  TestPod server_pod = start_pod(*network_, "veth-s");
  TestServer server(server_pod.netns.get(), "s", 8080);
  for (int i = 0; i < 40; ++i) {
    TestPod pod = start_pod(*network_, "veth-" + std::to_string(i));
    const Ip& to = i % 2 ? server_pod.addresses.v4 : server_pod.addresses.v6;
    const Ip& from = i % 2 ? pod.addresses.v4 : pod.addresses.v6;
    // UDP repeats nothing: one packet there, one back.
    EXPECT_EQ(ask_from(pod.netns.get(), SOCK_DGRAM, to, 8080, 300), "s " + from.to_string()) << i;
    ASSERT_TRUE(network_->disconnect(pod.link));
  }
  // What was disconnected is deleted soon.
  auto links = net::Netlink::open(network_->node_netns());
  for (int i = 0; i < 500 && links->links()->size() > 3; ++i) ::usleep(10'000);
  EXPECT_EQ(links->links()->size(), 3u) << "lo, uplink0 and the server's";
}

TEST_F(NetworkTest, ANameIsFreeAtOnce) {
  for (int i = 0; i < 5; ++i) {
    TestPod pod = start_pod(*network_, "veth-same");
    ASSERT_TRUE(network_->disconnect(pod.link));
    EXPECT_TRUE(network_->disconnect(pod.link)) << "twice is fine";
  }
}

TEST_F(NetworkTest, APodIsDeafAndMuteUntilItIsConnected) {
  TestPod a = start_pod(*network_, "veth-a");
  TestServer server(a.netns.get(), "a", 8080);
  SystemClock clock;
  auto netns = net::create_netns();
  auto addresses = network_->allocate(clock).value();
  auto link = network_->prepare(netns->get(), "veth-b", addresses);
  ASSERT_TRUE(link) << link.error().message;
  auto links = net::Netlink::open(network_->node_netns());
  ASSERT_TRUE(links);
  EXPECT_FALSE(links->link(link->ifindex)->up);
  EXPECT_EQ(ask_from(netns->get(), SOCK_DGRAM, a.addresses.v4, 8080, 200), "error: timeout");
  EXPECT_EQ(ask_from(netns->get(), SOCK_DGRAM, a.addresses.v6, 8080, 200), "error: timeout");
  ASSERT_TRUE(network_->connect(*link, addresses));
  EXPECT_EQ(ask_from(netns->get(), SOCK_DGRAM, a.addresses.v4, 8080, 500),
            "a " + addresses.v4.to_string());
  ASSERT_TRUE(network_->disconnect(*link));
  EXPECT_NE(ask_from(netns->get(), SOCK_DGRAM, a.addresses.v4, 8080, 200).find("error"),
            std::string::npos);
  EXPECT_TRUE(network_->disconnect(*link)) << "missing is fine";
}

TEST_F(NetworkTest, NodeAndPodsReachEachOther) {
  TestPod a = start_pod(*network_, "veth-a");
  TestServer in_pod(a.netns.get(), "a", 8080), in_node(network_->node_netns(), "node", 9100);
  const Ranges& ranges = network_->ranges();
  for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
    int node = network_->node_netns();
    EXPECT_EQ(ask_from(node, type, a.addresses.v4, 8080), "a " + ranges.node4.to_string());
    EXPECT_EQ(ask_from(node, type, a.addresses.v6, 8080), "a " + ranges.node6.to_string());
    EXPECT_EQ(ask_from(a.netns.get(), type, ranges.node4, 9100),
              "node " + a.addresses.v4.to_string());
    EXPECT_EQ(ask_from(a.netns.get(), type, ranges.node6, 9100),
              "node " + a.addresses.v6.to_string());
  }
}

TEST_F(NetworkTest, EveryOutsideAddressAnswersAndSeesThePod) {
  TestPod a = start_pod(*network_, "veth-a");
  TestServer outside(network_->outside_netns(), "outside", 80);
  for (const char* text : {"198.19.128.1", "198.19.200.7", "198.19.255.250", "fd00:5a11:0:2::1",
                           "fd00:5a11:0:2:1234:5678:9abc:def0"}) {
    Ip to = *Ip::parse(text);
    const Ip& from = to.family() == Family::kV4 ? a.addresses.v4 : a.addresses.v6;
    EXPECT_EQ(ask_from(a.netns.get(), SOCK_STREAM, to, 80), "outside " + from.to_string()) << text;
  }
}

// Whatever has no other way goes outside and ends there: the host's own addresses, the Internet,
// pod addresses that nobody has.
TEST_F(NetworkTest, NothingElseIsReached) {
  TestPod a = start_pod(*network_, "veth-a");
  for (const char* text : {"192.0.2.1", "203.0.113.7", "198.18.77.77", "10.0.0.1", "172.16.0.1",
                           "2001:db8::1", "fd00:5a11::dead", "fd12::1"})
    EXPECT_EQ(ask_from(a.netns.get(), SOCK_STREAM, *Ip::parse(text), 22, 150), "error: timeout")
        << text;
  // No namespace of the node has a link that leads anywhere else.
  for (int netns : {network_->node_netns(), network_->outside_netns()}) {
    std::vector<std::string> names;
    for (const net::Link& link : net::Netlink::open(netns)->links().value())
      names.push_back(link.name);
    std::sort(names.begin(), names.end());
    if (netns == network_->node_netns())
      EXPECT_EQ(names, (std::vector<std::string>{"lo", "uplink0", "veth-a"}));
    else
      EXPECT_EQ(names, (std::vector<std::string>{"lo", "node0"}));
  }
}

TEST_F(NetworkTest, SettingsAreThoseOfARouterThatTheGateGuards) {
  auto node = [&](const char* name) {
    return net::get_sysctl(network_->node_netns(), name).value();
  };
  EXPECT_EQ(node("ipv4/ip_forward"), "1");
  EXPECT_EQ(node("ipv6/conf/all/forwarding"), "1");
  TestPod a = start_pod(*network_, "veth-a");
  EXPECT_EQ(node("ipv4/conf/veth-a/rp_filter"), "0");
  EXPECT_EQ(node("ipv4/conf/veth-a/send_redirects"), "0");
  EXPECT_EQ(node("ipv6/conf/veth-a/forwarding"), "1");
  auto pod = [&](const char* name) { return net::get_sysctl(a.netns.get(), name).value(); };
  EXPECT_EQ(pod("ipv6/conf/eth0/accept_ra"), "0");
  EXPECT_EQ(pod("ipv6/conf/eth0/accept_redirects"), "0");
  EXPECT_EQ(pod("ipv4/ip_forward"), "0");
  EXPECT_EQ(net::get_sysctl(network_->outside_netns(), "ipv4/ip_forward").value(), "0");
}

TEST_F(NetworkTest, ATakeoverFindsEverythingAsItWas) {
  TestPod a = start_pod(*network_, "veth-a"), b = start_pod(*network_, "veth-b");
  TestServer server(b.netns.get(), "b", 8080);
  TestClient stream = connect_from(a.netns.get(), SOCK_STREAM, b.addresses.v4, 8080);
  ASSERT_EQ(stream.error, 0);
  k8s::Service service;
  service.meta = {.name = "web",
                  .ns = "shop",
                  .uid = {},
                  .labels = {},
                  .annotations = {},
                  .creation_timestamp = {}};
  auto ips = network_->assign_cluster_ips(service);
  ASSERT_TRUE(ips);

  // As after kill -9: no remove(), a new process opens.
  ASSERT_TRUE(make_network());
  EXPECT_EQ(ask(stream), "b " + a.addresses.v4.to_string());
  ASSERT_TRUE(network_->claim(a.addresses));
  ASSERT_TRUE(network_->claim(b.addresses));
  EXPECT_FALSE(network_->claim(b.addresses));
  EXPECT_EQ(network_->assign_cluster_ips(service).value(), *ips);
  // An address that the dead process may just have released does not come back at once.
  TestPod c = start_pod(*network_, "veth-c");
  EXPECT_EQ(c.addresses.v4.to_string(), "198.18.0.65");
  EXPECT_EQ(ask_from(c.netns.get(), SOCK_STREAM, b.addresses.v6, 8080),
            "b " + c.addresses.v6.to_string());
  EXPECT_TRUE(network_->disconnect(a.link)) << "links of the dead process are known by index";
}

TEST_F(NetworkTest, AnotherLayoutIsRefusedWithWords) {
  ASSERT_TRUE(write_file_atomic(dir_ + "/netns/layout", "999\n"));
  auto opened = NodeNetwork::open(dir_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kConflict);
  EXPECT_NE(opened.error().message.find("sallyport down"), std::string::npos);
  // It can be removed nevertheless.
  Status discarded = NodeNetwork::discard(dir_);
  EXPECT_TRUE(discarded) << discarded.error().message;
  EXPECT_FALSE(exists(dir_ + "/netns"));
  EXPECT_TRUE(NodeNetwork::discard(dir_)) << "nothing there is fine";
}

TEST_F(NetworkTest, AnInterruptedBuildIsBuiltAnew) {
  ASSERT_EQ(::unlink((dir_ + "/netns/layout").c_str()), 0);
  ASSERT_TRUE(make_network());
  TestPod a = start_pod(*network_, "veth-a");
  TestServer outside(network_->outside_netns(), "outside", 80);
  EXPECT_EQ(ask_from(a.netns.get(), SOCK_STREAM, *Ip::parse("198.19.128.1"), 80),
            "outside " + a.addresses.v4.to_string());
  // Mounts that are gone (their files remain) are no takeover either.
  network_.reset();
  ASSERT_EQ(::umount2((dir_ + "/netns/node").c_str(), MNT_DETACH), 0);
  ASSERT_TRUE(make_network());
  TestPod b = start_pod(*network_, "veth-b");
}

TEST_F(NetworkTest, WrongLinksLeaveNothing) {
  SystemClock clock;
  auto netns = net::create_netns();
  auto addresses = network_->allocate(clock).value();
  EXPECT_FALSE(network_->prepare(netns->get(), "uplink1", addresses));
  EXPECT_FALSE(network_->prepare(netns->get(), "a-name-too-long-for-a-link", addresses));
  ASSERT_TRUE(network_->prepare(netns->get(), "veth-a", addresses));
  // eth0 is taken in there now.
  EXPECT_FALSE(network_->prepare(netns->get(), "veth-b", addresses));
  EXPECT_EQ(net::Netlink::open(network_->node_netns())->links()->size(), 3u);
  EXPECT_FALSE(network_->connect({4711, "veth-x"}, addresses));
  EXPECT_TRUE(network_->disconnect({4711, "veth-x"}));
}

TEST(NetworkRemoval, LeavesNothingBehind) {
  auto descriptors = net::open_descriptors();
  auto mounted = net::mounts();
  std::string dir = "/run/sallyport-node-gone-" + std::to_string(::getpid());
  {
    auto network = NodeNetwork::open(dir);
    ASSERT_TRUE(network) << network.error().message;
    std::vector<TestPod> pods;
    for (int i = 0; i < 10; ++i) pods.push_back(start_pod(**network, "veth-" + std::to_string(i)));
    SystemClock clock;
    auto unconnected = net::create_netns();
    ASSERT_TRUE(
        (*network)->prepare(unconnected->get(), "veth-u", (*network)->allocate(clock).value()));
    Status removed = (*network)->remove();
    ASSERT_TRUE(removed) << removed.error().message;
    for (const TestPod& pod : pods)
      EXPECT_EQ(net::Netlink::open(pod.netns.get())->ifindex("eth0").error().code, Code::kNotFound);
    EXPECT_TRUE((*network)->remove()) << "twice is fine";
  }
  EXPECT_FALSE(exists(dir + "/netns"));
  ASSERT_TRUE(remove_tree(dir));
  EXPECT_EQ(net::open_descriptors(), descriptors);
  EXPECT_EQ(net::mounts(), mounted);
}

}  // namespace
}  // namespace sallyport::node
