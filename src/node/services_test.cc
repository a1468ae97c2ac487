#include "node/services.h"

#include <map>

#include "net/netlink.h"
#include "net/nft.h"
#include "node/test_pods.h"

namespace sallyport::node {
namespace {

constexpr int kBoth[] = {SOCK_STREAM, SOCK_DGRAM};

// Two pods behind the Service "shop/web" (port 80 to 8080, TCP and UDP) and a client pod.
class ServicesTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    ASSERT_TRUE(network_);
    client_ = start_pod(*network_, "veth-c");
    for (const char* name : {"web-0", "web-1"}) {
      TestPod pod = start_pod(*network_, std::string("veth-") + name);
      servers_.push_back(std::make_unique<TestServer>(pod.netns.get(), name, 8080));
      pods_[name] = std::move(pod);
    }
    service_ = std::make_shared<k8s::Service>();
    service_->meta.ns = "shop";
    service_->meta.name = "web";
    service_->selector = {{"app", "web"}};
    service_->ports = {{"tcp", k8s::Protocol::kTcp, 80, {8080, ""}, ""},
                       {"udp", k8s::Protocol::kUdp, 80, {8080, ""}, ""}};
    auto ips = network_->assign_cluster_ips(*service_);
    ASSERT_TRUE(ips) << ips.error().message;
    service_->cluster_ips = *ips;
    ready_ = {{"web-0", true}, {"web-1", true}};
  }
  void TearDown() override {
    servers_.clear();
    NetworkTest::TearDown();
  }

  // The world in which the pods of `ready_` exist, ready or not.
  world::World make_world() {
    world::World world;
    for (const auto& [name, ready] : ready_) {
      world::Endpoint endpoint;
      endpoint.ns = "shop";
      endpoint.name = name;
      endpoint.labels = {{"app", "web"}};
      endpoint.ips = {pods_[name].addresses.v4, pods_[name].addresses.v6};
      endpoint.ready = ready;
      world.endpoints.push_back(endpoint);
    }
    world.services.push_back(service_);
    world.finish();
    return world;
  }
  void apply() {
    Status applied = network_->apply_services(make_world());
    ASSERT_TRUE(applied) << applied.error().message;
  }
  std::string ask_service(const TestPod& pod, int type, const Ip& ip, uint16_t port = 80) {
    return ask_from(pod.netns.get(), type, ip, port, 700);
  }
  static const Ip& address(const TestPod& pod, Family family) {
    return family == Family::kV4 ? pod.addresses.v4 : pod.addresses.v6;
  }

  TestPod client_;
  std::map<std::string, TestPod> pods_;
  std::vector<std::unique_ptr<TestServer>> servers_;
  std::shared_ptr<k8s::Service> service_;
  std::map<std::string, bool> ready_;
};

TEST_F(ServicesTest, AServiceIsTranslatedToAllItsPodsInBothFamilies) {
  apply();
  for (const Ip& ip : service_->cluster_ips)
    for (int type : kBoth) {
      std::map<std::string, int> answers;
      for (int i = 0; i < 30; ++i) ++answers[ask_service(client_, type, ip)];
      std::string seen = " " + address(client_, ip.family()).to_string();
      EXPECT_GT(answers["web-0" + seen], 0) << ip.to_string() << " type " << type;
      EXPECT_GT(answers["web-1" + seen], 0) << ip.to_string() << " type " << type;
      EXPECT_EQ(answers["web-0" + seen] + answers["web-1" + seen], 30);
    }
}

TEST_F(ServicesTest, TheNodeItselfReachesServices) {
  apply();
  for (const Ip& ip : service_->cluster_ips) {
    const Ranges& ranges = network_->ranges();
    const Ip& node = ip.family() == Family::kV4 ? ranges.node4 : ranges.node6;
    std::string answer = ask_from(network_->node_netns(), SOCK_STREAM, ip, 80);
    EXPECT_TRUE(answer.starts_with("web-") && answer.ends_with(" " + node.to_string())) << answer;
  }
}

