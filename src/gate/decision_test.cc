// The decision about single packets, through the twin: every reason, both families.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "gate/decision_fixture.h"

namespace sallyport::gate {

namespace {

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

// Who speaks from there is exempt inside a pod.
TEST_P(Decision, NobodyElseSpeaksFromTheSourceOfProbes) {
  const Ip& probe = six() ? config.node_addresses[3] : config.node_addresses[2];
  for (const Host* liar : {&client, &stranger, &server, &outside}) {
    EXPECT_EQ(
        send(tcp_packet(probe, 4000, client.address(six()), 8080, kSyn), *liar, client).reason,
        SP_DENY_SPOOFED)
        << liar->id;
    EXPECT_EQ(send_local(tcp_packet(probe, 4000, node.address(six()), 9090, kSyn), *liar).reason,
              SP_DENY_SPOOFED)
        << liar->id;
  }
  // Answers of pods to it are the node's own business; anything else to there is not offered.
  EXPECT_TRUE(
      send_local(tcp_packet(server.address(six()), 8080, probe, 4000, kSyn | kAck), server, true)
          .accept);
  EXPECT_EQ(send_local(tcp_packet(server.address(six()), 8080, probe, 22, kSyn), server).reason,
            SP_DENY_NOT_OFFERED);
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

}  // namespace

}  // namespace sallyport::gate
