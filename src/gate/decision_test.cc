// The decision about single packets and connections, through the twin: every reason, both families.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"
#include "gate/twin.h"

namespace sallyport::gate {

namespace {

using policy::Direction;
constexpr uint64_t kSecond = 1'000'000'000;

struct Host {
  uint32_t id = 0;
  uint32_t ifindex = 0;
  Ip v4, v6;
  [[nodiscard]] const Ip& address(bool six) const { return six ? v6 : v4; }
};

// Client 1 and stranger 3 may send anywhere; server 2 takes TCP and UDP 8080-8090 and pings from 1.
class Decision : public ::testing::TestWithParam<bool> {
 protected:
  Decision() {
    ingress = policy.deny_set(Direction::kIngress, 100);
    policy.allow(ingress, 1, 6, 8080, 8090, 101);
    policy.allow(ingress, 1, 17, 8080, 8090, 102);
    policy.allow(ingress, 1, 1, 0, 0, 103);
    for (const auto* host : {&client, &server, &stranger})
      policy.endpoint(host->id, {host->v4, host->v6}, 0, host == &server ? ingress : 0);
    config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
    config.node_ranges = {cidr("198.19.0.0/17"), cidr("fd00:19::/64")};
    config.node_addresses = {ip("198.19.128.1"), ip("fd00:19:128::1")};
    config.node_ports = {{6, 9090}};
    publish(policy);
  }
  void publish(const CompiledBuilder& builder) {
    auto tables = build_tables(builder.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
    ASSERT_TRUE(tables) << tables.error().message;
    twin.publish(std::move(*tables));
  }
  // From one host to the other as their wiring has it.
  Twin::Verdict send(const Bytes& packet, const Host& from, const Host& to) {
    return twin.decide(packet, {from.ifindex, to.ifindex, family(), false, false});
  }
  Twin::Verdict send_local(const Bytes& packet, const Host& from, bool reply = false) {
    return twin.decide(packet, {from.ifindex, 0, family(), true, reply});
  }
  Bytes tcp(const Host& from, uint16_t from_port, const Host& to, uint16_t port, uint8_t flags) {
    return tcp_packet(from.address(six()), from_port, to.address(six()), port, flags);
  }
  Bytes udp(const Host& from, uint16_t from_port, const Host& to, uint16_t port) {
    return udp_packet(from.address(six()), from_port, to.address(six()), port);
  }
  [[nodiscard]] bool six() const { return GetParam(); }
  [[nodiscard]] Family family() const { return six() ? Family::kV6 : Family::kV4; }
  // SYN, SYN-ACK, ACK between the client and the server.
  void establish(uint16_t from_port) {
    ASSERT_TRUE(send(tcp(client, from_port, server, 8080, kSyn), client, server).accept);
    ASSERT_TRUE(send(tcp(server, 8080, client, from_port, kSyn | kAck), server, client).accept);
    ASSERT_TRUE(send(tcp(client, from_port, server, 8080, kAck), client, server).accept);
  }

  Host client{1, 11, ip("198.18.0.1"), ip("fd00:18::1")};
  Host server{2, 12, ip("198.18.0.2"), ip("fd00:18::2")};
  Host stranger{3, 13, ip("198.18.0.3"), ip("fd00:18::3")};
  Host unknown{0, 14, ip("198.18.9.9"), ip("fd00:18::99")};
  Host outside{0, 20, ip("198.19.200.1"), ip("fd00:19:200::1")};
  Host node{0, 0, ip("198.19.128.1"), ip("fd00:19:128::1")};
  Host service{0, 20, ip("198.19.0.7"), ip("fd00:19::7")};
  CompiledBuilder policy;
  policy::SetId ingress = 0;
  GateConfig config;
  Twin twin{1000, 400};
};

INSTANTIATE_TEST_SUITE_P(Families, Decision, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(Decision, AllowsByRuleAndItsAnswers) {
  const auto first = send(udp(client, 4000, server, 8085), client, server);
  EXPECT_TRUE(first.accept);
  EXPECT_EQ(first.reason, SP_BY_POLICY);
  EXPECT_TRUE(send(udp(server, 8085, client, 4000), server, client).accept);
  const auto events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kNew);
  EXPECT_EQ(events[0].ingress_rule, 102u);
  EXPECT_EQ(events[0].source, client.address(six()));
  EXPECT_EQ(events[0].source_port, 4000);
  EXPECT_EQ(events[0].destination_port, 8085);
  EXPECT_EQ(events[0].source_endpoint, 1u);
  const auto rows = twin.connections();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].flow.packets[0], 1u);
  EXPECT_EQ(rows[0].flow.packets[1], 1u);
}

TEST_P(Decision, PortRangesHaveExactBorders) {
  for (const auto& [port, allowed] : std::vector<std::pair<uint16_t, bool>>{
           {0, false}, {8079, false}, {8080, true}, {8090, true}, {8091, false}, {65535, false}})
    EXPECT_EQ(send(udp(client, 4000, server, port), client, server).accept, allowed) << port;
}

TEST_P(Decision, DeniesByPolicyWithoutMakingAnEntry) {
  const auto verdict = send(tcp(stranger, 4000, server, 8080, kSyn), stranger, server);
  EXPECT_FALSE(verdict.accept);
  EXPECT_EQ(verdict.reason, SP_DENY_POLICY);
  EXPECT_EQ(verdict.ingress_rule, 100u);
  EXPECT_EQ(twin.connection_count(), 0u);
  EXPECT_EQ(twin.rules().at(100).verdicts, 1u);
  EXPECT_EQ(twin.drops().at(SP_DENY_POLICY), 1u);
  // The server's own packets are no answers to it.
  EXPECT_FALSE(send(tcp(server, 8080, stranger, 4000, kSyn | kAck), server, stranger).accept);
}

TEST_P(Decision, OtherProtocolsFollowTheirOwnPiece) {
  EXPECT_FALSE(
      send(sctp_packet(client.address(six()), 1, server.address(six()), 8080), client, server)
          .accept);
  EXPECT_TRUE(
      send(echo_packet(client.address(six()), server.address(six()), true, 7), client, server)
          .accept);
  EXPECT_FALSE(
      send(echo_packet(stranger.address(six()), server.address(six()), true, 7), stranger, server)
          .accept);
  EXPECT_TRUE(send(ip_packet(client.address(six()), server.address(six()), 47, {0, 0, 0, 0}),
                   client, server)
                  .accept);
}

TEST_P(Decision, PingsAreAnsweredOnlyByTheirTarget) {
  const Ip &c = client.address(six()), &s = server.address(six());
  EXPECT_EQ(send(echo_packet(s, c, false, 7), server, client).reason, SP_DENY_NO_CONNECTION);
  ASSERT_TRUE(send(echo_packet(c, s, true, 7), client, server).accept);
  EXPECT_TRUE(send(echo_packet(s, c, false, 7), server, client).accept);
  EXPECT_EQ(send(echo_packet(s, c, false, 8), server, client).reason, SP_DENY_NO_CONNECTION);
  // A request of the other side with the same id is a connection of its own.
  ASSERT_TRUE(send(echo_packet(s, c, true, 7), server, client).accept);
  EXPECT_EQ(twin.connection_count(), 2u);
}

TEST_P(Decision, TcpBeginsWithASynOnly) {
  for (const uint8_t flags : {uint8_t{0}, kAck, uint8_t{kSyn | kAck}, kRst, uint8_t{kFin | kAck},
                              uint8_t{kSyn | kFin}, uint8_t{kSyn | kRst}}) {
    EXPECT_EQ(send(tcp(client, 4000, server, 8080, flags), client, server).reason,
              SP_DENY_NO_CONNECTION)
        << int{flags};
  }
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kSyn), client, server).accept);
}

