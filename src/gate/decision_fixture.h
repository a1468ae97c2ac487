// For the tests of the packet decision: three pods, an outside, a node and a Service, behind the
// twin.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"
#include "gate/twin.h"

namespace sallyport::gate {

using policy::Direction;
inline constexpr uint64_t kSecond = 1'000'000'000;

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
    config.node_addresses = {ip("198.19.128.1"), ip("fd00:19:128::1"), ip("169.254.7.1"),
                             ip("fe80::5a11:7")};
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

}  // namespace sallyport::gate