TEST_F(ServicesTest, APodReachesItselfThroughItsService) {
  ready_ = {{"web-0", true}};
  apply();
  const Ranges& ranges = network_->ranges();
  for (const Ip& ip : service_->cluster_ips)
    for (int type : kBoth) {
      const Ip& node = ip.family() == Family::kV4 ? ranges.node4 : ranges.node6;
      EXPECT_EQ(ask_service(pods_["web-0"], type, ip), "web-0 " + node.to_string())
          << ip.to_string() << " type " << type;
      // Another pod keeps its address.
      EXPECT_EQ(ask_service(client_, type, ip),
                "web-0 " + address(client_, ip.family()).to_string());
    }
}

TEST_F(ServicesTest, NoEndpointMeansRefusedAtOnce) {
  auto refused = [&](const Ip& ip, uint16_t port) {
    for (int type : kBoth) {
      auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(ask_service(client_, type, ip, port), "error: Connection refused")
          << ip.to_string() << " port " << port << " type " << type;
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(400));
    }
  };
  // No Service at all yet, not even a world.
  for (const Ip& ip : service_->cluster_ips) refused(ip, 80);
  ready_ = {{"web-0", false}};
  apply();
  for (const Ip& ip : service_->cluster_ips) refused(ip, 80);
  ready_ = {{"web-0", true}};
  apply();
  // Another port, and another address of the range.
  for (const Ip& ip : service_->cluster_ips) refused(ip, 81);
  refused(*Ip::parse("198.19.3.3"), 80);
  EXPECT_EQ(ask_from(network_->node_netns(), SOCK_STREAM, service_->cluster_ips[0], 81),
            "error: Connection refused");
}

TEST_F(ServicesTest, PublishedWithoutBeingReady) {
  ready_ = {{"web-0", false}};
  service_->publish_not_ready = true;
  apply();
  EXPECT_EQ(ask_service(client_, SOCK_STREAM, service_->cluster_ips[0]),
            "web-0 " + client_.addresses.v4.to_string());
}

TEST_F(ServicesTest, UdpToARemovedEndpointStops) {
  ready_ = {{"web-0", true}};
  apply();
  for (const Ip& ip : service_->cluster_ips) {
    ready_ = {{"web-0", true}};
    apply();
    TestClient flow = connect_from(client_.netns.get(), SOCK_DGRAM, ip, 80, 500);
    std::string seen = " " + address(client_, ip.family()).to_string();
    ASSERT_EQ(ask(flow), "web-0" + seen);
    // The same socket goes on to the pod that has taken over, not to where its entry said.
    ready_ = {{"web-1", true}};
    apply();
    EXPECT_EQ(ask(flow), "web-1" + seen);
    ready_ = {};
    apply();
    EXPECT_EQ(ask(flow), "error: Connection refused");
  }
}

TEST_F(ServicesTest, UdpOfOtherEndpointsGoesOn) {
  apply();
  const Ip& ip = service_->cluster_ips[0];
  std::map<std::string, TestClient> flows;
  for (int i = 0; i < 40 && flows.size() < 2; ++i) {
    TestClient flow = connect_from(client_.netns.get(), SOCK_DGRAM, ip, 80, 500);
    flows.insert_or_assign(ask(flow).substr(0, 5), std::move(flow));
  }
  ASSERT_EQ(flows.size(), 2u);
  ready_ = {{"web-1", true}};
  apply();
  EXPECT_TRUE(ask(flows.at("web-1")).starts_with("web-1"));
  EXPECT_TRUE(ask(flows.at("web-0")).starts_with("web-1")) << "moved";
}

