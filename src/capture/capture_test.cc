// Interception by a real kernel.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>

#include "capture/test_lab.h"
#include "net/nft.h"
#include "net/spawn.h"
#include "net/sysctl.h"
#include "net/test_support.h"

namespace sallyport::capture {
namespace {

class Capture : public Lab {};
INSTANTIATE_TEST_SUITE_P(Families, Capture, ::testing::Values(Family::kV4, Family::kV6),
                         family_name);

TEST_P(Capture, OutboundGoesToTheProxyWhichKnowsWhereTo) {
  capture();
  Fd server = listen_at(client_, client_ip(), 8080);
  Fd app = socket_of(pod_);
  ASSERT_EQ(connect_to(app, {client_ip(), 8080}), 0);
  auto taken = accept_at(outbound());
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->original, (Where{client_ip(), 8080}));
  EXPECT_EQ(taken->peer.ip, pod_ip());
  EXPECT_TRUE(says(app, taken->fd, "hello"));
  EXPECT_TRUE(says(taken->fd, app, "and back"));
  EXPECT_FALSE(accept_at(server, 50)) << "nothing may have left the pod";

  Fd own = marked(Leg::kOutbound);
  ASSERT_EQ(connect_to(own, {client_ip(), 8080}), 0);
  auto there = accept_at(server);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->peer.ip, pod_ip());
  EXPECT_TRUE(says(own, there->fd, "from the proxy"));
}

TEST_P(Capture, AnotherMarkIsNoWayOut) {
  capture();
  Fd server = listen_at(client_, client_ip(), 8080);
  for (uint32_t mark : {0x539U, 0x53aU, 1U, rules_.marks.outbound ^ 1U, ~rules_.marks.outbound}) {
    Fd app = socket_of(pod_);
    ASSERT_EQ(::setsockopt(app.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    ASSERT_EQ(connect_to(app, {client_ip(), 8080}), 0);
    EXPECT_TRUE(accept_at(outbound())) << mark;
  }
  EXPECT_FALSE(accept_at(server, 50));
  // The mark of the other leg leads to the pod itself, wherever it is aimed at.
  Fd app = marked(Leg::kToApp);
  Address to({client_ip(), 8080});
  EXPECT_EQ(::connect(app.get(), to.raw(), to.size), -1);
  EXPECT_FALSE(accept_at(server, 100));
}

TEST_P(Capture, InboundGoesToTheProxyWhichKnowsWhereTo) {
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  Fd client = socket_of(client_);
  ASSERT_EQ(connect_to(client, {pod_ip(), 8080}), 0);
  auto taken = accept_at(inbound());
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->original, (Where{pod_ip(), 8080}));
  EXPECT_EQ(taken->peer.ip, client_ip());
  EXPECT_TRUE(says(client, taken->fd, "hello"));
  EXPECT_FALSE(accept_at(app, 50));
}

TEST_P(Capture, WithoutAProxyConnectionsAreRefusedOrWait) {
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  Fd server = listen_at(client_, client_ip(), 8080);
  // Nobody accepts, the listeners live: they wait.
  Fd waiting = socket_of(client_);
  EXPECT_EQ(connect_to(waiting, {pod_ip(), 8080}), 0);
  listeners_ = {};
  Fd in = socket_of(client_), out = socket_of(pod_);
  EXPECT_EQ(connect_to(in, {pod_ip(), 8080}), ECONNREFUSED);
  EXPECT_EQ(connect_to(out, {client_ip(), 8080}), ECONNREFUSED);
  EXPECT_FALSE(accept_at(app, 50));
  EXPECT_FALSE(accept_at(server, 50));
}

TEST_P(Capture, TheProxysOwnPortsAreNotReachable) {
  capture();
  for (uint16_t port : {kOutboundPort, kInboundPort}) {
    Fd client = socket_of(client_);
    EXPECT_EQ(connect_to(client, {pod_ip(), port}), ECONNREFUSED) << port;
    Fd own_address = socket_of(pod_);
    EXPECT_EQ(connect_to(own_address, {pod_ip(), port}), ECONNREFUSED) << port;
    Fd loopback = socket_of(pod_);
    Ip lo = *Ip::parse(v4() ? "127.0.0.1" : "::1");
    EXPECT_EQ(connect_to(loopback, {lo, port}), ECONNREFUSED) << port;
    Fd probe = from(socket_of(client_, family()), probe_ip());
    EXPECT_EQ(connect_to(probe, {pod_ip(), port}), ECONNREFUSED) << port;
    // To such a port elsewhere: it is refused too, by the rules or by the proxy.
    Fd elsewhere = socket_of(pod_);
    EXPECT_EQ(connect_to(elsewhere, {client_ip(), port}), ECONNREFUSED) << port;
  }
}

TEST_P(Capture, OwnAddressesAndLoopbackAreLeftAlone) {
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  Fd self = socket_of(pod_);
  ASSERT_EQ(connect_to(self, {pod_ip(), 8080}), 0);
  auto there = accept_at(app);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->peer.ip, pod_ip());
  EXPECT_TRUE(says(self, there->fd, "hello"));
  EXPECT_TRUE(says(there->fd, self, "and back"));
  Ip lo = *Ip::parse(v4() ? "127.0.0.1" : "::1");
  Fd local = listen_at(pod_, lo, 8081);
  Fd neighbour = socket_of(pod_);
  ASSERT_EQ(connect_to(neighbour, {lo, 8081}), 0);
  EXPECT_TRUE(accept_at(local));
}

