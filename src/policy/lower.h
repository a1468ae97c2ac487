// Policies with their peers as numbers, their rules as rule ids, and unknown forms closed: what the
// compiler works on. Only here and in the evaluator does the meaning of the API's fields stand.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/compiled.h"
#include "policy/peers.h"
#include "policy/port_program.h"

namespace sallyport::policy {

// The names of ports that rules of one direction use; only those matter for a pod.
class PortNames {
 public:
  uint32_t intern(const std::string& name) {
    return ids_.try_emplace(name, static_cast<uint32_t>(ids_.size())).first->second;
  }
  [[nodiscard]] const std::map<std::string, uint32_t>& ids() const { return ids_; }

 private:
  std::map<std::string, uint32_t> ids_;
};

// What the used names mean for one destination pod: sorted.
struct NamedPort {
  uint32_t name = 0;
  PortRange port;  // one number
  bool operator==(const NamedPort&) const = default;
};
using NamedPorts = std::vector<NamedPort>;
NamedPorts named_ports_of(const std::vector<k8s::ContainerPort>& ports, const PortNames& names);

struct PortMatch {
  std::optional<k8s::Protocol> protocol;  // none: as the named port has it
  std::optional<uint32_t> name;
  uint16_t first = 0;
  uint16_t last = 65535;
};

struct LoweredRule {
  Effect effect = Effect::kDeny;
  RuleId id = 0;
  bool everyone = false;
  std::vector<PeerId> peers;  // sorted, unique
  bool everything = false;    // every port of every protocol
  std::vector<PortMatch> ports;
  [[nodiscard]] bool named() const;
  [[nodiscard]] Step step(const NamedPorts& names) const;
};

struct LoweredPolicy {
  std::string name;  // as in RuleInfo
  PodSet subject;
  bool isolates[2] = {false, false};  // by Direction; NetworkPolicy only
  std::vector<LoweredRule> rules[2];
  [[nodiscard]] bool concerns(Direction direction) const {
    auto d = static_cast<size_t>(direction);
    return isolates[d] || !rules[d].empty();
  }
};

struct Lowered {
  std::vector<LoweredPolicy> network;   // (ns, name)
  std::vector<LoweredPolicy> admin;     // (priority, name)
  std::vector<LoweredPolicy> baseline;  // (priority, name)
  PortNames names[2];                   // by Direction
};

Lowered lower(const world::World& world, bool with_cluster_policies, PeerTable& peers,
              RuleRegistry& rules);

}  // namespace sallyport::policy
