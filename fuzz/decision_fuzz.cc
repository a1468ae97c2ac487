// links: gate
// Packets through the decision of gate 1, by its user-space twin. The input is a list of steps:
//   byte 0: bits 0-1 where it comes in (pods 1 to 3, outside), bits 2-3 where it goes out, bit 4
//           IPv6, bit 5 LOCAL_IN, bit 6 an answer to the node, bit 7 a step instead of a packet
//   byte 1: the packet's length, then its bytes; for a step the seconds that pass (0: a new
//           generation instead)
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "gate/compiled_builder.h"
#include "gate/twin.h"

namespace {

using namespace sallyport;
using namespace sallyport::gate;

constexpr uint64_t kMost = 64, kPerEndpoint = 24;
constexpr uint32_t kOutside = 20;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "decision_fuzz: %s\n", what);
  std::abort();
}

Tables make_tables() {
  CompiledBuilder b;
  const auto ingress = b.deny_set(policy::Direction::kIngress, 100);
  b.allow(ingress, 1, 6, 8080, 8090, 101);
  b.allow(ingress, 1, 17, 53, 53, 102);
  const auto egress = b.deny_set(policy::Direction::kEgress, 200);
  b.classed_cidr("198.19.200.0/24", 9);
  b.allow_all(egress, 9, 201);
  b.endpoint(1, {ip("198.18.0.1"), ip("fd00:18::1")}, 0, 0);
  b.endpoint(2, {ip("198.18.0.2"), ip("fd00:18::2")}, 0, ingress);
  b.endpoint(3, {ip("198.18.0.3"), ip("fd00:18::3")}, egress, 0);
  GateConfig config;
  config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
  config.node_ranges = {cidr("198.19.0.0/17")};
  config.node_addresses = {ip("198.19.128.1"), ip("fd00:19:128::1")};
  config.node_ports = {{6, 9090}};
  TlsNames names;
  const std::vector<TlsDemand> demands = {{2, 8081, true, "a/b"}, {1, 0, true, "a/c"}};
  return build_tables(b.get(), {{1, 11}, {2, 12}, {3, 13}}, config, demands, names).value();
}

// The addresses as the header has them, read without the code under test.
bool addresses(std::span<const uint8_t> packet, bool v6, Ip* from, Ip* to) {
  if (packet.size() < (v6 ? 40u : 20u)) return false;
  if (v6) {
    std::copy_n(packet.begin() + 8, 16, from->bytes.begin());
    std::copy_n(packet.begin() + 24, 16, to->bytes.begin());
    return true;
  }
  const auto word = [&](size_t at) {
    return uint32_t{packet[at]} << 24 | uint32_t{packet[at + 1]} << 16 |
           uint32_t{packet[at + 2]} << 8 | packet[at + 3];
  };
  *from = Ip::v4(word(12));
  *to = Ip::v4(word(16));
  return true;
}

bool is_pod(const Ip& address, uint32_t id, bool v6) {
  return address == offset_ip(ip(v6 ? "fd00:18::" : "198.18.0.0"), id);
}

void check_accepted(std::span<const uint8_t> packet, const Arrival& at,
                    const Twin::Verdict& verdict) {
  if (at.local && at.in == 1) return;
  const bool v6 = at.family == Family::kV6;
  Ip from, to;
  check(addresses(packet, v6, &from, &to), "a packet without a whole header was accepted");
  const uint32_t in_pod = at.in >= 11 && at.in <= 13 ? at.in - 10 : 0;
  if (verdict.reason == SP_NEIGHBOUR) {
    check(v6 && at.local, "neighbour discovery was forwarded");
    return;
  }
  if (in_pod != 0)
    check(is_pod(from, in_pod, v6), "a pod spoke with an address that is not its own");
  else
    for (uint32_t id = 1; id <= 3; ++id)
      check(!is_pod(from, id, v6), "a pod's address came from outside");
  if (at.local) return;
  const Cidr range = cidr(v6 ? "fd00:18::/64" : "198.18.0.0/16");
  if (!range.contains(to)) return;
  const uint32_t out_pod = at.out >= 11 && at.out <= 13 ? at.out - 10 : 0;
  check(out_pod != 0 && is_pod(to, out_pod, v6), "a packet went to a pod address at another place");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tables tables = make_tables();
  Twin twin(kMost, kPerEndpoint);
  twin.publish(tables);
  constexpr uint32_t kPlaces[4] = {11, 12, 13, kOutside};
  while (size >= 2) {
    const uint8_t head = data[0], length = data[1];
    data += 2;
    size -= 2;
    if (head & 0x80) {
      if (length == 0)
        twin.publish(tables);
      else
        twin.advance(uint64_t{length} * 1'000'000'000);
      continue;
    }
    const size_t take = std::min<size_t>(length, size);
    Arrival at;
    at.in = kPlaces[head & 3];
    at.out = kPlaces[head >> 2 & 3];
    at.family = head & 0x10 ? Family::kV6 : Family::kV4;
    at.local = (head & 0x20) != 0;
    at.reply = (head & 0x40) != 0;
    if (at.local) at.out = 0;
    // A copy of its own: a read past the end is seen.
    const std::vector<uint8_t> packet(data, data + take);
    const auto verdict = twin.decide(packet, at);
    data += take;
    size -= take;
    check(verdict.reason != 0 && verdict.reason < SP_REASONS, "a verdict without a reason");
    check(verdict.accept == (verdict.reason < SP_DENY_POLICY), "verdict and reason disagree");
    if (verdict.accept) check_accepted(packet, at, verdict);
    check(twin.connection_count() <= kMost, "more connections than there is room");
    uint64_t sum = 0;
    for (uint32_t id = 1; id <= 3; ++id) {
      check(twin.entries_of(id) <= kPerEndpoint, "more connections than an endpoint may have");
      sum += twin.entries_of(id);
    }
    check(sum == twin.connection_count(), "accounts and table disagree");
  }
  return 0;
}
