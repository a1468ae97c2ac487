// Nanoseconds per packet of the gate's program, by BPF_PROG_TEST_RUN: the kernel's own clock around
// the program alone. The verdict of every timed packet is checked; a wrong one ends the run with 1.
//
// A connection can only begin once, and a generation is stale only once for each connection, so
// those two are timed packet by packet: they include a cold cache, as in life.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gate/compiled_builder.h"
#include "gate/test_packets.h"
#include "gate/test_run.h"

namespace {

using namespace sallyport;
using namespace sallyport::gate;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "gate1_testrun: %s\n", result.error().message.c_str());
    std::exit(2);
  }
  return std::move(*result);
}
void must(const Status& status) {
  if (!status) {
    std::fprintf(stderr, "gate1_testrun: %s\n", status.error().message.c_str());
    std::exit(2);
  }
}

uint32_t timed(TestRun& run, const Bytes& packet, uint32_t repeat, bool expected,
               const char* what) {
  const auto outcome = must(run.run(packet, repeat));
  if (outcome.accept != expected) {
    std::fprintf(stderr, "gate1_testrun: %s: the packet was %s\n", what,
                 outcome.accept ? "accepted" : "dropped");
    std::exit(1);
  }
  return outcome.nanoseconds;
}

void print(const char* what, const char* family, std::vector<uint32_t> samples) {
  std::sort(samples.begin(), samples.end());
  std::printf("%-28s %-5s median %5u ns  p99 %6u ns  (%zu samples)\n", what, family,
              samples[samples.size() / 2], samples[samples.size() * 99 / 100], samples.size());
}

// `policies` rule sets of one CIDR and one port each, so that the tables have a real size; the
// server is isolated by one of them and lets the client in.
CompiledBuilder make_policy(uint32_t policies) {
  CompiledBuilder b;
  const auto ingress = b.deny_set(policy::Direction::kIngress, 1);
  b.allow(ingress, 1, 6, 8080, 8080, 2);
  b.endpoint(1, {ip("198.18.0.1"), ip("fd00:18::1")}, 0, 0);
  b.endpoint(2, {ip("198.18.0.2"), ip("fd00:18::2")}, 0, ingress);
  for (uint32_t i = 1; i < policies; ++i) {
    const auto set = b.deny_set(policy::Direction::kIngress, 1 + 2 * i);
    b.allow(set, 1000 + i, 6, static_cast<uint16_t>(1024 + i), static_cast<uint16_t>(1024 + i),
            2 + 2 * i);
    b.classed_cidr(
        "198.19." + std::to_string(128 + i / 250) + "." + std::to_string(i % 250) + "/32",
        1000 + i);
    b.endpoint(2 + i, {offset_ip(ip("198.18.4.0"), i), offset_ip(ip("fd00:18::4:0"), i)}, 0, set);
  }
  return b;
}

void measure(uint32_t policies) {
  std::printf("%u %s\n", policies, policies == 1 ? "policy" : "policies");
  auto run = must(TestRun::open(131072, 131072));
  GateConfig config;
  config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
  std::vector<EndpointPort> ports;
  for (uint32_t i = 1; i <= policies + 1; ++i) ports.push_back({i, static_cast<int>(10 + i)});
  must(run.publish(must(build_tables(make_policy(policies).get(), ports, config))));

  for (const bool v6 : {false, true}) {
    const char* family = v6 ? "IPv6" : "IPv4";
    const Ip a = ip(v6 ? "fd00:18::1" : "198.18.0.1"), b = ip(v6 ? "fd00:18::2" : "198.18.0.2");
    must(run.set_arrival({11, 12, v6 ? Family::kV6 : Family::kV4, false, false}));
    const Arrival there{11, 12, v6 ? Family::kV6 : Family::kV4, false, false};
    const Arrival back{12, 11, v6 ? Family::kV6 : Family::kV4, false, false};
    const auto from = [&](uint16_t port, uint8_t flags, uint32_t sequence, const Bytes& data) {
      return tcp_segment(a, port, b, 8080, {flags, sequence, 1001, data, {}, 0});
    };
    const auto to = [&](uint16_t port, uint8_t flags, uint32_t sequence, const Bytes& data) {
      return tcp_segment(b, 8080, a, port, {flags, sequence, 101, data, {}, 0});
    };
    const Bytes hello = {0x16, 3, 1, 0, 100, 1}, answer = {0x16, 3, 3, 0, 100, 2};
    const Bytes data(1000, 'd');
    constexpr uint16_t kConnections = 4000;
    std::vector<uint32_t> fresh, begun, stale, established, with_data, plain, denied, repeated;
    for (uint16_t port = 1; port <= kConnections; ++port)
      fresh.push_back(timed(run, from(port, kSyn, 100, {}), 1, true, "allow-new"));
    must(run.set_arrival(back));
    for (uint16_t port = 1; port <= kConnections; ++port)
      timed(run, to(port, kSyn | kAck, 1000, {}), 1, true, "SYN-ACK");
    must(run.set_arrival(there));
    // Ports below 2000 begin as TLS, the others do not.
    for (uint16_t port = 1; port <= kConnections; ++port) {
      timed(run, from(port, kAck, 101, {}), 1, true, "established");
      begun.push_back(
          timed(run, from(port, kAck, 101, port < 2000 ? hello : data), 1, true, "first payload"));
    }
    must(run.set_arrival(back));
    for (uint16_t port = 1; port <= kConnections; ++port)
      timed(run, to(port, kAck, 1001, answer), 1, true, "answer");
    must(run.set_arrival(there));
    must(run.bump());
    for (uint16_t port = 1; port <= kConnections; ++port)
      stale.push_back(timed(run, from(port, kAck, 107, {}), 1, true, "stale generation"));
    for (uint16_t port = 1; port <= 20; ++port) {
      const auto plain_port = static_cast<uint16_t>(port + 2000);
      established.push_back(timed(run, from(port, kAck, 107, {}), 200'000, true, "established"));
      with_data.push_back(timed(run, from(port, kAck, 107, data), 200'000, true, "TLS, data"));
      plain.push_back(
          timed(run, from(plain_port, kAck, 2000, data), 200'000, true, "no TLS, data"));
    }
    for (uint16_t port = 1; port <= kConnections; ++port)
      denied.push_back(timed(run, tcp_packet(a, port, b, 22, kSyn), 1, false, "deny"));
    for (uint16_t port = 1; port <= 20; ++port)
      repeated.push_back(
          timed(run, tcp_packet(a, port, b, 22, kSyn), 100'000, false, "deny, repeated"));
    print("allow-new", family, fresh);
    print("first payload", family, begun);
    print("established", family, established);
    print("established TLS, data", family, with_data);
    print("established else, data", family, plain);
    print("stale generation", family, stale);
    print("deny, first of its tuple", family, denied);
    print("deny, repeated", family, repeated);
  }
}

}  // namespace

int main() {
  measure(1);
  measure(1000);
  return 0;
}
