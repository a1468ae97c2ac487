// What the mesh gate says about a connection or a request: PeerAuthentication, the canonical form,
// RequestAuthentication, AuthorizationPolicy, in this order; by the reference evaluator.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/mesh_query.h"
#include "codec/value.h"
#include "mesh/membership.h"
#include "policy/verdict.h"

namespace sallyport::analysis {

struct MeshVerdict {
  enum class Outcome { kAllow, kDeny, kReject };  // kReject: the request itself is refused
  // Which step decided.
  enum class Step { kAllPassed, kNotTaken, kStrict, kCanonical, kToken, kAuthorization };

  Outcome outcome = Outcome::kAllow;
  Step step = Step::kAllPassed;
  std::string policy;                       // "ns/name"; empty where none decides
  std::optional<int> rule;                  // zero-based
  std::string action;                       // "ALLOW", "DENY", "STRICT"; empty where none
  std::string reason;                       // "rule", "no policy", ..., or why in words
  std::vector<std::string> allow_policies;  // where none of them matches
  struct Near {
    std::string policy;
    int rule = 0;
    std::string why;
  };
  std::optional<Near> nearest;
  std::string audit_policy;  // an AUDIT rule matched
  int audit_rule = -1;
  std::string dry_run_policy;  // with those in dry-run in force, this one would decide
  bool dry_run_deny = false;

  // How the caller was taken.
  bool mtls = false;
  std::string principal;          // "spiffe://..."; empty: none
  std::optional<HttpQuery> http;  // none: judged as opaque TCP
  std::string note;               // what was assumed

  [[nodiscard]] bool allow() const { return outcome == Outcome::kAllow; }
};

// Nothing where the gate has no say: another protocol than TCP, or a destination that is no pod of
// the mesh.
[[nodiscard]] std::optional<MeshVerdict> judge_mesh(const world::World& world,
                                                    const policy::Query& network,
                                                    const MeshQuery& query,
                                                    mesh::UnlabelledPods unlabelled);

// For people: the line "  mesh:    ..." and what belongs to it.
std::string mesh_text(const MeshVerdict& verdict, uint16_t port);

// {"verdict","policy","rule","action","reason"}, and only where there is something to say
// "nearest" {"policy","rule","why"}, "audit" {"policy","rule"}, "dryRun" {"verdict","policy"}.
codec::Value mesh_value(const MeshVerdict& verdict);

}  // namespace sallyport::analysis
