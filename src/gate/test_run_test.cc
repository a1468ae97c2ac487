// The kernel's program and the twin are one code: they say the same about the same packets.
#include "gate/test_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"

namespace sallyport::gate {

namespace {

using policy::Direction;

class TestRunTest : public ::testing::Test {
 protected:
  TestRunTest() {
    auto opened = TestRun::open(1024, 1024);
    if (!opened) throw std::runtime_error(opened.error().message);
    run = std::make_unique<TestRun>(std::move(*opened));
    const auto ingress = policy.deny_set(Direction::kIngress, 100);
    policy.allow(ingress, 1, 6, 8080, 8090, 101);
    policy.allow(ingress, 1, 17, 8080, 8080, 102);
    policy.endpoint(1, {ip("198.18.0.1"), ip("fd00:18::1")}, 0, 0);
    policy.endpoint(2, {ip("198.18.0.2"), ip("fd00:18::2")}, 0, ingress);
    config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
    tables = build_tables(policy.get(), {{1, 11}, {2, 12}}, config).value();
  }
  bool verdict(const Bytes& packet, const Arrival& arrival) {
    EXPECT_TRUE(run->set_arrival(arrival));
    const auto outcome = run->run(packet);
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome && outcome->accept;
  }

  std::unique_ptr<TestRun> run;
  CompiledBuilder policy;
  GateConfig config;
  Tables tables;
};

TEST_F(TestRunTest, NewEstablishedDeniedAndStale) {
  ASSERT_TRUE(run->publish(tables));
  for (const bool v6 : {false, true}) {
    const Ip a = ip(v6 ? "fd00:18::1" : "198.18.0.1"), b = ip(v6 ? "fd00:18::2" : "198.18.0.2");
    const Family family = v6 ? Family::kV6 : Family::kV4;
    const Arrival there{11, 12, family, false, false}, back{12, 11, family, false, false};
    EXPECT_FALSE(verdict(tcp_packet(a, 4000, b, 8085, kAck), there));
    EXPECT_TRUE(verdict(tcp_packet(a, 4000, b, 8085, kSyn), there));
    EXPECT_TRUE(verdict(tcp_packet(b, 8085, a, 4000, kSyn | kAck), back));
    EXPECT_TRUE(verdict(tcp_packet(a, 4000, b, 8085, kAck), there));
    EXPECT_FALSE(verdict(tcp_packet(a, 4000, b, 8091, kSyn), there));
    ASSERT_TRUE(run->bump());
    EXPECT_TRUE(verdict(tcp_packet(a, 4000, b, 8085, kAck), there));
    EXPECT_FALSE(verdict(tcp_packet(a, 4000, b, 8085, kAck), back));  // spoofed
  }
}

TEST_F(TestRunTest, TheTwinAgreesOnRandomAndBrokenPackets) {
  ASSERT_TRUE(run->publish(tables));
  Twin twin(1024, 1024);
  twin.publish(tables);
  std::mt19937_64 random(42);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    const bool v6 = below(2) == 0;
    const auto address = [&](uint32_t n) {
      return n < 3 ? offset_ip(ip(v6 ? "fd00:18::" : "198.18.0.0"), n)
                   : ip(v6 ? "fd00:19:200::1" : "198.19.200.1");
    };
    const uint32_t from = 1 + below(3), to = 1 + below(3);
    const Ip a = address(from), b = address(to);
    const auto sport = static_cast<uint16_t>(4000 + below(4));
    const auto dport = static_cast<uint16_t>(8078 + below(14));
    Bytes packet;
    switch (below(5)) {
      case 0:
        packet = udp_packet(a, sport, b, dport);
        break;
      case 1:
        packet = echo_packet(a, b, below(2) == 0, sport);
        break;
      case 2:
        packet = icmp_error(a, b, v6 ? 1 : 3, 1, tcp_packet(b, dport, a, sport, kAck));
        break;
      default:
        packet = tcp_packet(a, sport, b, dport, static_cast<uint8_t>(below(32)));
    }
    if (below(4) == 0) packet[below(static_cast<uint32_t>(packet.size()))] ^= 1 << below(8);
    const size_t least = v6 ? 40 : 20;  // a test run takes no less
    if (below(8) == 0) packet.resize(std::max<size_t>(least, below(64)));
    const Arrival arrival{10 + from, 10 + to, v6 ? Family::kV6 : Family::kV4, below(8) == 0,
                          below(8) == 0};
    const auto expected = twin.decide(packet, arrival);
    ASSERT_EQ(verdict(packet, arrival), expected.accept)
        << "packet " << i << ": " << a.to_string() << ":" << sport << " -> " << b.to_string() << ":"
        << dport << ", protocol " << int{packet[v6 ? 6 : 9]} << ", " << packet.size()
        << " bytes, local " << arrival.local << ", reason " << int{expected.reason};
    accepted += expected.accept;
    if (below(50) == 0) {
      ASSERT_TRUE(run->bump());
      twin.publish(tables);
    }
  }
  EXPECT_GT(accepted, 500);
  EXPECT_LT(accepted, 3500);
}

TEST_F(TestRunTest, TheTwinAgreesOnHowConnectionsBegin) {
  TlsNames names;
  const auto demanding = build_tables(policy.get(), {{1, 11}, {2, 12}}, config,
                                      {{2, 0, true, "a/b"}, {2, 8086, false, ""}}, names)
                             .value();
  Twin twin(1024, 1024);
  std::mt19937_64 random(43);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  int accepted = 0, packets = 0, states[4] = {};
  for (int round = 0; round < 40; ++round) {
    const Tables& now = round % 2 == 0 ? demanding : tables;
    ASSERT_TRUE(run->publish(now));
    twin.publish(now);
    for (int i = 0; i < 150; ++i) {
      const bool v6 = below(2) == 0, back = below(3) == 0;
      const Ip a = ip(v6 ? "fd00:18::1" : "198.18.0.1"), b = ip(v6 ? "fd00:18::2" : "198.18.0.2");
      const auto sport = static_cast<uint16_t>(4000 + below(3));
      const auto dport = static_cast<uint16_t>(8085 + below(2));
      static const Bytes contents[] = {
          {},
          {},
          {0x16, 3, 1, 0, 9, 1, 1, 1, 1},
          {0x16, 3, 3, 0, 9, 2, 1, 1, 1},
          {0x15, 3, 3, 0, 2, 2, 40},
          {'G', 'E', 'T', ' ', '/', ' '},
          {0x16, 3, 1},
      };
      Segment s;
      static constexpr uint8_t kFlags[] = {kSyn, kAck, kAck, kAck, kFin | kAck, kRst, kAck | kUrg};
      s.flags = kFlags[below(below(4) == 0 ? 7 : 4)];
      if (back && s.flags == kSyn) s.flags = below(8) == 0 ? kSyn : kSyn | kAck;
      static constexpr uint32_t kSequences[] = {101, 101, 101, 100, 102, 107, 200};
      const uint32_t base = back ? 900 : 0;
      s.sequence = base + (s.flags & kSyn ? 100 : kSequences[below(7)]);
      s.acknowledgement = back ? (below(6) == 0 ? 110 : 101) : 1001;
      if (below(30) == 0) s.sequence += 5000;
      s.payload = contents[below(7)];
      if (below(4) == 0) s.tcp_options = {1, 1, 1, 1};
      const Bytes packet =
          back ? tcp_segment(b, dport, a, sport, s) : tcp_segment(a, sport, b, dport, s);
      const Arrival arrival{back ? 12u : 11u, back ? 11u : 12u, v6 ? Family::kV6 : Family::kV4,
                            false, false};
      const auto expected = twin.decide(packet, arrival);
      ASSERT_EQ(verdict(packet, arrival), expected.accept)
          << "round " << round << ", packet " << i << ", back " << back << ", flags "
          << int{s.flags} << ", sequence " << s.sequence << ", reason " << int{expected.reason};
      accepted += expected.accept;
      ++packets;
    }
    for (const auto& row : twin.connections()) ++states[static_cast<int>(row.flow.tls)];
    if (round % 4 == 3) {  // begin anew
      for (const bool v6 : {false, true})
        for (uint16_t sport = 4000; sport < 4003; ++sport)
          for (uint16_t dport = 8085; dport < 8087; ++dport) {
            const Bytes reset = tcp_packet(ip(v6 ? "fd00:18::1" : "198.18.0.1"), sport,
                                           ip(v6 ? "fd00:18::2" : "198.18.0.2"), dport, kRst);
            const Arrival arrival{11, 12, v6 ? Family::kV6 : Family::kV4, false, false};
            ASSERT_EQ(verdict(reset, arrival), twin.decide(reset, arrival).accept);
          }
    }
  }
  EXPECT_GT(accepted, packets / 20);
  EXPECT_LT(accepted, packets * 19 / 20);
  for (const int count : states) EXPECT_GT(count, 0);
}

}  // namespace

}  // namespace sallyport::gate
