#include "runtime/probe_attempt.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "net/netlink.h"
#include "net/netns.h"

namespace sallyport::runtime {
namespace {

const Ip kLoopback = Ip::v4(INADDR_LOOPBACK);

std::string text_of(const std::optional<ProbeResult>& result) {
  if (!result) return "waiting";
  return result->success ? "ok" : "failed: " + result->text;
}

class ProbeAttemptTest : public ::testing::Test {
 protected:
  void listen() {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(::listen(listener_.get(), 4), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  k8s::Probe probe(k8s::Probe::Kind kind) const {
    k8s::Probe made;
    made.kind = kind;
    made.port.number = port_;
    return made;
  }
  static ProbeTarget target() { return {-1, kLoopback, "", ""}; }
  static std::optional<ProbeResult> wait(ProbeAttempt& attempt, int milliseconds = 2000) {
    for (int i = 0; i < milliseconds / 10; ++i) {
      if (auto result = attempt.advance()) return result;
      pollfd event{attempt.fd(), static_cast<short>(attempt.wants_write() ? POLLOUT : POLLIN), 0};
      ::poll(&event, 1, 10);
    }
    return std::nullopt;
  }
  Fd listener_;
  int port_ = 0;
};

TEST_F(ProbeAttemptTest, TcpConnectsOrIsRefused) {
  listen();
  auto attempt = begin_probe(probe(k8s::Probe::Kind::kTcpSocket), target());
  ASSERT_TRUE(attempt);
  EXPECT_EQ(text_of(wait(**attempt)), "ok");
  listener_.reset();
  attempt = begin_probe(probe(k8s::Probe::Kind::kTcpSocket), target());
  if (attempt) {
    auto result = wait(**attempt);
    EXPECT_NE(text_of(result).find("Connection refused"), std::string::npos) << text_of(result);
  }
}

TEST_F(ProbeAttemptTest, HttpSendsItsRequestAndReadsTheStatus) {
  listen();
  k8s::Probe http = probe(k8s::Probe::Kind::kHttpGet);
  http.path = "/ready";
  auto attempt = begin_probe(http, target());
  ASSERT_TRUE(attempt);
  EXPECT_FALSE(wait(**attempt, 100)) << "no answer yet";
  Fd peer(::accept(listener_.get(), nullptr, nullptr));
  char request[1024] = {};
  ASSERT_GT(::recv(peer.get(), request, sizeof request - 1, 0), 0);
  EXPECT_TRUE(std::string(request).starts_with("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:"));
  ASSERT_EQ(::send(peer.get(), "HTTP/1.1 20", 11, 0), 11);
  EXPECT_FALSE(wait(**attempt, 50));
  ASSERT_EQ(::send(peer.get(), "4 No\r\n", 6, 0), 6);
  EXPECT_EQ(text_of(wait(**attempt)), "ok");
}

// A node and a pod in namespaces of their own, and whom the pod's server sees.
class ProbeSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    node_ = net::create_netns().value();
    pod_ = net::create_netns().value();
    auto here = net::Netlink::open(node_.get()).value();
    auto there = net::Netlink::open(pod_.get()).value();
    const int link = here.add_veth("pod", "eth0", pod_.get()).value();
    const int eth0 = there.ifindex("eth0").value();
    for (const Ip& ip : {ip("198.18.0.1"), ip("169.254.7.1"), ip("fd00::1"), ip("fe80::5a11:7")})
      ASSERT_TRUE(here.add_address(link, ip, ip.family() == Family::kV4 ? 16 : 64));
    for (const Ip& ip : {ip("198.18.0.2"), ip("169.254.7.2"), ip("fd00::2"), ip("fe80::2")})
      ASSERT_TRUE(there.add_address(eth0, ip, ip.family() == Family::kV4 ? 16 : 64));
    ASSERT_TRUE(here.set_up(link));
    ASSERT_TRUE(there.set_up(eth0));
    listener_ = net::socket_in(pod_.get(), AF_INET6, SOCK_STREAM, 0).value();
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(8080);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    ASSERT_EQ(::listen(listener_.get(), 4), 0);
    for (int i = 0; i < 300 && !there.is_local(ip("fd00::2")).value(); ++i) ::usleep(10'000);
  }
  static Ip ip(const char* text) { return *Ip::parse(text); }
  std::string seen_by_pod(const k8s::Probe& probe, const ProbeTarget& target) {
    auto attempt = begin_probe(probe, target);
    if (!attempt) return attempt.error().message;
    pollfd waits{listener_.get(), POLLIN, 0};
    if (::poll(&waits, 1, 3000) != 1) return "nobody";
    sockaddr_in6 peer{};
    socklen_t size = sizeof peer;
    Fd client(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
    Ip from;
    std::memcpy(from.bytes.data(), &peer.sin6_addr, 16);
    return from.to_string();
  }
  Fd node_, pod_, listener_;
};

TEST_F(ProbeSourceTest, IsOfThePodsFamilyAndOnlyForThePod) {
  k8s::Probe probe;
  probe.kind = k8s::Probe::Kind::kTcpSocket;
  probe.port.number = 8080;
  ProbeTarget target{node_.get(),
                     ip("198.18.0.2"),
                     "",
                     "",
                     {ip("198.18.0.2"), ip("fd00::2")},
                     {ip("169.254.7.1"), ip("fe80::5a11:7")}};
  EXPECT_EQ(seen_by_pod(probe, target), "169.254.7.1");
  target.ip = ip("fd00::2");
  EXPECT_EQ(seen_by_pod(probe, target), "fe80::5a11:7");
  probe.host = "198.18.0.2";
  EXPECT_EQ(seen_by_pod(probe, target), "169.254.7.1");
  target.pod_ips = {ip("fd00::2")};  // then that host is somebody else
  EXPECT_EQ(seen_by_pod(probe, target), "198.18.0.1");
  probe.host.clear();
  target.sources.clear();
  EXPECT_EQ(seen_by_pod(probe, target), "fd00::1");
}

TEST_F(ProbeAttemptTest, NeedsAnAddress) {
  ProbeTarget nowhere = target();
  nowhere.ip.reset();
  EXPECT_EQ(begin_probe(probe(k8s::Probe::Kind::kTcpSocket), nowhere).error().code,
            Code::kUnavailable);
  k8s::Probe named = probe(k8s::Probe::Kind::kTcpSocket);
  named.host = "example.org";
  EXPECT_EQ(begin_probe(named, target()).error().message,
            "host example.org: expected an IP address");
  EXPECT_FALSE(begin_probe(probe(k8s::Probe::Kind::kExec), target())) << "no shim there";
}

TEST(HttpProbeTest, Requests) {
  k8s::Probe probe;
  probe.port.number = 8080;
  probe.path = "healthz";
  probe.headers = {{"host", "example.org"}, {"X-One", "1"}};
  EXPECT_EQ(
      http_probe_request(probe, *Ip::parse("fd00::1")),
      "GET /healthz HTTP/1.1\r\nHost: example.org\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\n"
      "Connection: close\r\nX-One: 1\r\n\r\n");
  probe.headers.clear();
  EXPECT_NE(http_probe_request(probe, *Ip::parse("fd00::1"))->find("Host: [fd00::1]:8080\r\n"),
            std::string::npos);
  probe.headers = {{"X", "a\r\nEvil: 1"}};
  EXPECT_FALSE(http_probe_request(probe, kLoopback));
  probe.headers.clear();
  probe.path = "/ HTTP/1.1\r\nX: y";
  EXPECT_FALSE(http_probe_request(probe, kLoopback));
}

TEST(HttpProbeTest, Answers) {
  auto answer = [](const char* text, bool closed) {
    return text_of(http_probe_result(text, closed));
  };
  EXPECT_EQ(answer("HTTP/1.1 200 OK\r\n", false), "ok");
  EXPECT_EQ(answer("HTTP/1.0 399 x\r\n", false), "ok");
  EXPECT_EQ(answer("HTTP/1.1 400 x\r\n", false), "failed: HTTP status 400");
  EXPECT_EQ(answer("HTTP/1.1 199 x\r\n", false), "failed: HTTP status 199");
  EXPECT_EQ(answer("HTTP/1.1 2", false), "waiting");
  EXPECT_EQ(answer("", true), "failed: the connection was closed without an answer");
  for (const char* text : {"SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n", "HTTP/1.1\r\n", "HTTP/2 200\r\n"})
    EXPECT_EQ(answer(text, true), "failed: the answer is not HTTP") << text;
}

}  // namespace
}  // namespace sallyport::runtime