TEST_P(Decision, SelfIsAllowedWhateverThePolicy) {
  Host self = server;
  const auto verdict = send(tcp(server, 4000, self, 1, kSyn), server, self);
  EXPECT_TRUE(verdict.accept);
  EXPECT_EQ(verdict.reason, SP_SELF);
}

TEST_P(Decision, SpoofedSourcesAreDropped) {
  // A pod as another pod, as the outside, as the node, as a Service.
  for (const Host* liar : {&client, &outside, &node, &service, &unknown})
    EXPECT_EQ(send(udp(*liar, 4000, server, 8080), stranger, server).reason, SP_DENY_SPOOFED);
  // The outside as a pod, known or not, as the node, as a Service.
  for (const Host* liar : {&client, &unknown, &node, &service})
    EXPECT_EQ(send(udp(*liar, 4000, server, 8080), outside, server).reason, SP_DENY_SPOOFED);
  EXPECT_EQ(send_local(udp(client, 4000, node, 9090), stranger).reason, SP_DENY_SPOOFED);
  EXPECT_EQ(send_local(udp(client, 4000, node, 9090), stranger, true).reason, SP_DENY_SPOOFED);
  // Also on a connection that exists: the entry knows where its packets come in.
  ASSERT_TRUE(send(udp(client, 4000, server, 8080), client, server).accept);
  EXPECT_EQ(send(udp(client, 4000, server, 8080), stranger, server).reason, SP_DENY_SPOOFED);
  EXPECT_EQ(send(udp(server, 8080, client, 4000), stranger, client).reason, SP_DENY_SPOOFED);
  EXPECT_TRUE(send(udp(server, 8080, client, 4000), server, client).accept);
}

