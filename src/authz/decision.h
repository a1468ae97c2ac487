// What AuthorizationPolicy answers, with its reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::authz {

enum class Action : uint8_t { kAllow, kDeny, kAudit };

enum class Reason : uint8_t {
  kNoPolicy,        // no ALLOW policy selects the workload: allowed
  kRuleAllows,      // a rule of an ALLOW policy
  kRuleDenies,      // a rule of a DENY policy
  kNoAllowMatches,  // ALLOW policies select the workload, none matches: denied
  kUnenforceable,   // an accepted object that cannot be enforced denies the workloads it selects
};
std::string_view to_string(Reason reason);  // "no policy", "rule", "no ALLOW rule matches", ...

// `policy` points into the compiled form or the world and lives as long as it does.
struct Decision {
  bool allow = true;
  Reason reason = Reason::kNoPolicy;
  std::string_view policy;  // "ns/name"; for kNoAllowMatches one of the ALLOW policies
  int rule = -1;            // zero-based; -1 where no rule decides
  bool audited = false;     // an AUDIT rule matched
  std::string_view audit_policy;
  int audit_rule = -1;
  // What policies in dry-run would have said; only where there are any.
  bool dry_run_deny = false;
  std::string_view dry_run_policy;

  bool operator==(const Decision&) const = default;
};

// "ns[NS]-policy[NAME]-rule[IDX]" as in Istio's logs, and "none" where no rule decides.
std::string istio_policy_id(const Decision& decision);

}  // namespace sallyport::authz
