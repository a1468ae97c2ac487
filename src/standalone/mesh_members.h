// Who is in the mesh, under which identity, served by which proxy process, and what the kernel
// demands for it: read from the world, without any state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gate/gate.h"
#include "identity/spiffe_id.h"
#include "mesh/membership.h"
#include "world/world.h"

namespace sallyport::standalone {

// How many pods share a proxy process.
enum class Isolation { kNode, kNamespace, kPod };
Result<Isolation> parse_isolation(std::string_view text);
std::string_view to_string(Isolation isolation);

struct Member {
  std::string uid;
  std::string key;  // "ns/name"
  identity::SpiffeId identity;
  mesh::Membership membership;
  std::string group;  // which process: "node", "ns/NS" or "pod/NS/NAME"
};

// In the order of the world; pods that are not meshed are left out.
std::vector<Member> mesh_members(const world::World& world, Isolation isolation);

// The ports of meshed pods whose effective mode is STRICT, without those that are excluded.
std::vector<gate::TlsDemand> tls_demands(const world::World& world);

}  // namespace sallyport::standalone