TEST_P(Decision, UnknownPodAddressesAreDenied) {
  EXPECT_EQ(send(udp(client, 4000, unknown, 1), client, unknown).reason, SP_DENY_UNKNOWN_POD);
  EXPECT_EQ(send(udp(outside, 4000, unknown, 1), outside, unknown).reason, SP_DENY_UNKNOWN_POD);
}

struct Broken {
  const char* what;
  Bytes packet;
  uint8_t reason;
};

TEST_P(Decision, MalformedPacketsAreDropped) {
  const Ip &c = client.address(six()), &s = server.address(six());
  const Bytes good = tcp(client, 4000, server, 8080, kSyn);
  const size_t header = six() ? 40 : 20;
  std::vector<Broken> cases;
  for (size_t size = 0; size < header + 16; ++size)
    cases.push_back({"cut short", Bytes(good.begin(), good.begin() + static_cast<long>(size)),
                     SP_DENY_MALFORMED});
  Bytes bytes = good;
  bytes[0] = static_cast<uint8_t>(six() ? 0x45 : 0x65);
  cases.push_back({"the other family's version", bytes, SP_DENY_MALFORMED});
  bytes = good;
  bytes[header + 12] = 4 << 4;
  cases.push_back({"a TCP header of 16 bytes", bytes, SP_DENY_MALFORMED});
  cases.push_back({"UDP without its header", ip_packet(c, s, 17, Bytes(7)), SP_DENY_MALFORMED});
  cases.push_back(
      {"ICMP without its header", ip_packet(c, s, six() ? 58 : 1, Bytes(7)), SP_DENY_MALFORMED});
  cases.push_back(
      {"the other family's ICMP", ip_packet(c, s, six() ? 1 : 58, Bytes(64)), SP_DENY_MALFORMED});
  if (six()) {
    IpOptions many;
    many.first_next = 60;
    for (int i = 0; i < 9; ++i) many.extensions = many.extensions + Bytes{60, 0, 1, 4, 0, 0, 0, 0};
    cases.push_back(
        {"nine extension headers", udp_packet(c, 1, s, 8080, {}, many), SP_DENY_MALFORMED});
    IpOptions routing;
    routing.first_next = 43;
    routing.extensions = {17, 0, 0, 1, 0, 0, 0, 0};
    cases.push_back({"a source route with a segment left", udp_packet(c, 1, s, 8080, {}, routing),
                     SP_DENY_MALFORMED});
    IpOptions fragment;
    fragment.first_next = 44;
    fragment.extensions = {17, 0, 0, 8, 0, 0, 0, 1};
    cases.push_back({"a fragment", udp_packet(c, 1, s, 8080, {}, fragment), SP_DENY_FRAGMENT});
    fragment.extensions[3] = 1;
    cases.push_back(
        {"a first fragment", udp_packet(c, 1, s, 8080, {}, fragment), SP_DENY_FRAGMENT});
    // An address that would pass for the IPv4 one.
    bytes = good;
    std::copy(client.v4.bytes.begin(), client.v4.bytes.end(), bytes.begin() + 8);
    cases.push_back({"a mapped source", bytes, SP_DENY_MALFORMED});
    bytes = good;
    std::copy(server.v4.bytes.begin(), server.v4.bytes.end(), bytes.begin() + 24);
    cases.push_back({"a mapped destination", bytes, SP_DENY_MALFORMED});
  } else {
    IpOptions fragment;
    fragment.fragment = 0x2000;
    cases.push_back(
        {"a first fragment", udp_packet(c, 1, s, 8080, {}, fragment), SP_DENY_FRAGMENT});
    fragment.fragment = 10;
    cases.push_back({"a last fragment", udp_packet(c, 1, s, 8080, {}, fragment), SP_DENY_FRAGMENT});
    bytes = good;
    bytes[0] = 0x44;
    cases.push_back({"a header of 16 bytes", bytes, SP_DENY_MALFORMED});
    bytes[0] = 0x4f;
    cases.push_back({"a header past the end", bytes, SP_DENY_MALFORMED});
  }
  for (const auto& one : cases) {
    const auto verdict = send(one.packet, client, server);
    EXPECT_FALSE(verdict.accept) << one.what << ", " << one.packet.size() << " bytes";
    EXPECT_EQ(verdict.reason, one.reason) << one.what << ", " << one.packet.size() << " bytes";
  }
}

