#include "standalone/mesh_members.h"

#include "authz/peer_modes.h"

namespace sallyport::standalone {
namespace {

std::string group_of(const world::Endpoint& pod, Isolation isolation) {
  switch (isolation) {
    case Isolation::kNode:
      return "node";
    case Isolation::kNamespace:
      return "ns/" + pod.ns;
    case Isolation::kPod:
      return "pod/" + pod.key();
  }
  return "node";
}

}  // namespace

Result<Isolation> parse_isolation(std::string_view text) {
  for (Isolation isolation : {Isolation::kNode, Isolation::kNamespace, Isolation::kPod})
    if (to_string(isolation) == text) return isolation;
  return fail(Code::kInvalid, "\"" + std::string(text) + "\": expected node, namespace or pod");
}

std::string_view to_string(Isolation isolation) {
  switch (isolation) {
    case Isolation::kNode:
      return "node";
    case Isolation::kNamespace:
      return "namespace";
    case Isolation::kPod:
      return "pod";
  }
  return "node";
}

std::vector<Member> mesh_members(const world::World& world, Isolation isolation) {
  std::vector<Member> out;
  for (const world::Endpoint& pod : world.endpoints) {
    mesh::Membership membership = mesh::membership(world, pod);
    if (!membership.meshed) continue;
    out.push_back({pod.uid, pod.key(),
                   identity::workload_id(world.mesh.trust_domain, pod.ns, pod.service_account),
                   std::move(membership), group_of(pod, isolation)});
  }
  return out;
}

std::vector<gate::TlsDemand> tls_demands(const world::World& world) {
  std::vector<gate::TlsDemand> out;
  for (const world::Endpoint& pod : world.endpoints) {
    mesh::Membership membership = mesh::membership(world, pod);
    if (!membership.meshed) continue;
    authz::PeerModes modes = authz::peer_modes(world, pod);
    bool base = modes.base.mode == k8s::MutualTlsMode::kStrict;
    if (base) out.push_back({pod.id, 0, true, modes.base.policy});
    for (const auto& [port, mode] : modes.ports) {
      if (membership.exclude_inbound_ports.contains(port)) continue;
      bool strict = mode.mode == k8s::MutualTlsMode::kStrict;
      if (strict != base || (strict && mode.policy != modes.base.policy))
        out.push_back({pod.id, port, strict, strict ? mode.policy : ""});
    }
    // Without a demand by default nothing has to be taken back for them.
    if (base)
      for (uint16_t port : membership.exclude_inbound_ports)
        out.push_back({pod.id, port, false, ""});
  }
  return out;
}

}  // namespace sallyport::standalone
