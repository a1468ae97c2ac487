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

// An AuthorizationPolicy by name. Views into the compiled form or the world: they live as long as
// it does.
struct PolicyName {
  std::string_view ns;
  std::string_view name;

  [[nodiscard]] bool empty() const { return name.empty(); }
  [[nodiscard]] std::string text() const;  // "ns/name"; empty where there is none
  bool operator==(const PolicyName&) const = default;
};

struct Decision {
  bool allow = true;
  Reason reason = Reason::kNoPolicy;
  PolicyName policy;     // for kNoAllowMatches the first of the ALLOW policies
  int rule = -1;         // zero-based; -1 where no rule decides
  bool audited = false;  // an AUDIT rule matched
  PolicyName audit_policy;
  int audit_rule = -1;
  // What would be decided if the policies in dry-run were in force beside the others, and which
  // policy would decide it; false and empty where no such policy selects the workload.
  bool dry_run_deny = false;
  PolicyName dry_run_policy;

  bool operator==(const Decision&) const = default;
};

// "ns[NS]-policy[NAME]-rule[IDX]" as in Istio's logs, and "none" where no rule decides.
std::string istio_policy_id(const Decision& decision);

}  // namespace sallyport::authz