TEST_P(Decision, ExtensionHeadersAndOptionsAreReadThrough) {
  IpOptions options;
  if (six()) {
    options.first_next = 0;
    options.extensions = {60, 0, 1, 4, 0, 0, 0, 0,   // hop-by-hop
                          51, 1, 1, 4, 0, 0, 0, 0,   // destination options of 16 bytes
                          0,  0, 0, 0, 0, 0, 0, 0,   //
                          44, 1, 0, 0, 0, 0, 0, 0,   // authentication of 12 bytes
                          0,  0, 0, 0,               //
                          17, 0, 0, 0, 0, 0, 0, 1};  // an atomic fragment
  } else {
    options.options = Bytes(40, 1);
  }
  const Ip &c = client.address(six()), &s = server.address(six());
  EXPECT_TRUE(send(udp_packet(c, 1, s, 8080, {}, options), client, server).accept);
  EXPECT_EQ(send(udp_packet(c, 1, s, 8091, {}, options), client, server).reason, SP_DENY_POLICY);
}

TEST_P(Decision, NeighbourDiscoveryBelongsToTheLink) {
  if (!six()) {  // IPv4 has ARP, which never comes here; ICMP of these numbers is ICMP
    EXPECT_NE(send_local(icmp_packet(client.v4, node.v4, 135, 0, Bytes(20)), client).reason,
              SP_NEIGHBOUR);
    return;
  }
  IpOptions last;
  last.ttl = 255;
  const Ip link = ip("fe80::1234"), nobody = ip("::"), all = ip("ff02::1");
  const auto local = [&](const Ip& from, uint8_t type, const IpOptions& options) {
    return send_local(icmp_packet(from, all, type, 0, Bytes(20), options), client).reason;
  };
  EXPECT_EQ(local(client.v6, 135, last), SP_NEIGHBOUR);
  EXPECT_EQ(local(link, 136, last), SP_NEIGHBOUR);
  EXPECT_EQ(local(nobody, 135, last), SP_NEIGHBOUR);
  EXPECT_EQ(local(nobody, 143, IpOptions{}), SP_NEIGHBOUR);
  EXPECT_EQ(local(server.v6, 136, last), SP_DENY_SPOOFED);
  EXPECT_EQ(local(link, 134, last), SP_DENY_NEIGHBOUR);
  EXPECT_EQ(local(link, 137, last), SP_DENY_NEIGHBOUR);
  EXPECT_EQ(local(link, 135, IpOptions{}), SP_DENY_NEIGHBOUR);  // it has come from afar
  // Link-local is for discovery alone, and discovery is never forwarded.
  EXPECT_EQ(send_local(udp_packet(link, 1, node.v6, 9090), client).reason, SP_DENY_SPOOFED);
  EXPECT_EQ(send(icmp_packet(client.v6, server.v6, 135, 0, Bytes(20), last), client, server).reason,
            SP_DENY_NEIGHBOUR);
}