TEST_F(ServicesTest, TcpOutlivesReadinessButNotThePod) {
  ready_ = {{"web-0", true}};
  apply();
  TestClient stream = connect_from(client_.netns.get(), SOCK_STREAM, service_->cluster_ips[0], 80);
  ASSERT_TRUE(ask(stream).starts_with("web-0"));
  ready_ = {{"web-0", false}};
  apply();
  // Delivered and acknowledged: nothing is left in the send queue.
  ASSERT_EQ(::send(stream.fd.get(), "more", 4, MSG_NOSIGNAL), 4);
  ::usleep(100'000);
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(stream.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  EXPECT_EQ(error, 0);
  // The pod is gone: the next packet finds a Service without endpoints and is reset.
  ready_ = {};
  apply();
  ASSERT_EQ(::send(stream.fd.get(), "more", 4, MSG_NOSIGNAL), 4);
  ::usleep(100'000);
  ::getsockopt(stream.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(ServicesTest, AffineClientsStayOverReplacements) {
  service_->session_affinity = true;
  apply();
  for (const Ip& ip : service_->cluster_ips) {
    std::string first = ask_service(client_, SOCK_STREAM, ip);
    ASSERT_TRUE(first.starts_with("web-"));
    for (int i = 0; i < 12; ++i) EXPECT_EQ(ask_service(client_, SOCK_STREAM, ip), first);
    // Another Service appears: the whole ruleset is replaced, the memory of clients stays.
    auto other = std::make_shared<k8s::Service>(*service_);
    other->meta.name = "other-" + std::to_string(static_cast<int>(ip.family()));
    other->cluster_ips.clear();
    other->cluster_ips = network_->assign_cluster_ips(*other).value();
    world::World world = make_world();
    world.services.push_back(other);
    world.finish();
    ASSERT_TRUE(network_->apply_services(world));
    for (int i = 0; i < 12; ++i) EXPECT_EQ(ask_service(client_, SOCK_STREAM, ip), first);
    // Even over a takeover.
    ASSERT_TRUE(make_network());
    apply();
    for (int i = 0; i < 12; ++i) EXPECT_EQ(ask_service(client_, SOCK_STREAM, ip), first);
    // Its pod goes: the client moves.
    std::string gone = first.substr(0, 5), left = gone == "web-0" ? "web-1" : "web-0";
    ready_ = {{left, true}};
    apply();
    EXPECT_TRUE(ask_service(client_, SOCK_STREAM, ip).starts_with(left));
    ready_ = {{"web-0", true}, {"web-1", true}};
    apply();
  }
}

TEST_F(ServicesTest, TheSameOutcomeTouchesNothing) {
  apply();
  auto handles = [&] { return net::query_nft(network_->node_netns(), "-a list ruleset").value(); };
  std::string before = handles();
  EXPECT_NE(before.find("198.19."), std::string::npos);
  world::World again = make_world();
  again.revision = 77;
  ASSERT_TRUE(network_->apply_services(again));
  EXPECT_EQ(handles(), before) << "handles grow with every replacement";
  ready_ = {{"web-0", true}};
  apply();
  EXPECT_NE(handles(), before);
}

// A forged source makes no translation and gets no answer: the packet goes on to the gate as it is.
TEST_F(ServicesTest, ForgedSourcesAreNotTranslated) {
  ready_ = {{"web-0", true}};
  apply();
  // The client pod sends with the address of web-1.
  Ip forged = pods_["web-1"].addresses.v4;
  auto links = net::Netlink::open(client_.netns.get());
  ASSERT_TRUE(links);
  ASSERT_TRUE(links->add_address(links->ifindex("eth0").value(), forged, 32));
  auto counted = [&](const char* script) { return net::apply_nft(network_->node_netns(), script); };
  ASSERT_TRUE(
      counted("table ip seen {\n chain forward {\n  type filter hook forward priority 0\n"
              "  ip daddr 198.19.0.0/17 udp dport 80 counter\n"
              "  ip saddr 198.19.0.0/17 counter\n }\n}\n"));
  Fd socket = net::socket_in(client_.netns.get(), AF_INET, SOCK_DGRAM, 0).value();
  socklen_t size = 0;
  sockaddr_storage from = socket_address(forged, 4000, size);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&from), size), 0);
  sockaddr_storage to = socket_address(service_->cluster_ips[0], 80, size);
  ASSERT_EQ(::sendto(socket.get(), "?", 1, 0, reinterpret_cast<sockaddr*>(&to), size), 1);
  std::string listing;
  for (int i = 0; i < 100; ++i) {
    listing = net::query_nft(network_->node_netns(), "list table ip seen").value();
    if (listing.find("dport 80 counter packets 1 ") != std::string::npos) break;
    ::usleep(10'000);
  }
  EXPECT_NE(listing.find("dport 80 counter packets 1 "), std::string::npos) << listing;
}

}  // namespace
}  // namespace sallyport::node
