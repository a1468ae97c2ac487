#include "proxy/test_pair.h"

namespace sallyport::proxy::testing {
namespace {

using std::chrono::milliseconds;

class TcpPairTest : public PairTest {
 protected:
  void SetUp() override {
    PairTest::SetUp();
    service_->ports[0].app_protocol = "tcp";
    origin_ = listen_on_loopback();
    for (uint16_t port : {8080, 8081, 9000})
      wires_.lead(at(kServerIp, port), local_port(origin_.get()), true);
  }
  telemetry::FlowRing& watch(TestProxy& proxy) {
    auto ring = telemetry::FlowRing::create(256).value();
    Fd copy(::dup(ring->fd().get()));
    auto writer = telemetry::FlowRing::open(std::move(copy)).value();
    proxy.on_worker([&](Worker& w) {
      w.reporting().set_ring(std::move(writer));
      return 0;
    });
    rings_.push_back(std::move(ring));
    return *rings_.back();
  }
  static std::vector<telemetry::FlowRecord> records(telemetry::FlowRing& ring, size_t least) {
    std::vector<telemetry::FlowRecord> out;
    for (int i = 0; i < 500 && out.size() < least; ++i) {
      telemetry::FlowRecord record;
      while (ring.pop(record)) out.push_back(record);
      if (out.size() < least) std::this_thread::sleep_for(milliseconds(10));
    }
    return out;
  }
  Fd origin_;
  std::vector<std::unique_ptr<telemetry::FlowRing>> rings_;
};

TEST_F(TcpPairTest, CarriesBytesOverMutualTls) {
  start();
  auto& at_a = watch(*a_);
  auto& at_b = watch(*b_);
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "ping");
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 4), "ping");
  send_all(app, "pong");
  EXPECT_EQ(read_n(client, 4), "pong");
  client.reset();
  EXPECT_EQ(next(app), 0);
  app.reset();
  for (auto* ring : {&at_a, &at_b}) {
    const auto seen = records(*ring, 2);
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0].kind, telemetry::FlowKind::kConnection);
    EXPECT_EQ(seen[0].tls_version, 0x0304);
    EXPECT_EQ(seen[0].group, SSL_GROUP_X25519_MLKEM768);
    EXPECT_EQ(seen[1].kind, telemetry::FlowKind::kClosed);
    EXPECT_EQ(seen[1].bytes_received, 4U);
    EXPECT_EQ(seen[1].bytes_sent, 4U);
    EXPECT_STREQ(seen[0].peer, ring == &at_a ? "spiffe://cluster.local/ns/ai/sa/server"
                                             : "spiffe://cluster.local/ns/ai/sa/client");
  }
}

TEST_F(TcpPairTest, CarriesManyBytesBothWays) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  std::string big(8 << 20, 0);
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 131 >> 7);
  std::thread up([&] { send_all(client, big); });
  std::thread down([&] { send_all(app, big); });
  std::string at_app, at_client;
  std::thread reader([&] { at_app = read_n(app, big.size()); });
  at_client = read_n(client, big.size());
  up.join();
  down.join();
  reader.join();
  EXPECT_TRUE(at_app == big);
  EXPECT_TRUE(at_client == big);
}

TEST_F(TcpPairTest, KeepsHalfClose) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "question");
  ::shutdown(client.get(), SHUT_WR);
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 100), "question");  // up to the end
  send_all(app, "answer");
  EXPECT_EQ(read_n(client, 6), "answer");
  app.reset();
  EXPECT_EQ(next(client), 0);
}

TEST_F(TcpPairTest, NothingIsKeptOfAConnectionThatEnded) {
  start();
  for (const bool client_first : {true, false}) {
    Fd client = dial(at(kServiceIp, 80));
    send_all(client, "x");
    Fd app = accept_from(origin_);
    ASSERT_TRUE(app);
    EXPECT_EQ(read_n(app, 1), "x");
    Fd& first = client_first ? client : app;
    Fd& second = client_first ? app : client;
    ::shutdown(first.get(), SHUT_WR);
    EXPECT_EQ(next(second), 0);
    second.reset();
    EXPECT_EQ(next(first), 0);
    first.reset();
    // Well before the time that an unresponsive peer would get.
    size_t open = 1;
    for (int i = 0; i < 100 && open != 0; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      open = 0;
      for (TestProxy* proxy : {a_.get(), b_.get()})
        open += proxy->on_worker([](Worker& w) { return w.streams().open; });
    }
    EXPECT_EQ(open, 0U) << client_first;
  }
}