TEST_P(Decision, ServicesThatWereNotTranslatedAreDenied) {
  EXPECT_EQ(send(udp(client, 4000, service, 53), client, service).reason, SP_DENY_NO_SERVICE);
}

TEST_P(Decision, DestinationBehindAnotherInterfaceIsDenied) {
  EXPECT_EQ(send(udp(client, 4000, server, 8080), client, stranger).reason, SP_DENY_MISROUTED);
}

TEST_P(Decision, BeforeTheFirstGenerationNothingPasses) {
  Twin fresh(100, 100);
  const auto verdict = fresh.decide(udp(client, 4000, server, 8080),
                                    {client.ifindex, server.ifindex, family(), false, false});
  EXPECT_FALSE(verdict.accept);
  EXPECT_EQ(verdict.reason, SP_DENY_NOT_PROGRAMMED);
}

TEST_P(Decision, TransitBetweenStrangersIsNotOurs) {
  Host far{0, 21, ip("198.19.201.1"), ip("fd00:19:201::1")};
  EXPECT_EQ(send(udp(outside, 1, far, 2), outside, far).reason, SP_NOT_POD);
}

TEST_P(Decision, ToTheNodeOnlyWhatItOffers) {
  const auto verdict = send_local(tcp(client, 4000, node, 9090, kSyn), client);
  EXPECT_TRUE(verdict.accept);
  EXPECT_EQ(send_local(tcp(client, 4000, node, 22, kSyn), client).reason, SP_DENY_NOT_OFFERED);
  EXPECT_EQ(send_local(udp(client, 4000, node, 9090), client).reason, SP_DENY_NOT_OFFERED);
  EXPECT_TRUE(
      send_local(echo_packet(client.address(six()), node.address(six()), true, 5), client).accept);
  // Answers to the node pass, as the kernel tracks them.
  EXPECT_EQ(send_local(tcp(server, 8080, node, 4001, kSyn | kAck), server, true).reason, SP_NODE);
  EXPECT_FALSE(send_local(tcp(server, 8080, node, 4001, kSyn | kAck), server, false).accept);
  // From outside: the same offer.
  EXPECT_TRUE(send_local(tcp(outside, 4000, node, 9090, kSyn), outside).accept);
  EXPECT_EQ(send_local(tcp(outside, 4000, node, 22, kSyn), outside).reason, SP_DENY_NOT_OFFERED);
  EXPECT_TRUE(send_local(echo_packet(outside.address(six()), node.address(six()), true, 5), outside)
                  .accept);
  // The node to itself.
  EXPECT_TRUE(twin.decide(Bytes{1, 2, 3}, {1, 0, family(), true, false}).accept);
}

TEST_P(Decision, ToTheNodeTheEgressPolicyDecides) {
  CompiledBuilder closed;
  const auto egress = closed.deny_set(Direction::kEgress, 200);
  closed.endpoint(1, {client.v4, client.v6}, egress, 0);
  publish(closed);
  const auto verdict = send_local(tcp(client, 4000, node, 9090, kSyn), client);
  EXPECT_FALSE(verdict.accept);
  EXPECT_EQ(verdict.egress_rule, 200u);
  CompiledBuilder open;
  const auto some = open.deny_set(Direction::kEgress, 201);
  open.classed_cidr(six() ? "fd00:19:128::1/128" : "198.19.128.1/32", 77);
  open.allow(some, 77, 6, 9090, 9090, 202);
  open.endpoint(1, {client.v4, client.v6}, some, 0);
  publish(open);
  EXPECT_TRUE(send_local(tcp(client, 4000, node, 9090, kSyn), client).accept);
  EXPECT_TRUE(send_local(tcp(client, 4000, node, 9090, kAck), client).accept);
}

