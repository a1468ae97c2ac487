// The limits that a worker holds beside its codecs, each with its counter.
#include "proxy/test_http.h"

namespace sallyport::proxy::testing {
namespace {

using http::Counter;
using std::chrono::milliseconds;
using std::chrono::seconds;

class HttpLimitsTest : public HttpPairTest {
 protected:
  uint64_t count(TestProxy& proxy, Counter counter) {
    return proxy.on_worker([&](Worker& w) { return w.counters().get(counter); });
  }
  Fd silent_app() {
    Fd listener = listen_on_loopback();
    lead_to(local_port(listener.get()));
    return listener;
  }
  // A connection to the server's pod that is not from a proxy.
  Fd dial_inbound() { return dial_at(b_->inbound_port, at(kClientIp, 0).ip, at(kServerIp, 8080)); }
};

TEST_F(HttpLimitsTest, IdleConnections) {
  limits_.idle_plain = seconds(1);
  start();
  Fd client = dial(at(kServiceIp, 80));
  ASSERT_EQ(ask(client, kGet).status(), 200);
  EXPECT_EQ(next(client), 0);
  EXPECT_EQ(count(*a_, Counter::kIdleTime), 1u);
  // One that never says anything.
  client = dial(at(kServiceIp, 80));
  const int said = next(client);
  EXPECT_TRUE(said == 0 || said == -ECONNRESET) << said;
  EXPECT_EQ(count(*a_, Counter::kIdleTime), 2u);
}

TEST_F(HttpLimitsTest, IdleStreams) {
  limits_.stream_idle = seconds(1);
  Fd listener = silent_app();
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  Fd app = accept_from(listener);
  ASSERT_FALSE(read_head(app).empty());
  const int said = next(client);
  EXPECT_TRUE(said >= 0 || said == -ECONNRESET) << said;
  EXPECT_GE(count(*a_, Counter::kStreamIdle) + count(*b_, Counter::kStreamIdle), 1u);
  EXPECT_EQ(next(app), 0);
}

TEST_F(HttpLimitsTest, SlowHeads) {
  limits_.head_time = seconds(1);
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, "GET / HTTP/1.1\r\nHost: w");
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    send_all(client, "w");
  }
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(count(*a_, Counter::kHeadTime), 1u);
}

// Bytes that are too few to tell HTTP/1 from HTTP/2 are the start of a head as well.
TEST_F(HttpLimitsTest, SlowFirstBytes) {
  limits_.head_time = seconds(1);
  start();
  for (bool outbound : {true, false}) {
    Fd client = outbound ? dial(at(kServiceIp, 80)) : dial_inbound();
    send_all(client, "P");
    const auto begun = std::chrono::steady_clock::now();
    const int said = next(client);
    EXPECT_TRUE(said == 0 || said == -ECONNRESET) << said;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(10));
  }
  EXPECT_EQ(count(*a_, Counter::kHeadTime), 1u);
  EXPECT_EQ(count(*b_, Counter::kHeadTime), 1u);
}

