// The tables say what the compiled policy says: on random compiled forms the twin's verdict about a
// new connection is Compiled::decide, with the same rules.
#include "gate/twin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"

namespace sallyport::gate {

namespace {

using policy::Action;
using policy::Direction;

struct Random {
  explicit Random(uint64_t seed) : engine(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine() % n); }
  bool one_in(uint32_t n) { return below(n) == 0; }
  std::mt19937_64 engine;
};

std::vector<policy::PortPiece> random_pieces(Random& r) {
  std::vector<policy::PortPiece> pieces;
  uint32_t port = 0;
  while (port < 65536 && pieces.size() < 6) {
    pieces.push_back({static_cast<uint16_t>(port), r.one_in(2) ? Action::kAllow : Action::kDeny,
                      1 + r.below(1000)});
    port += 1 + (r.one_in(3) ? r.below(3) : r.below(30000));
  }
  return pieces;
}

struct World {
  policy::Compiled compiled;
  std::vector<EndpointPort> ports;
  GateConfig config;
};

World random_world(Random& r) {
  World w;
  auto& c = w.compiled;
  const uint32_t programs = 1 + r.below(6), sets = r.below(5), classes = 1 + r.below(6);
  for (uint32_t i = 0; i < programs; ++i) {
    policy::PortProgram p{random_pieces(r), random_pieces(r), random_pieces(r), {}};
    p.other = random_pieces(r).front();
    c.programs.push_back(p);
  }
  std::vector<policy::SetId> egress = {0}, ingress = {0};
  for (uint32_t i = 1; i <= sets; ++i) {
    const bool out = r.one_in(2);
    c.sets.push_back({i, out ? Direction::kEgress : Direction::kIngress, r.below(programs)});
    (out ? egress : ingress).push_back(i);
    for (uint32_t k = 0; k < classes; ++k)
      if (r.one_in(2)) c.programs_of[policy::Compiled::key(i, k)] = r.below(programs);
  }
  const uint32_t pods = 1 + r.below(5);
  for (const bool v6 : {false, true}) {
    for (uint32_t i = 1; i <= pods; ++i) {
      const Ip address = offset_ip(ip(v6 ? "fd00:18::" : "198.18.0.0"), i);
      c.endpoints.push_back({address, i, r.below(classes),
                             egress[r.below(static_cast<uint32_t>(egress.size()))],
                             ingress[r.below(static_cast<uint32_t>(ingress.size()))]});
    }
  }
  std::sort(c.endpoints.begin(), c.endpoints.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  for (uint32_t i = 1; i <= pods; ++i) w.ports.push_back({i, static_cast<int>(10 + i)});
  for (uint32_t i = r.below(6); i > 0; --i) {
    const bool v6 = r.one_in(2);
    const int bits = static_cast<int>(r.below(v6 ? 129 : 33));
    Ip base = offset_ip(ip(v6 ? "fd00:19:128::" : "198.19.128.0"), r.below(8));
    const Cidr made = cidr(base.to_string() + "/" + std::to_string(bits));
    bool known = false;
    for (const auto& entry : c.cidrs) known = known || entry.cidr == made;
    if (!known) c.cidrs.push_back({made, r.below(classes)});
  }
  w.config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
  return w;
}

TEST(Twin, AgreesWithTheCompiledFormOnRandomTables) {
  const char* given = std::getenv("SALLYPORT_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random r(seed);
  int allowed = 0, denied = 0;
  for (int round = 0; round < 300; ++round) {
    const World w = random_world(r);
    auto tables = build_tables(w.compiled, w.ports, w.config);
    ASSERT_TRUE(tables) << tables.error().message;
    Twin twin(100000, 100000);
    twin.publish(std::move(*tables));
    for (int probe = 0; probe < 60; ++probe) {
      const bool v6 = r.one_in(2);
      const auto pick = [&](uint32_t* ifindex) {
        const uint32_t pods = static_cast<uint32_t>(w.ports.size());
        const uint32_t i = r.below(pods + 2);
        *ifindex = i < pods ? 11 + i : 99;
        return i < pods ? offset_ip(ip(v6 ? "fd00:18::" : "198.18.0.0"), i + 1)
                        : offset_ip(ip(v6 ? "fd00:19:128::" : "198.19.128.0"), r.below(8));
      };
      uint32_t in = 0, out = 0;
      const Ip from = pick(&in), to = pick(&out);
      const uint8_t protocol = std::array<uint8_t, 4>{6, 17, 132, 1}[r.below(4)];
      // Near the borders of pieces, where an error would be.
      uint16_t port = static_cast<uint16_t>(r.below(65536));
      const auto& pieces = w.compiled.programs[0].tcp;
      if (r.one_in(2))
        port = static_cast<uint16_t>(
            pieces[r.below(static_cast<uint32_t>(pieces.size()))].first_port - 1 + r.below(3));
      const auto source_port = static_cast<uint16_t>(probe + 1);
      const uint8_t icmp = v6 ? 58 : 1;
      Bytes packet;
      if (protocol == 6)
        packet = tcp_packet(from, source_port, to, port, kSyn);
      else if (protocol == 17)
        packet = udp_packet(from, source_port, to, port);
      else if (protocol == 132)
        packet = sctp_packet(from, source_port, to, port);
      else
        packet = echo_packet(from, to, true, source_port);
      const auto verdict =
          twin.decide(packet, {in, out, v6 ? Family::kV6 : Family::kV4, false, false});
      if (verdict.reason == SP_NOT_POD) continue;
      const auto expected = w.compiled.decide(from, to, protocol == 1 ? icmp : protocol,
                                              protocol == 1 ? uint16_t{0} : port);
      ASSERT_EQ(verdict.accept, expected.allow)
          << "round " << round << ": " << from.to_string() << " -> " << to.to_string() << ":"
          << port << " protocol " << int{protocol} << ", reason " << int{verdict.reason};
      if (!verdict.accept && verdict.reason == SP_DENY_POLICY) {
        EXPECT_EQ(verdict.egress_rule, expected.egress_rule);
        EXPECT_EQ(verdict.ingress_rule, expected.ingress_rule);
      }
      for (const auto& event : twin.take_events()) {
        if (event.kind != FlowEvent::Kind::kNew) continue;
        EXPECT_EQ(event.egress_rule, expected.egress_rule);
        EXPECT_EQ(event.ingress_rule, expected.ingress_rule);
      }
      (verdict.accept ? allowed : denied) += 1;
    }
  }
  EXPECT_GT(allowed, 1000);
  EXPECT_GT(denied, 1000);
}

}  // namespace

}  // namespace sallyport::gate
