// TLS demanded by the kernel, with real TCP connections between pods.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gate/kernel_fixture.h"
#include "gate/test_packets.h"
#include "net/netns.h"
#include "net/sysctl.h"

namespace sallyport::gate {

namespace {

struct At {
  sockaddr_storage storage{};
  socklen_t size = 0;
  At(const Ip& ip, uint16_t port) {
    if (ip.family() == Family::kV4) {
      auto* in = reinterpret_cast<sockaddr_in*>(&storage);
      in->sin_family = AF_INET;
      in->sin_port = htons(port);
      in->sin_addr.s_addr = htonl(ip.v4_host_order());
      size = sizeof(*in);
    } else {
      auto* in = reinterpret_cast<sockaddr_in6*>(&storage);
      in->sin6_family = AF_INET6;
      in->sin6_port = htons(port);
      std::memcpy(&in->sin6_addr, ip.bytes.data(), 16);
      size = sizeof(*in);
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

std::string hello(size_t size = 300) {
  std::string out("\x16\x03\x01\x00\x00\x01", 6);
  out.resize(size, 'h');
  return out;
}
std::string answer(size_t size = 150) {
  std::string out("\x16\x03\x03\x00\x00\x02", 6);
  out.resize(size, 's');
  return out;
}
constexpr std::string_view kPlain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

void send_all(const Fd& fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << std::strerror(errno);
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// What comes until there are `most` bytes, the stream ends, or nothing comes for the time.
std::string receive(const Fd& fd, size_t most, int timeout_ms) {
  std::string out;
  std::string buffer(1 << 16, '\0');
  while (out.size() < most) {
    pollfd p{fd.get(), POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) != 1) break;
    const ssize_t n =
        ::recv(fd.get(), buffer.data(), std::min(buffer.size(), most - out.size()), MSG_DONTWAIT);
    if (n <= 0) break;
    out.append(buffer.data(), static_cast<size_t>(n));
  }
  return out;
}

class KernelTls : public GateFixture, public ::testing::WithParamInterface<bool> {
 protected:
  struct Pair {
    Fd client, server;
  };
  void demand() {
    const auto done = gate->publish(nobody_isolated(lab).get(), lab.ports(),
                                    {{2, 0, true, "inference/default"}, {2, 9000, false, ""}});
    ASSERT_TRUE(done) << done.error().message;
  }
  void demand_nothing() { publish(nobody_isolated(lab)); }
  const Ip& server_ip() { return GetParam() ? lab.pods[1].v6 : lab.pods[1].v4; }

  Fd listen(uint16_t port, bool fast_open = false) {
    auto fd =
        net::socket_in(lab.pods[1].netns.get(), GetParam() ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    EXPECT_TRUE(fd);
    const int on = 1;
    ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const At at(server_ip(), port);
    EXPECT_EQ(::bind(fd->get(), at.get(), at.size), 0) << std::strerror(errno);
    if (fast_open) {
      const int queue = 8;
      EXPECT_EQ(::setsockopt(fd->get(), IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)), 0);
    }
    EXPECT_EQ(::listen(fd->get(), 8), 0);
    return std::move(*fd);
  }
  Fd client_socket() {
    auto fd =
        net::socket_in(lab.pods[0].netns.get(), GetParam() ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    EXPECT_TRUE(fd);
    const int on = 1;
    ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return std::move(*fd);
  }
  Fd accepted(const Fd& listener, int timeout_ms = 3000) {
    pollfd p{listener.get(), POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) != 1) return {};
    return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  Pair connect(uint16_t port) {
    const Fd listener = listen(port);
    Pair pair{client_socket(), {}};
    const At at(server_ip(), port);
    EXPECT_EQ(::connect(pair.client.get(), at.get(), at.size), 0) << std::strerror(errno);
    pair.server = accepted(listener);
    EXPECT_TRUE(pair.server);
    return pair;
  }
  void handshake(const Pair& pair) {
    send_all(pair.client, hello());
    ASSERT_EQ(receive(pair.server, 300, 3000), hello());
    send_all(pair.server, answer());
    ASSERT_EQ(receive(pair.client, 150, 3000), answer());
  }
  std::vector<FlowEvent> refusals() {
    std::vector<FlowEvent> out;
    for (const auto& event : events())
      if (event.kind == FlowEvent::Kind::kDenied || event.kind == FlowEvent::Kind::kRevoked)
        out.push_back(event);
    return out;
  }
  TlsState state_of(uint16_t port) {
    const auto rows = gate->connections(100);
    EXPECT_TRUE(rows);
    for (const auto& row : *rows)
      if (row.flow.destination_port == port) return row.flow.tls;
    ADD_FAILURE() << "no connection to port " << port;
    return TlsState::kUnknown;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, KernelTls, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(KernelTls, PlaintextIsCutAndTlsPasses) {
  demand();
  const Pair plain = connect(8080);
  send_all(plain.client, kPlain);
  EXPECT_EQ(receive(plain.server, 1, 700), "");  // longer than two retransmissions take
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  EXPECT_EQ(told[0].reason, SP_DENY_PLAINTEXT);
  EXPECT_EQ(told[0].source, GetParam() ? lab.pods[0].v6 : lab.pods[0].v4);
  EXPECT_GE(drops(SP_DENY_PLAINTEXT), 2u);
  EXPECT_EQ(state_of(8080), TlsState::kPlaintext);

  const Pair tls = connect(8081);
  handshake(tls);
  EXPECT_EQ(state_of(8081), TlsState::kTls);
  // Large segments both ways.
  const std::string much(4 << 20, 'm');
  std::thread sender([&] { send_all(tls.client, much); });
  EXPECT_EQ(receive(tls.server, much.size(), 3000).size(), much.size());
  sender.join();
  std::thread back([&] { send_all(tls.server, much); });
  EXPECT_EQ(receive(tls.client, much.size(), 3000).size(), much.size());
  back.join();

  const Pair free = connect(9000);
  send_all(free.client, kPlain);
  EXPECT_EQ(receive(free.server, kPlain.size(), 3000), kPlain);
  EXPECT_TRUE(refusals().empty());
}

TEST_P(KernelTls, ABannerIsCut) {
  demand();
  const Pair pair = connect(8080);
  send_all(pair.server, "220 mail.example ready\r\n");
  EXPECT_EQ(receive(pair.client, 1, 500), "");
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].reason, SP_DENY_PLAINTEXT);
}

TEST_P(KernelTls, SwitchedOnItCutsLivePlaintextAndSparesLiveTls) {
  demand_nothing();
  const Pair plain = connect(8080), tls = connect(8081), silent = connect(8082);
  send_all(plain.client, kPlain);
  ASSERT_EQ(receive(plain.server, kPlain.size(), 3000), kPlain);
  handshake(tls);
  (void)events();

  demand();
  send_all(plain.client, "more");
  send_all(tls.client, "more");
  EXPECT_EQ(receive(tls.server, 4, 3000), "more");
  EXPECT_EQ(receive(plain.server, 4, 500), "");
  send_all(plain.server, "answer");
  EXPECT_EQ(receive(plain.client, 6, 300), "");
  send_all(tls.server, "answer");
  EXPECT_EQ(receive(tls.client, 6, 3000), "answer");
  auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].kind, FlowEvent::Kind::kRevoked);
  EXPECT_EQ(told[0].destination_port, 8080);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  handshake(silent);

  demand_nothing();  // TCP sends again what was dropped
  EXPECT_EQ(receive(plain.server, 4, 5000), "more");
}

// Payload that is not in the linear part of the buffer: pages of a file.
TEST_P(KernelTls, PayloadInPagesIsRead) {
  demand();
  for (const bool is_tls : {true, false}) {
    const Pair pair = connect(is_tls ? 8080 : 8081);
    const Fd file(::memfd_create("payload", MFD_CLOEXEC));
    ASSERT_TRUE(file);
    std::string text = is_tls ? hello(9000) : std::string(9000, 'x');
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    off_t from = 0;
    ASSERT_EQ(::sendfile(pair.client.get(), file.get(), &from, text.size()),
              static_cast<ssize_t>(text.size()));
    EXPECT_EQ(receive(pair.server, text.size(), is_tls ? 3000 : 500), is_tls ? text : "");
  }
}

TEST_P(KernelTls, AHelloInPiecesPassesWhenTcpJoinsThem) {
  demand();
  const Pair pair = connect(8080);
  send_all(pair.client, hello().substr(0, 3));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  send_all(pair.client, hello().substr(3));
  EXPECT_EQ(receive(pair.server, 300, 5000), hello());
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].reason, SP_DENY_TLS_ORDER);
}

TEST_P(KernelTls, FastOpen) {
  demand();
  for (const auto& pod : lab.pods)
    ASSERT_TRUE(net::set_sysctls(pod.netns.get(), {{"ipv4/tcp_fastopen", "519"}}));
  for (const bool is_tls : {true, false}) {
    const uint16_t port = is_tls ? 8080 : 8081;
    const Fd listener = listen(port, true);
    const Fd client = client_socket();
    const At at(server_ip(), port);
    const std::string text = is_tls ? hello() : std::string(kPlain);
    ASSERT_EQ(::sendto(client.get(), text.data(), text.size(), MSG_FASTOPEN | MSG_DONTWAIT,
                       at.get(), at.size),
              static_cast<ssize_t>(text.size()))
        << std::strerror(errno);
    const Fd server = accepted(listener, is_tls ? 3000 : 500);
    if (!is_tls) {
      EXPECT_TRUE(!server || receive(server, 1, 300).empty());
      continue;
    }
    ASSERT_TRUE(server);
    EXPECT_EQ(receive(server, text.size(), 3000), text);
    send_all(server, answer());
    EXPECT_EQ(receive(client, 150, 3000), answer());
    send_all(client, "finished");
    EXPECT_EQ(receive(server, 8, 3000), "finished");
    tcp_info info{};
    socklen_t size = sizeof(info);
    ASSERT_EQ(::getsockopt(client.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    EXPECT_TRUE(info.tcpi_options & TCPI_OPT_SYN_DATA);  // else this test shows nothing
  }
}

// Many switches under load: TLS never stops, and from the moment that a publication has returned no
// byte of plaintext arrives, on no processor.
TEST_P(KernelTls, ManySwitchesUnderLoad) {
  demand_nothing();
  constexpr uint16_t kPairs = 6;
  std::vector<Pair> tls, plain;
  for (uint16_t i = 0; i < kPairs; ++i) {
    tls.push_back(connect(static_cast<uint16_t>(8100 + i)));
    handshake(tls.back());
    plain.push_back(connect(static_cast<uint16_t>(8200 + i)));
    send_all(plain.back().client, kPlain);
    ASSERT_EQ(receive(plain.back().server, kPlain.size(), 3000), kPlain);
  }
  std::atomic<bool> stop = false;
  std::thread sender([&] {
    const std::string block(512, 'b');
    while (!stop) {
      for (const auto* pairs : {&tls, &plain})
        for (const Pair& pair : *pairs)
          (void)!::send(pair.client.get(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ::usleep(500);
    }
  });
  const auto drain = [](const std::vector<Pair>& pairs) {
    size_t sum = 0;
    std::string buffer(1 << 16, '\0');
    for (const Pair& pair : pairs)
      for (ssize_t n = 1; n > 0; sum += n > 0 ? static_cast<size_t>(n) : 0)
        n = ::recv(pair.server.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return sum;
  };
  size_t plain_between = 0;
  for (int i = 0; i < 12; ++i) {
    demand();
    (void)drain(plain);
    for (int wait = 0; wait < 400 && drain(tls) == 0; ++wait) ::usleep(5000);
    // A packet that was past the hook when the switch came may arrive a moment later: none does
    // now.
    ::usleep(20'000);
    (void)drain(plain);
    (void)drain(tls);
    size_t more = 0;
    for (int wait = 0; wait < 400 && more == 0; ++wait) {
      ::usleep(5000);
      more = drain(tls);
    }
    EXPECT_GT(more, 0u) << "TLS stopped at switch " << i;
    EXPECT_EQ(drain(plain), 0u) << "plaintext arrived after switch " << i;
    demand_nothing();
    if (i == 0)
      for (int wait = 0; wait < 600 && plain_between == 0; ++wait) {
        ::usleep(5000);
        plain_between += drain(plain);
      }
  }
  EXPECT_GT(plain_between, 0u) << "plaintext did not resume: the test would show nothing";
  stop = true;
  sender.join();
}

// Another process takes the gate over: it knows how connections began, and who demands TLS.
TEST_P(KernelTls, ATakeoverKeepsStatesAndNames) {
  demand_nothing();
  const Pair plain = connect(8080), tls = connect(8081);
  send_all(plain.client, kPlain);
  ASSERT_EQ(receive(plain.server, kPlain.size(), 3000), kPlain);
  handshake(tls);
  demand();
  send_all(tls.client, "x");
  ASSERT_EQ(receive(tls.server, 1, 3000), "x");
  (void)events();
  gate.reset();
  send_all(plain.client, "more");  // while nobody is there
  EXPECT_EQ(receive(plain.server, 4, 300), "");
  open(lab.config());
  const auto told = refusals();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].tls_policy, "inference/default");
  EXPECT_EQ(state_of(8080), TlsState::kPlaintext);
  EXPECT_EQ(state_of(8081), TlsState::kTls);
  const auto rows = gate->connections(100);
  ASSERT_TRUE(rows);
  for (const auto& row : *rows) EXPECT_EQ(row.flow.tls_policy, "inference/default");
  EXPECT_EQ(receive(plain.server, 4, 300), "");
  send_all(tls.client, "y");
  EXPECT_EQ(receive(tls.server, 1, 3000), "y");
}

// Probes come from the node itself and pass no FORWARD; their answers pass LOCAL_IN.
TEST_P(KernelTls, TheNodeProbesInPlaintextAllTheSame) {
  auto links = net::Netlink::open(lab.node.get());
  ASSERT_TRUE(links);
  const Ip source = ip(GetParam() ? "fe80::5a11:7" : "169.254.7.1");
  ASSERT_TRUE(links->add_address(lab.pods[1].ifindex, source, GetParam() ? 64 : 32));
  demand();
  const Fd listener = listen(8080);
  auto fd = net::socket_in(lab.node.get(), GetParam() ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  ASSERT_TRUE(fd);
  At from(source, 0);
  if (GetParam())
    reinterpret_cast<sockaddr_in6*>(&from.storage)->sin6_scope_id =
        static_cast<uint32_t>(lab.pods[1].ifindex);
  ASSERT_EQ(::bind(fd->get(), from.get(), from.size), 0) << std::strerror(errno);
  const timeval limit{3, 0};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const At at(server_ip(), 8080);
  ASSERT_EQ(::connect(fd->get(), at.get(), at.size), 0) << std::strerror(errno);
  const Fd server = accepted(listener);
  ASSERT_TRUE(server);
  send_all(*fd, kPlain);
  EXPECT_EQ(receive(server, kPlain.size(), 3000), kPlain);
  send_all(server, "HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(receive(*fd, 17, 3000), "HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(refusals().empty());
  // Nothing arrives from a pod that claims to be the node's probe: the kernel takes no packet with
  // an address of its own as the source, and where it had none, the gate would drop it.
  Udp spoofed(lab.pods[1].netns.get(), server_ip(), 5353);
  send_raw(lab.pods[0].netns.get(), server_ip(), udp_packet(source, 5000, server_ip(), 5353),
           "eth0");
  EXPECT_FALSE(spoofed.receive(300));
}

TEST_P(KernelTls, ARefusedDemandLeavesTheGenerationInForce) {
  demand();
  const auto refused = gate->publish(nobody_isolated(lab).get(), lab.ports(), {{2, 0, true, ""}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  const Pair plain = connect(8080);
  send_all(plain.client, kPlain);
  EXPECT_EQ(receive(plain.server, 1, 300), "");
}

}  // namespace

}  // namespace sallyport::gate