TEST_P(Capture, ProbesPassUnseen) {
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  Fd probe = from(socket_of(client_, family()), probe_ip());
  ASSERT_EQ(connect_to(probe, {pod_ip(), 8080}), 0);
  auto there = accept_at(app);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->peer.ip, probe_ip());
  EXPECT_TRUE(says(probe, there->fd, "ready?"));
  EXPECT_TRUE(says(there->fd, probe, "yes"));
  // A dead application is seen as dead.
  Fd second = from(socket_of(client_, family()), probe_ip());
  EXPECT_EQ(connect_to(second, {pod_ip(), 8099}), ECONNREFUSED);
}

TEST_P(Capture, Exclusions) {
  rules_.exclude_inbound_ports = {9000};
  rules_.exclude_outbound_ports = {9001};
  rules_.exclude_outbound_ranges = {{probe_ip(), v4() ? 32 : 128}};
  capture();
  Fd in = listen_at(pod_, pod_ip(), 9000);
  Fd client = socket_of(client_);
  ASSERT_EQ(connect_to(client, {pod_ip(), 9000}), 0);
  auto there = accept_at(in);
  ASSERT_TRUE(there);
  EXPECT_TRUE(says(client, there->fd, "hello"));
  EXPECT_TRUE(says(there->fd, client, "and back"));
  for (Where to : {Where{client_ip(), 9001}, Where{probe_ip(), 8080}}) {
    Fd server = listen_at(client_, to.ip, to.port);
    Fd app = socket_of(pod_);
    ASSERT_EQ(connect_to(app, to), 0);
    auto out = accept_at(server);
    ASSERT_TRUE(out) << to;
    EXPECT_TRUE(says(app, out->fd, "hello"));
    EXPECT_TRUE(says(out->fd, app, "and back"));
  }
  // The others are still taken.
  Fd app = socket_of(pod_);
  ASSERT_EQ(connect_to(app, {client_ip(), 9000}), 0);
  EXPECT_TRUE(accept_at(outbound()));
}

