// PeerAuthentication: which mode holds at which port of a workload.
// Precedence: port, workload (selector, not in the root namespace), namespace, mesh (root
// namespace, no selector); within a level the oldest object wins, then the name; UNSET inherits;
// PERMISSIVE where nothing says otherwise.
#pragma once

#include <map>
#include <string>

#include "world/world.h"

namespace sallyport::authz {

struct PortMode {
  k8s::MutualTlsMode mode = k8s::MutualTlsMode::kPermissive;  // never kUnset
  std::string policy;  // "ns/name" of the object that says so; empty: default
  bool operator==(const PortMode&) const = default;
};

struct PeerModes {
  PortMode base;
  std::map<uint16_t, PortMode> ports;  // those with a mode of their own
  [[nodiscard]] const PortMode& at(uint16_t port) const {
    auto found = ports.find(port);
    return found == ports.end() ? base : found->second;
  }
};

[[nodiscard]] PeerModes peer_modes(const world::World& world, const world::Endpoint& workload);

}  // namespace sallyport::authz