TEST_P(Decision, CidrClassesDecideAboutTheOutside) {
  CompiledBuilder builder;
  const auto egress = builder.deny_set(Direction::kEgress, 300);
  // Everything of the other family may not leak into this one.
  builder.classed_cidr(six() ? "0.0.0.0/0" : "::/0", 50);
  builder.allow_all(egress, 50, 301);
  builder.classed_cidr(six() ? "fd00:19:200::/48" : "198.19.200.0/24", 51);
  builder.allow(egress, 51, 17, 53, 53, 302);
  builder.classed_cidr(six() ? "fd00:19:200::1/128" : "198.19.200.1/32", 52);
  builder.endpoint(1, {client.v4, client.v6}, egress, 0);
  publish(builder);
  Host neighbour{0, 20, ip("198.19.200.2"), ip("fd00:19:200::2")};
  Host far{0, 20, ip("198.19.222.2"), ip("fd00:19:222::2")};
  EXPECT_TRUE(send(udp(client, 4000, neighbour, 53), client, neighbour).accept);
  EXPECT_FALSE(send(udp(client, 4000, neighbour, 54), client, neighbour).accept);
  EXPECT_FALSE(send(udp(client, 4000, outside, 53), client, outside).accept);
  EXPECT_FALSE(send(udp(client, 4000, far, 53), client, far).accept);
}

TEST_P(Decision, RelatedErrorsPassAndOthersDoNot) {
  const Ip &c = client.address(six()), &s = server.address(six()), &o = outside.address(six());
  const uint8_t type = six() ? 2 : 3, code = six() ? 0 : 4;
  const Bytes data = udp(client, 4000, server, 8080);
  EXPECT_EQ(send(icmp_error(s, c, type, code, data, 1280), server, client).reason,
            SP_DENY_UNRELATED);
  ASSERT_TRUE(send(data, client, server).accept);
  EXPECT_EQ(send(icmp_error(s, c, type, code, data, 1280), server, client).reason, SP_RELATED);
  EXPECT_EQ(send(icmp_error(o, c, type, code, data, 1280), outside, client).reason, SP_RELATED);
  // About the answers, back to the server.
  const Bytes answer = udp(server, 8080, client, 4000);
  EXPECT_EQ(send(icmp_error(c, s, type, code, answer, 1280), client, server).reason, SP_RELATED);
  // To somebody who did not send the packet; from a pod that was not its target; cut short.
  EXPECT_EQ(send(icmp_error(s, stranger.address(six()), type, code, data), server, stranger).reason,
            SP_DENY_UNRELATED);
  EXPECT_EQ(send(icmp_error(stranger.address(six()), c, type, code, data), stranger, client).reason,
            SP_DENY_UNRELATED);
  Bytes cut = icmp_error(s, c, type, code, data);
  cut.resize(cut.size() - (six() ? data.size() - 40 : 8));
  EXPECT_EQ(send(cut, server, client).reason, SP_DENY_UNRELATED);
  // An error about an error never passes.
  const Bytes nested = icmp_error(s, c, type, code, icmp_error(c, s, type, code, answer));
  EXPECT_EQ(send(nested, server, client).reason, SP_DENY_UNRELATED);
}

TEST_P(Decision, RedirectsNeverPass) {
  const Ip &c = client.address(six()), &s = server.address(six());
  EXPECT_FALSE(send(icmp_packet(stranger.address(six()), s, six() ? 137 : 5, 1,
                                Bytes(4) + udp_packet(c, 1, s, 2)),
                    stranger, server)
                   .accept);
}

TEST_P(Decision, StaleConnectionsAreJudgedAgain) {
  establish(4000);
  twin.take_events();
  publish(policy);  // the same rules: goes on, no event
  EXPECT_TRUE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept);
  EXPECT_TRUE(twin.take_events().empty());

  CompiledBuilder closed;
  const auto set = closed.deny_set(Direction::kIngress, 400);
  closed.endpoint(1, {client.v4, client.v6}, 0, 0);
  closed.endpoint(2, {server.v4, server.v6}, 0, set);
  publish(closed);
  // Revoked in both directions, told once; the entry stays, so that the stream can resume.
  EXPECT_FALSE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept);
  EXPECT_FALSE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
  auto events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kRevoked);
  EXPECT_FALSE(events[0].allow);
  EXPECT_EQ(events[0].ingress_rule, 400u);
  EXPECT_EQ(events[0].source, client.address(six()));

  publish(policy);
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
  events = twin.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kNew);
  EXPECT_TRUE(events[0].allow);
}

