// What slow, greedy and malformed peers of a proxy's TCP side come to: each limit with its counter.
#include "proxy/test_pair.h"

namespace sallyport::proxy::testing {
namespace {

using http::Counter;
using std::chrono::seconds;

class TcpLimitsTest : public PairTest {
 protected:
  void SetUp() override {
    PairTest::SetUp();
    service_->ports[0].app_protocol = "tcp";
    origin_ = listen_on_loopback();
    for (uint16_t port : {8080, 9000})
      wires_.lead(at(kServerIp, port), local_port(origin_.get()), true);
  }
  void strict() {
    auto object = std::make_shared<k8s::PeerAuthentication>();
    object->meta.ns = "ai";
    object->meta.name = "default";
    object->mode = k8s::MutualTlsMode::kStrict;
    world_.peer_authentications = {object};
  }
  // A client without a proxy of its own, at the server's proxy.
  Fd stranger() { return dial_at(b_->inbound_port, at("198.18.0.99", 0).ip, at(kServerIp, 9000)); }
  static uint64_t count(TestProxy& proxy, Counter counter) {
    return proxy.on_worker([&](Worker& w) { return w.counters().get(counter); });
  }
  // A ClientHello with Istio's ALPN, as the client's certificate makes it.
  std::string hello() {
    const auto data = svid("client");
    auto bundles = identity::TrustBundles::make(data->roots).value();
    auto chains = identity::VerifiedChains::make(bundles);
    auto context = identity::TlsContext::client(data->credentials, chains, clock_).value();
    const identity::SpiffeId id = identity::workload_id("cluster.local", "ai", "server");
    bssl::UniquePtr<SSL> ssl =
        context->connect({id, std::string_view("\x05istio", 6), std::string_view{}});
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
    SSL_do_handshake(ssl.get());
    std::string text(8192, 0);
    const int n = BIO_read(out, text.data(), static_cast<int>(text.size()));
    text.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return text;
  }
  Fd origin_;
};

TEST_F(TcpLimitsTest, WhoSendsNothingUnderStrictIsCut) {
  strict();
  limits_.handshake_time = seconds(1);
  start();
  Fd fd = stranger();
  EXPECT_EQ(next(fd), -ECONNRESET);
  EXPECT_EQ(count(*b_, Counter::kHandshakeTime), 1U);
}

TEST_F(TcpLimitsTest, AHandshakeThatStopsIsCut) {
  limits_.handshake_time = seconds(1);
  start();
  Fd fd = stranger();
  send_all(fd, hello());
  std::string got;
  int n = 0;
  while ((n = next(fd)) > 0) {
  }
  EXPECT_LE(n, 0);
  EXPECT_EQ(count(*b_, Counter::kHandshakeTime), 1U);
}

TEST_F(TcpLimitsTest, AClientHelloMayComeInPieces) {
  strict();
  start();
  const std::string text = hello();
  ASSERT_GT(text.size(), 1200U);  // with a share of ML-KEM
  Fd fd = stranger();
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
  for (size_t i = 0; i < text.size(); i += 97) {
    send_all(fd, std::string_view(text).substr(i, 97));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::string answer = read_n(fd, 6);
  ASSERT_EQ(answer.size(), 6U);
  EXPECT_EQ(answer[0], 0x16);
  EXPECT_EQ(answer[5], 0x02);  // ServerHello
}

TEST_F(TcpLimitsTest, AnEndlessClientHelloIsCut) {
  strict();
  start();
  Fd fd = stranger();
  // A handshake message that claims 64 KiB, in records of 1 KiB.
  std::string record("\x16\x03\x01\x04\x00", 5);
  record += std::string("\x01\x00\xff\xff", 4) + std::string(1020, 'x');
  for (int i = 0; i < 64; ++i) {
    if (::send(fd.get(), record.data(), record.size(), MSG_NOSIGNAL) <= 0) break;
    record = std::string("\x16\x03\x01\x04\x00", 5) + std::string(1024, 'x');
  }
  EXPECT_LE(next(fd), 0);  // a reset, which send() may have told already
  EXPECT_EQ(count(*b_, Counter::kClientHelloBytes) + count(*b_, Counter::kClientHelloMalformed),
            1U);
}

TEST_F(TcpLimitsTest, ConnectionsAreBounded) {
  limits_.connections = 3;
  start();
  std::vector<Fd> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(dial(at(kServiceIp, 80)));
    send_all(held.back(), "x");
    held.push_back(accept_from(origin_));
    EXPECT_EQ(read_n(held.back(), 1), "x");
  }
  EXPECT_EQ(next(dial(at(kServiceIp, 80))), -ECONNRESET);
  EXPECT_EQ(count(*a_, Counter::kConnections), 1U);
  held.clear();
  // Room again once they have ended.
  bool served = false;
  for (int i = 0; i < 100 && !served; ++i) {
    Fd fd = dial(at(kServiceIp, 80));
    if (::send(fd.get(), "y", 1, MSG_NOSIGNAL) != 1) continue;
    Fd app = accept_from(origin_, 100);
    served = app && read_n(app, 1) == "y";
  }
  EXPECT_TRUE(served);
}

TEST_F(TcpLimitsTest, BeyondTheMemoryBudgetNewConnectionsAreShed) {
  start();
  a_->on_worker([](Worker& w) {
    w.set_budget(0);
    return 0;
  });
  Fd held = dial(at(kServiceIp, 80));
  for (int i = 0; i < 3; ++i) {
    Fd fd = dial(at(kServiceIp, 80));
    EXPECT_EQ(next(fd), -ECONNRESET);
  }
  EXPECT_GE(count(*a_, Counter::kMemoryBudget), 3U);
}

// A reader that takes nothing: what is kept for it is bounded, and it is cut in the end.
TEST_F(TcpLimitsTest, SlowReadersHoldLittleAndAreCut) {
  limits_.write_stall = seconds(1);
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "x");
  Fd app = accept_from(origin_);
  EXPECT_EQ(read_n(app, 1), "x");
  nonblocking(app);
  const std::string block(1 << 16, 'z');
  size_t most = 0;
  const auto end = std::chrono::steady_clock::now() + seconds(20);
  ssize_t n = 0;
  while (std::chrono::steady_clock::now() < end) {
    n = ::send(app.get(), block.data(), block.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) break;
    if (n < 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    most = std::max(most, a_->on_worker([](Worker& w) { return w.buffers().in_use(); }));
  }
  EXPECT_LT(n, 0);  // it was cut
  EXPECT_LT(most, 4U << 20);
  EXPECT_GE(count(*a_, Counter::kWriteStall) + count(*b_, Counter::kWriteStall), 1U);
}

TEST_F(TcpLimitsTest, ConnectionsThatAreNotAnsweredTimeOut) {
  limits_.connect_time = seconds(1);
  // A listener whose queue is full answers no SYN.
  Fd full = tcp_socket();
  sockaddr_in in = loopback(0);
  ASSERT_EQ(::bind(full.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  std::vector<Fd> queued;
  for (int i = 0; i < 3; ++i) {
    Fd fd = tcp_socket();
    nonblocking(fd);
    in = loopback(local_port(full.get()));
    ::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in);
    queued.push_back(std::move(fd));
  }
  start();
  wires_.lead(at(kServerIp, 8080), local_port(full.get()), true);
  Fd client = dial(at(kServiceIp, 80));
  EXPECT_EQ(next(client), -ECONNRESET);
  EXPECT_EQ(count(*b_, Counter::kConnectTime), 1U);
}

}  // namespace
}  // namespace sallyport::proxy::testing