TEST_F(HttpLimitsTest, SlowReaders) {
  limits_.write_stall = seconds(1);
  Fd listener = silent_app();
  start();
  Fd client = dial(at(kServiceIp, 80));
  send_all(client, kGet);
  Fd app = accept_from(listener);
  ASSERT_FALSE(read_head(app).empty());
  const std::string piece(1 << 20, 'x');
  send_all(app, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  for (int i = 0; i < 100; ++i)
    if (::send(app.get(), piece.data(), piece.size(), MSG_NOSIGNAL) <= 0) break;
  for (int i = 0; i < 300 && count(*a_, Counter::kWriteStall) == 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(count(*a_, Counter::kWriteStall), 1u);
  for (int i = 0; i < 300 && a_->on_worker([](Worker& w) { return w.buffers().in_use(); }) != 0;
       ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(a_->on_worker([](Worker& w) { return w.buffers().in_use(); }), 0u);
}

TEST_F(HttpLimitsTest, ConnectingTakesTooLong) {
  limits_.connect_time = seconds(1);
  // A listener whose queue is full: the kernel drops what comes.
  Fd full = tcp_socket();
  sockaddr_in in = loopback(0);
  ASSERT_EQ(::bind(full.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  in = loopback(local_port(full.get()));
  std::vector<Fd> fill;
  for (int i = 0; i < 4; ++i) {
    fill.push_back(tcp_socket());
    nonblocking(fill.back());
    (void)::connect(fill.back().get(), reinterpret_cast<sockaddr*>(&in), sizeof in);
  }
  lead_to(local_port(full.get()));
  start();
  Fd client = dial(at(kServiceIp, 80));
  EXPECT_EQ(ask(client, kGet).status(), 503);
  EXPECT_EQ(count(*b_, Counter::kConnectTime), 1u);
}

TEST_F(HttpLimitsTest, HandshakesAndClientHellos) {
  limits_.handshake_time = seconds(1);
  start();
  Fd slow = dial_inbound();
  send_all(slow, std::string("\x16\x03\x01\x02\x00\x01\x00", 7));
  const int said = next(slow);
  EXPECT_TRUE(said == 0 || said == -ECONNRESET) << said;
  EXPECT_EQ(count(*b_, Counter::kHandshakeTime), 1u);
  Fd wrong = dial_inbound();
  send_all(wrong, std::string("\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9));
  Fd large = dial_inbound();
  send_all(large, std::string("\x16\x03\x01\x00\x04\x01\xff\x00\x00", 9));
  for (int i = 0; i < 300 && count(*b_, Counter::kClientHelloBytes) == 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(count(*b_, Counter::kClientHelloMalformed), 1u);
  EXPECT_EQ(count(*b_, Counter::kClientHelloBytes), 1u);
}

TEST_F(HttpLimitsTest, Connections) {
  limits_.connections = 2;
  start();
  Fd one = dial(at(kServiceIp, 80)), two = dial(at(kServiceIp, 80));
  ASSERT_EQ(ask(one, kGet).status(), 200);
  Fd three = dial(at(kServiceIp, 80));
  EXPECT_EQ(next(three), -ECONNRESET);
  EXPECT_EQ(count(*a_, Counter::kConnections), 1u);
  EXPECT_EQ(ask(two, kGet).status(), 200);
}

TEST_F(HttpLimitsTest, RequestsThatWaitForAConnection) {
  limits_.pool_connections = 1;
  limits_.pool_waiting = 1;
  Fd listener = silent_app();
  start();
  Fd one = dial(at(kServiceIp, 80));
  send_all(one, kGet);
  Fd app = accept_from(listener);
  ASSERT_FALSE(read_head(app).empty());
  Fd two = dial(at(kServiceIp, 80));
  send_all(two, kGet);
  std::this_thread::sleep_for(milliseconds(50));
  Fd three = dial(at(kServiceIp, 80));
  const Reply reply = ask(three, kGet);
  EXPECT_EQ(reply.status(), 503);
  EXPECT_EQ(count(*a_, Counter::kPoolWaiting), 1u);
  // Who waits gets the connection when it is free.
  send_all(app, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(read_head(one).starts_with("HTTP/1.1 200 "));
  ASSERT_FALSE(read_head(app).empty());
  send_all(app, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_TRUE(read_head(two).starts_with("HTTP/1.1 204 "));
}

TEST_F(HttpLimitsTest, MemoryBudget) {
  start();
  Fd client = dial(at(kServiceIp, 80));
  ASSERT_EQ(ask(client, kGet).status(), 200);
  a_->on_worker([](Worker& w) {
    w.set_budget(1);
    return 0;
  });
  const Reply reply = ask(client, kGet);
  EXPECT_EQ(reply.status(), 503);
  EXPECT_EQ(header_of(reply.head, "retry-after"), "1");
  EXPECT_EQ(count(*a_, Counter::kMemoryBudget), 1u);
  EXPECT_EQ(next(dial(at(kServiceIp, 80))), -ECONNRESET);
  EXPECT_EQ(count(*a_, Counter::kMemoryBudget), 2u);
}

}  // namespace
}  // namespace sallyport::proxy::testing