TEST_P(Decision, AnEntryDiesWithTheEndpointBehindItsAddress) {
  establish(4000);
  CompiledBuilder reused;  // another pod has the server's address now, and isolates nobody
  reused.endpoint(1, {client.v4, client.v6}, 0, 0);
  reused.endpoint(3, {server.v4, server.v6}, 0, 0);
  auto tables = build_tables(reused.get(), {{1, 11}, {3, 12}}, config);
  ASSERT_TRUE(tables);
  twin.publish(std::move(*tables));
  EXPECT_EQ(send(tcp(client, 4000, server, 8080, kAck), client, server).reason,
            SP_DENY_NO_CONNECTION);
  EXPECT_EQ(twin.connection_count(), 0u);
  EXPECT_EQ(twin.entries_of(1), 0u);
}

TEST_P(Decision, ForgettingAnEndpointEndsItsConnections) {
  establish(4000);
  ASSERT_TRUE(send(udp(client, 4000, stranger, 1), client, stranger).accept);
  twin.forget_endpoint(2);
  EXPECT_EQ(twin.connection_count(), 1u);
  EXPECT_EQ(twin.entries_of(1), 1u);
}

TEST_P(Decision, ASynAfterTheEndIsANewConnection) {
  establish(4000);
  EXPECT_TRUE(send(tcp(server, 8080, client, 4000, kRst), server, client).accept);
  twin.take_events();
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kSyn), client, server).accept);
  const auto events = twin.take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, FlowEvent::Kind::kClosed);
  EXPECT_EQ(events[1].kind, FlowEvent::Kind::kNew);
  EXPECT_EQ(twin.connection_count(), 1u);
}

TEST_P(Decision, ASynOfTheOtherSideNeedsItsOwnPermission) {
  CompiledBuilder builder;  // the server may not begin anything
  const auto in = builder.deny_set(Direction::kIngress, 1);
  builder.allow_all(in, 1, 2);
  const auto out = builder.deny_set(Direction::kEgress, 3);
  builder.endpoint(1, {client.v4, client.v6}, 0, 0);
  builder.endpoint(2, {server.v4, server.v6}, out, in);
  publish(builder);
  establish(4000);
  EXPECT_EQ(send(tcp(server, 8080, client, 4000, kSyn), server, client).reason, SP_DENY_POLICY);
  EXPECT_TRUE(send(tcp(client, 4000, server, 8080, kAck), client, server).accept);
}

TEST_P(Decision, ExpiryFollowsTheState) {
  struct Case {
    const char* what;
    std::function<void()> make;
    uint64_t lives, gone;  // seconds
  };
  const std::vector<Case> cases = {
      {"half-open TCP", [&] { (void)send(tcp(client, 4000, server, 8080, kSyn), client, server); },
       28, 45},
      {"established TCP", [&] { establish(4000); }, 86000, 86500},
      {"finished TCP",
       [&] {
         establish(4000);
         (void)send(tcp(client, 4000, server, 8080, kFin | kAck), client, server);
         (void)send(tcp(server, 8080, client, 4000, kFin | kAck), server, client);
       },
       8, 15},
      {"reset TCP",
       [&] {
         establish(4000);
         (void)send(tcp(server, 8080, client, 4000, kRst), server, client);
       },
       1, 5},
      {"half-closed TCP",
       [&] {
         establish(4000);
         (void)send(tcp(client, 4000, server, 8080, kFin | kAck), client, server);
       },
       590, 625},
      {"one-way UDP", [&] { (void)send(udp(client, 4000, server, 8080), client, server); }, 28, 45},
      {"answered UDP",
       [&] {
         (void)send(udp(client, 4000, server, 8080), client, server);
         (void)send(udp(server, 8080, client, 4000), server, client);
       },
       178, 195},
      {"ping",
       [&] {
         (void)send(echo_packet(client.address(six()), server.address(six()), true, 9), client,
                    server);
       },
       28, 45},
  };
  for (const auto& one : cases) {
    one.make();
    ASSERT_EQ(twin.connection_count(), 1u) << one.what;
    twin.advance(one.lives * kSecond);
    EXPECT_EQ(twin.connection_count(), 1u) << one.what;
    twin.advance((one.gone - one.lives) * kSecond);
    EXPECT_EQ(twin.connection_count(), 0u) << one.what;
    EXPECT_EQ(twin.entries_of(1), 0u) << one.what;
    const auto events = twin.take_events();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back().kind, FlowEvent::Kind::kClosed) << one.what;
  }
}

