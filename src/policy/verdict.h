// What the policy engine answers, with its reason. The evaluator, the compiled form and the flow
// events all speak in these terms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "k8s/objects.h"
#include "world/world.h"

namespace sallyport::policy {

enum class Direction : uint8_t { kEgress = 0, kIngress = 1 };
std::string_view to_string(Direction direction);

// One connection to judge. Addresses decide; pods are looked up by them in the world, unless a pod
// is given (a pod without an address can still be asked about).
struct Query {
  const world::Endpoint* from_pod = nullptr;
  const world::Endpoint* to_pod = nullptr;
  Ip from;
  Ip to;
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  uint16_t port = 0;  // 0 for ICMP
  Family family = Family::kV4;
};

enum class Reason : uint8_t {
  kRule,          // `policy` and `rule` decide
  kNotIsolated,   // no policy of this direction selects the pod
  kImplicitDeny,  // policies isolate the pod, no rule matches
  kSelf,          // a pod to itself
  kNode,          // the pod's own node
  kNoPod,         // no pod on this side: nothing to judge
  kHostNetwork,   // a host-network pod is never a subject
};
std::string_view to_string(Reason reason);  // "rule", "not isolated", ...

// The rule that came closest to matching, for an implicit deny.
struct NearMiss {
  std::string policy;  // "ns/name"
  int rule = 0;
  int matched = 0;  // for ranking: how many conditions held
  std::string why;  // "peer pod label app: wants gateway, has attacker"
};

struct DirectionVerdict {
  bool allow = true;
  Reason reason = Reason::kNoPod;
  std::string policy;  // "ns/name" or "ClusterNetworkPolicy/name"; empty where none decides;
                       // for an implicit deny the first isolating policy
  std::optional<int> rule;
  std::vector<std::string> isolated_by;  // "ns/name", sorted
  std::optional<NearMiss> nearest;
};

struct Verdict {
  bool allow = true;
  DirectionVerdict egress;
  DirectionVerdict ingress;
};

}  // namespace sallyport::policy