TEST_F(TcpPairTest, PassesResetsOn) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 1), "x");
  const struct linger hard{1, 0};
  ::setsockopt(app.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  app.reset();
  EXPECT_EQ(next(client), -ECONNRESET);
}

TEST_F(TcpPairTest, RefusesAddressesThatNobodyHas) {
  start();
  EXPECT_EQ(next(dial(at("198.18.9.9", 80))), -ECONNRESET);
  EXPECT_EQ(next(dial(at("198.19.5.5", 80))), -ECONNRESET);
  EXPECT_EQ(next(dial(at(kServiceIp, 81))), -ECONNRESET);
  EXPECT_EQ(next(dial(at(kServerIp, 15006))), -ECONNRESET);
}

TEST_F(TcpPairTest, RefusesServicesWithoutEndpoints) {
  pods_[1].ready = false;
  start();
  EXPECT_EQ(next(dial(at(kServiceIp, 80))), -ECONNRESET);
}

TEST_F(TcpPairTest, AsksTheNetworkPolicyFirst) {
  auto deny = std::make_shared<k8s::NetworkPolicy>();
  deny->meta.ns = "ai";
  deny->meta.name = "nobody";
  deny->isolates_ingress = true;
  deny->pod_selector.match_labels = {{"app", "web"}};
  world_.network_policies = {deny};
  start();
  auto& ring = watch(*a_);
  EXPECT_EQ(next(dial(at(kServiceIp, 80))), -ECONNRESET);
  const auto seen = records(ring, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].network_denied, 1);
  EXPECT_STREQ(seen[0].policy, "ai/nobody");
}

// What was allowed and is no longer is the kernel's to hold; only what is new is refused here.
TEST_F(TcpPairTest, ANewNetworkPolicyRefusesNewConnections) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  EXPECT_EQ(read_n(app, 1), "x");
  auto deny = std::make_shared<k8s::NetworkPolicy>();
  deny->meta.ns = "ai";
  deny->meta.name = "nobody";
  deny->isolates_ingress = true;
  world_.network_policies = {deny};
  publish();
  EXPECT_EQ(next(dial(at(kServiceIp, 80))), -ECONNRESET);
  send_all(client, "y");
  EXPECT_EQ(read_n(app, 1), "y");
}

TEST_F(TcpPairTest, AnAddressWithAnotherOwnerIsCutOff) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  EXPECT_EQ(read_n(app, 1), "x");
  pods_[1].uid = "uid-successor";
  a_->set_snapshot(snapshot("uid-client"));
  EXPECT_EQ(next(client), -ECONNRESET);
}

std::shared_ptr<k8s::AuthorizationPolicy> deny_client() {
  auto policy = std::make_shared<k8s::AuthorizationPolicy>();
  policy->meta.ns = "ai";
  policy->meta.name = "no-client";
  policy->action = k8s::AuthorizationAction::kDeny;
  k8s::AuthorizationSource source;
  source.principals.values = {"cluster.local/ns/ai/sa/client"};
  policy->rules.push_back({{source}, {}, {}, {}});
  return policy;
}

TEST_F(TcpPairTest, AuthorizationDeniesByIdentity) {
  world_.authorization_policies = {deny_client()};
  start();
  auto& ring = watch(*b_);
  Fd client = dial(at(kServiceIp, 80));
  EXPECT_EQ(next(client), -ECONNRESET);
  EXPECT_FALSE(accept_from(origin_, 100));
  const auto seen = records(ring, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].allow, 0);
  EXPECT_STREQ(seen[0].policy, "ai/no-client");
  EXPECT_EQ(seen[0].rule, 0);
}

TEST_F(TcpPairTest, AuthorizationCutsWhatItAllowedBefore) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  EXPECT_EQ(read_n(app, 1), "x");
  world_.authorization_policies = {deny_client()};
  publish();
  EXPECT_EQ(next(client), -ECONNRESET);
  EXPECT_EQ(next(app), -ECONNRESET);
}

std::shared_ptr<k8s::PeerAuthentication> mode(k8s::MutualTlsMode mode) {
  auto object = std::make_shared<k8s::PeerAuthentication>();
  object->meta.ns = "ai";
  object->meta.name = "default";
  object->mode = mode;
  return object;
}

