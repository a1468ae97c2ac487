#include "authz/peer_modes.h"

#include <algorithm>
#include <tuple>

namespace sallyport::authz {
namespace {

using k8s::MutualTlsMode;
using k8s::PeerAuthentication;

bool older(const PeerAuthentication& a, const PeerAuthentication& b) {
  return std::tie(a.meta.creation_timestamp, a.meta.name) <
         std::tie(b.meta.creation_timestamp, b.meta.name);
}

bool selects(const PeerAuthentication& policy, const k8s::Labels& labels) {
  return std::all_of(policy.selector.begin(), policy.selector.end(), [&](const auto& label) {
    auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

// The oldest at each level that concerns the workload.
struct Levels {
  const PeerAuthentication* workload = nullptr;
  const PeerAuthentication* ns = nullptr;
  const PeerAuthentication* mesh = nullptr;
};

Levels levels_of(const world::World& world, const world::Endpoint& workload) {
  Levels out;
  auto take = [](const PeerAuthentication*& slot, const PeerAuthentication& policy) {
    if (slot == nullptr || older(policy, *slot)) slot = &policy;
  };
  for (const auto& policy : world.peer_authentications) {
    const bool in_root = policy->meta.ns == world.mesh.root_namespace;
    if (policy->has_selector) {
      if (!in_root && policy->meta.ns == workload.ns && selects(*policy, workload.labels))
        take(out.workload, *policy);
    } else if (in_root) {
      take(out.mesh, *policy);
    } else if (policy->meta.ns == workload.ns) {
      take(out.ns, *policy);
    }
  }
  return out;
}

}  // namespace

PeerModes peer_modes(const world::World& world, const world::Endpoint& workload) {
  const Levels levels = levels_of(world, workload);
  PeerModes out;
  for (const auto* policy : {levels.workload, levels.ns, levels.mesh}) {
    if (policy == nullptr || policy->mode == MutualTlsMode::kUnset) continue;
    out.base = {policy->mode, policy->meta.ns + "/" + policy->meta.name};
    break;
  }
  if (levels.workload == nullptr) return out;
  for (const auto& [port, mode] : levels.workload->port_modes)
    if (mode != MutualTlsMode::kUnset)
      out.ports[port] = {mode, levels.workload->meta.ns + "/" + levels.workload->meta.name};
  return out;
}

}  // namespace sallyport::authz