TEST_P(Capture, DatagramsAreNotTouched) {
  capture();
  int domain = v4() ? AF_INET : AF_INET6;
  auto there = net::socket_in(client_.get(), domain, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  auto here = net::socket_in(pod_.get(), domain, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  ASSERT_TRUE(there && here);
  Address at({client_ip(), 5300});
  ASSERT_EQ(::bind(there->get(), at.raw(), at.size), 0);
  ASSERT_EQ(connect_to(*here, {client_ip(), 5300}), 0);
  EXPECT_TRUE(says(*here, *there, "a question"));
}

// The heart of it: client and application share a range of 40 ports, each connection has a second
// leg from the client's own address, and none may fail, hang, or meet another's bytes.
TEST_P(Capture, FortyPortsForBothLegsAndNoConnectionFails) {
  for (const Fd* ns : {&pod_, &client_})
    ASSERT_TRUE(net::set_sysctls(ns->get(), {{"ipv4/ip_local_port_range", "40000 40039"}}));
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  constexpr int kAtOnce = 36;
  int number = 0;
  for (int round = 0; round < 8; ++round) {
    struct Pair {
      Fd client, in, leg, served;
    };
    std::vector<Pair> pairs;
    for (int i = 0; i < kAtOnce; ++i, ++number) {
      Pair pair;
      pair.client = socket_of(client_);
      ASSERT_EQ(connect_to(pair.client, {pod_ip(), 8080}), 0) << number;
      auto taken = accept_at(inbound());
      ASSERT_TRUE(taken) << number;
      EXPECT_EQ(taken->original, (Where{pod_ip(), 8080}));
      pair.in = std::move(taken->fd);
      pair.leg = marked(Leg::kToApp);
      Address client({taken->peer.ip, 0});
      ASSERT_EQ(::bind(pair.leg.get(), client.raw(), client.size), 0) << std::strerror(errno);
      ASSERT_EQ(connect_to(pair.leg, taken->original), 0) << number;
      auto served = accept_at(app);
      ASSERT_TRUE(served) << number;
      EXPECT_EQ(served->peer.ip, client_ip()) << "the application sees the client";
      pair.served = std::move(served->fd);
      pairs.push_back(std::move(pair));
    }
    for (Pair& pair : pairs) {
      std::string text = "number " + std::to_string(number++);
      EXPECT_TRUE(says(pair.client, pair.in, text));
      EXPECT_TRUE(says(pair.leg, pair.served, text));
      EXPECT_TRUE(says(pair.served, pair.leg, text));
      EXPECT_TRUE(says(pair.in, pair.client, text));
      for (Fd* fd : {&pair.client, &pair.in, &pair.leg, &pair.served}) reset_on_close(*fd);
    }
  }
}

TEST_P(Capture, ADeadApplicationRefusesTheLegAtOnce) {
  capture();
  Fd leg = marked(Leg::kToApp);
  Address client({client_ip(), 0});
  ASSERT_EQ(::bind(leg.get(), client.raw(), client.size), 0);
  EXPECT_EQ(connect_to(leg, {pod_ip(), 8099}), ECONNREFUSED);
}

// The end of the application's side, gracefully and by reset, is seen through the leg.
TEST_P(Capture, EndsTravelOverTheLeg) {
  capture();
  Fd app = listen_at(pod_, pod_ip(), 8080);
  for (bool reset : {false, true}) {
    Fd leg = marked(Leg::kToApp);
    Address client({client_ip(), 0});
    ASSERT_EQ(::bind(leg.get(), client.raw(), client.size), 0);
    ASSERT_EQ(connect_to(leg, {pod_ip(), 8080}), 0);
    auto served = accept_at(app);
    ASSERT_TRUE(served);
    if (reset) reset_on_close(served->fd);
    served->fd.reset();
    ASSERT_TRUE(wait_for(leg.get(), POLLIN));
    char byte = 0;
    ssize_t n = ::recv(leg.get(), &byte, 1, 0);
    EXPECT_EQ(n, reset ? -1 : 0) << std::strerror(errno);
  }
}

TEST_P(Capture, AppliedAgainAndTakenBack) {
  capture();
  auto listing = [&] { return net::query_nft(pod_.get(), "list ruleset").value_or("?"); };
  auto rules = [&] {
    auto out = net::run_in(pod_.get(), {"/sbin/ip", v4() ? "-4" : "-6", "rule", "list"}, {});
    return out ? out->output : "?";
  };
  std::string once = listing();
  EXPECT_NE(once.find("redirect"), std::string::npos);
  ASSERT_TRUE(apply(pod_.get(), rules_));
  EXPECT_EQ(listing(), once);

  // With other marks (another node process): the old ones lead nowhere.
  Fd old = marked(Leg::kOutbound);
  Fd server = listen_at(client_, client_ip(), 8080);
  rules_.marks = *draw_marks();
  ASSERT_TRUE(apply(pod_.get(), rules_));
  EXPECT_EQ(connect_to(old, {client_ip(), 8080}), 0);
  EXPECT_TRUE(accept_at(outbound()));
  EXPECT_FALSE(accept_at(server, 50));
  std::string text = rules();
  size_t first = text.find("fwmark");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("fwmark", first + 1), std::string::npos) << text;

  ASSERT_TRUE(remove(pod_.get()));
  EXPECT_EQ(listing().find("redirect"), std::string::npos);
  EXPECT_EQ(rules().find("fwmark"), std::string::npos);
  ASSERT_TRUE(remove(pod_.get())) << "nothing there is fine";
  Fd free = socket_of(pod_);
  ASSERT_EQ(connect_to(free, {client_ip(), 8080}), 0);
  EXPECT_TRUE(accept_at(server));
}

TEST_P(Capture, APortThatThePodHasTakenIsNamed) {
  Fd squatter = listen_at(pod_, *Ip::parse(v4() ? "0.0.0.0" : "::"), kInboundPort);
  auto listeners = make_listeners(pod_.get());
  ASSERT_FALSE(listeners);
  EXPECT_EQ(listeners.error().code, Code::kConflict);
  EXPECT_NE(listeners.error().message.find("15006"), std::string::npos);
}

TEST_P(Capture, DeniedAltogether) {
  ASSERT_TRUE(deny(pod_.get(), rules_.probe_sources));
  Fd app = listen_at(pod_, pod_ip(), 8080);
  Fd server = listen_at(client_, client_ip(), 8080);
  Fd in = socket_of(client_), out = socket_of(pod_), self = socket_of(pod_);
  EXPECT_NE(connect_to(in, {pod_ip(), 8080}), 0);
  EXPECT_NE(connect_to(out, {client_ip(), 8080}), 0);
  EXPECT_EQ(connect_to(self, {pod_ip(), 8080}), 0);
  EXPECT_TRUE(accept_at(app));
  Fd probe = from(socket_of(client_, family()), probe_ip());
  EXPECT_EQ(connect_to(probe, {pod_ip(), 8080}), 0);
  EXPECT_TRUE(accept_at(app));
  EXPECT_FALSE(accept_at(server, 50));
  // And back to interception.
  capture();
  Fd again = socket_of(client_);
  EXPECT_EQ(connect_to(again, {pod_ip(), 8080}), 0);
  EXPECT_TRUE(accept_at(inbound()));
}

TEST_P(Capture, LeavesNoDescriptorsBehind) {
  capture();
  auto before = net::open_descriptors();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(apply(pod_.get(), rules_));
    ASSERT_TRUE(make_sockets(pod_.get(), Leg::kToApp, family(), rules_.marks, 50));
  }
  EXPECT_EQ(net::open_descriptors().size(), before.size());
}

}  // namespace
}  // namespace sallyport::capture