TEST_P(Decision, TrafficKeepsAConnectionAndAForgedResetDoesNotEndIt) {
  establish(4000);
  (void)send(tcp(server, 8080, client, 4000, kRst), server, client);
  for (int i = 0; i < 200; ++i) {
    twin.advance(kSecond);
    ASSERT_TRUE(send(tcp(server, 8080, client, 4000, kAck), server, client).accept) << i;
  }
  twin.advance(1000 * kSecond);
  EXPECT_EQ(twin.connection_count(), 1u);
}

TEST_P(Decision, CountsGoToTheRulesInTime) {
  establish(4000);
  twin.advance(13 * kSecond);
  EXPECT_EQ(twin.rules().at(101).verdicts, 1u);
  EXPECT_EQ(twin.rules().at(101).packets, 3u);
  const size_t size = tcp(client, 1, server, 1, 0).size();
  EXPECT_EQ(twin.rules().at(101).bytes, 3 * size);
}

TEST_P(Decision, OneEndpointCannotStarveTheOthers) {
  Twin small(100, 80);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  small.publish(std::move(*tables));
  const auto knock = [&](const Host& from, const Host& to, uint16_t port) {
    return small.decide(udp(from, port, to, 8080),
                        {from.ifindex, to.ifindex, family(), false, false});
  };
  int taken = 0;
  for (uint16_t port = 1; port <= 500; ++port) taken += knock(stranger, client, port).accept;
  EXPECT_EQ(taken, 50);  // no more than are free
  EXPECT_EQ(knock(stranger, client, 999).reason, SP_DENY_QUOTA);
  EXPECT_TRUE(knock(client, server, 1).accept);
  EXPECT_EQ(small.overflows(), 451u);
  EXPECT_EQ(small.entries_of(3), 50u);
  // What is there goes on, and the half-open goes sooner under pressure.
  EXPECT_TRUE(knock(stranger, client, 1).accept);

  Twin full(10, 10);
  tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  full.publish(std::move(*tables));
  std::vector<uint8_t> reasons;
  for (uint16_t port = 1; port <= 40; ++port) {
    const Host& from = port % 2 ? client : stranger;
    const Host& to = port % 2 ? server : client;
    const auto verdict =
        full.decide(udp(from, port, to, 8080), {from.ifindex, to.ifindex, family(), false, false});
    if (!verdict.accept) reasons.push_back(verdict.reason);
  }
  EXPECT_LE(full.connection_count(), 10u);
  EXPECT_FALSE(reasons.empty());
}

TEST_P(Decision, AFullTableIsNamed) {
  Twin tiny(0, 10);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  tiny.publish(std::move(*tables));
  const auto verdict = tiny.decide(udp(client, 1, server, 8080),
                                   {client.ifindex, server.ifindex, family(), false, false});
  EXPECT_EQ(verdict.reason, SP_DENY_TABLE_FULL);
}

TEST_P(Decision, UnderPressureIdleEntriesGoSooner) {
  Twin small(100, 100);
  auto tables = build_tables(policy.get(), {{1, 11}, {2, 12}, {3, 13}}, config);
  ASSERT_TRUE(tables);
  small.publish(std::move(*tables));
  const auto knock = [&](const Host& from, const Host& to, uint16_t port) {
    return small.decide(tcp(from, port, to, 8080, kSyn),
                        {from.ifindex, to.ifindex, family(), false, false});
  };
  for (uint16_t port = 1; port <= 100; ++port) {
    (void)knock(stranger, client, port);
    (void)knock(client, server, port);
    (void)knock(server, client, static_cast<uint16_t>(port + 1000));
  }
  ASSERT_EQ(small.connection_count(), 75u);
  small.advance(12 * kSecond);  // less than the 30 s that half-open connections have else
  EXPECT_LE(small.connection_count(), 62u);
}

}  // namespace

}  // namespace sallyport::gate
