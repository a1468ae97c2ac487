#include "policy/compiled.h"

#include <algorithm>

namespace sallyport::policy {
namespace {

const EndpointEntry* find_endpoint(const std::vector<EndpointEntry>& endpoints, const Ip& ip) {
  auto found = std::lower_bound(
      endpoints.begin(), endpoints.end(), ip,
      [](const EndpointEntry& entry, const Ip& key) { return entry.address < key; });
  return found != endpoints.end() && found->address == ip ? &*found : nullptr;
}

ClassId class_of(const Compiled& compiled, const EndpointEntry* endpoint, const Ip& ip) {
  if (endpoint != nullptr) return endpoint->peer_class;
  ClassId best = 0;
  int bits = -1;
  for (const CidrEntry& entry : compiled.cidrs) {
    if (entry.cidr.bits <= bits || !entry.cidr.contains(ip)) continue;
    best = entry.peer_class;
    bits = entry.cidr.bits;
  }
  return best;
}

PortPiece piece_at(const PortProgram& program, uint8_t protocol, uint16_t port) {
  const std::vector<PortPiece>* pieces = nullptr;
  switch (static_cast<k8s::Protocol>(protocol)) {
    case k8s::Protocol::kTcp:
      pieces = &program.tcp;
      break;
    case k8s::Protocol::kUdp:
      pieces = &program.udp;
      break;
    case k8s::Protocol::kSctp:
      pieces = &program.sctp;
      break;
    case k8s::Protocol::kIcmp:
      break;
  }
  if (pieces == nullptr) return program.other;
  auto after =
      std::upper_bound(pieces->begin(), pieces->end(), port,
                       [](uint16_t key, const PortPiece& piece) { return key < piece.first_port; });
  return *std::prev(after);
}

}  // namespace

Compiled::Answer Compiled::decide(const Ip& from, const Ip& to, uint8_t protocol,
                                  uint16_t port) const {
  Answer answer;
  if (from == to) return answer;
  const EndpointEntry* source = find_endpoint(endpoints, from);
  const EndpointEntry* destination = find_endpoint(endpoints, to);
  auto judge = [&](SetId set, ClassId peer) {
    auto found = programs_of.find(key(set, peer));
    ProgramId program = found == programs_of.end() ? sets[set - 1].default_program : found->second;
    PortPiece piece = piece_at(programs[program], protocol, port);
    answer.allow = answer.allow && piece.action == Action::kAllow;
    return piece.rule;
  };
  if (source != nullptr && source->egress_set != 0)
    answer.egress_rule = judge(source->egress_set, class_of(*this, destination, to));
  if (destination != nullptr && destination->ingress_set != 0)
    answer.ingress_rule = judge(destination->ingress_set, class_of(*this, source, from));
  return answer;
}

}  // namespace sallyport::policy
