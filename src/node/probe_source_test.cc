// Probes from the node begin at addresses of their own, and pods answer to them.
#include "net/netlink.h"
#include "node/test_pods.h"

namespace sallyport::node {
namespace {

class ProbeSourceTest : public NetworkTest {
 protected:
  // What a pod's server says to a client of the node at this source.
  std::string ask(const Ip& source, const Ip& to, uint16_t port) {
    const int node = network_->node_netns();
    const bool v4 = to.family() == Family::kV4;
    Fd fd = net::socket_in(node, v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0).value();
    timeval limit{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    socklen_t size = 0;
    sockaddr_storage from = socket_address(source, 0, size);
    if (!v4) {
      auto links = net::Netlink::open(node);
      reinterpret_cast<sockaddr_in6*>(&from)->sin6_scope_id =
          static_cast<uint32_t>(links->way_to(to).value());
    }
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&from), size) != 0)
      return std::string("bind: ") + std::strerror(errno);
    sockaddr_storage peer = socket_address(to, port, size);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&peer), size) != 0)
      return std::string("connect: ") + std::strerror(errno);
    char text[128] = {};
    ssize_t n = ::recv(fd.get(), text, sizeof text - 1, 0);
    return n <= 0 ? "no answer" : text;
  }
};

TEST_F(ProbeSourceTest, EveryPodAnswersToBothFamilies) {
  TestPod a = start_pod(*network_, "veth-a"), b = start_pod(*network_, "veth-b");
  TestServer in_a(a.netns.get(), "a", 8080), in_b(b.netns.get(), "b", 8080);
  const Ranges& ranges = network_->ranges();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(ranges.probe4, a.addresses.v4, 8080), "a " + ranges.probe4.to_string());
    EXPECT_EQ(ask(ranges.probe6, a.addresses.v6, 8080), "a " + ranges.probe6.to_string());
    EXPECT_EQ(ask(ranges.probe4, b.addresses.v4, 8080), "b " + ranges.probe4.to_string());
    EXPECT_EQ(ask(ranges.probe6, b.addresses.v6, 8080), "b " + ranges.probe6.to_string());
  }
  EXPECT_NE(ask(ranges.probe6, a.addresses.v6, 81).find("refused"), std::string::npos);
}

// What does not ask for it goes on from the node's own addresses.
TEST_F(ProbeSourceTest, NobodyElseSpeaksFromThere) {
  TestPod a = start_pod(*network_, "veth-a");
  TestServer in_pod(a.netns.get(), "a", 8080), outside(network_->outside_netns(), "out", 80);
  const Ranges& ranges = network_->ranges();
  const int node = network_->node_netns();
  EXPECT_EQ(ask_from(node, SOCK_STREAM, a.addresses.v4, 8080), "a " + ranges.node4.to_string());
  EXPECT_EQ(ask_from(node, SOCK_STREAM, a.addresses.v6, 8080), "a " + ranges.node6.to_string());
  EXPECT_EQ(ask_from(node, SOCK_STREAM, *Ip::parse("198.19.200.7"), 80),
            "out " + ranges.node4.to_string());
  EXPECT_EQ(ask_from(a.netns.get(), SOCK_STREAM, *Ip::parse("fd00:5a11:0:2::1"), 80),
            "out " + a.addresses.v6.to_string());
}

TEST_F(ProbeSourceTest, ConnectingTwiceIsFine) {
  TestPod a = start_pod(*network_, "veth-a");
  EXPECT_TRUE(network_->connect(a.link, a.addresses));
  TestServer server(a.netns.get(), "a", 8080);
  EXPECT_EQ(ask(network_->ranges().probe6, a.addresses.v6, 8080),
            "a " + network_->ranges().probe6.to_string());
}

}  // namespace
}  // namespace sallyport::node