TEST_F(TcpPairTest, StrictRefusesPlaintextAndTakesTheMesh) {
  world_.peer_authentications = {mode(k8s::MutualTlsMode::kStrict)};
  start();
  auto& ring = watch(*b_);
  Fd plain = dial_at(b_->inbound_port, at("198.18.0.99", 0).ip, at(kServerIp, 8080));
  send_all(plain, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(next(plain), -ECONNRESET);
  const auto seen = records(ring, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_STREQ(seen[0].policy, "ai/default");
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 1), "x");
}

TEST_F(TcpPairTest, StrictCutsPlaintextThatWasThere) {
  add_pod("plain", "outsider", "198.18.0.99", {});
  start();
  Fd plain = dial_at(b_->inbound_port, at("198.18.0.99", 0).ip, at(kServerIp, 8080));
  send_all(plain, "x");
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 1), "x");
  world_.peer_authentications = {mode(k8s::MutualTlsMode::kStrict)};
  publish();
  EXPECT_EQ(next(plain), -ECONNRESET);
}

TEST_F(TcpPairTest, DisableMeansPlaintextBothWays) {
  world_.peer_authentications = {mode(k8s::MutualTlsMode::kDisable)};
  start();
  auto& ring = watch(*a_);
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 1), "x");
  const auto seen = records(ring, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].tls_version, 0);
}

TEST_F(TcpPairTest, AnotherIdentityAtTheAddressIsRefused) {
  start();
  b_->set_svid(svid("client"));
  // The server's proxy now shows the client's certificate: what it has for its own account is gone.
  b_->on_worker([&](Worker& w) {
    auto wrong = std::make_shared<SvidData>(*svid("impostor"));
    wrong->id = identity::workload_id("cluster.local", "ai", "server");
    w.set_svid(wrong);
    return 0;
  });
  auto& ring = watch(*a_);
  Fd client = dial(at(kServiceIp, 80));
  EXPECT_EQ(next(client), -ECONNRESET);
  EXPECT_FALSE(accept_from(origin_, 100));
  const auto seen = records(ring, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(std::string_view(seen[0].reason).starts_with("another identity answered"))
      << seen[0].reason;
}

// A server that speaks first: declared, undeclared, and undeclared again.
TEST_F(TcpPairTest, BannersComeThrough) {
  start();
  auto banner_after = [&](const SocketAddress& to) {
    const auto before = std::chrono::steady_clock::now();
    Fd client = dial(to);
    Fd app = accept_from(origin_);
    EXPECT_TRUE(app);
    send_all(app, "220 hello");
    EXPECT_EQ(read_n(client, 9), "220 hello");
    return std::chrono::steady_clock::now() - before;
  };
  EXPECT_LT(banner_after(at(kServiceIp, 80)), milliseconds(45));  // declared TCP
  EXPECT_GE(banner_after(at(kServerIp, 9000)), milliseconds(50));
  EXPECT_LT(banner_after(at(kServerIp, 9000)), milliseconds(45));  // learned
}

TEST_F(TcpPairTest, TheApplicationsOwnTlsTravelsAsBytes) {
  start();
  Fd client = dial(at(kServerIp, 9000));
  const std::string hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
  send_all(client, hello);
  Fd app = accept_from(origin_);
  ASSERT_TRUE(app);
  EXPECT_EQ(read_n(app, 10), hello);
}

TEST_F(TcpPairTest, PodsThatGoTakeTheirConnectionsAlong) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  EXPECT_EQ(read_n(app, 1), "x");
  b_->on_worker([](Worker& w) {
    w.remove_pod("uid-server");
    return 0;
  });
  EXPECT_EQ(next(client), -ECONNRESET);
  EXPECT_EQ(next(app), -ECONNRESET);
}

TEST_F(TcpPairTest, ARotatedCertificateServesNewConnections) {
  start();
  for (int i = 0; i < 20; ++i) {
    a_->set_svid(svid("client", std::chrono::seconds(30)));
    b_->set_svid(svid("server", std::chrono::seconds(30)));
    Fd client = dial(at(kServiceIp, 80));
    send_all(client, "x");
    Fd app = accept_from(origin_);
    ASSERT_TRUE(app);
    EXPECT_EQ(read_n(app, 1), "x");
  }
}

}  // namespace
}  // namespace sallyport::proxy::testing
