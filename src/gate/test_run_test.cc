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

}  // namespace

}  // namespace sallyport::gate
