#include "authz/decision.h"

namespace sallyport::authz {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kNoPolicy:
      return "no ALLOW policy";
    case Reason::kRuleAllows:
      return "allowed by rule";
    case Reason::kRuleDenies:
      return "denied by rule";
    case Reason::kNoAllowMatches:
      return "no ALLOW rule matches";
    case Reason::kUnenforceable:
      return "policy cannot be enforced";
  }
  return "unknown";
}

std::string PolicyName::text() const {
  if (empty()) return {};
  std::string out(ns);
  out += '/';
  out += name;
  return out;
}

std::string istio_policy_id(const Decision& decision) {
  const bool decided =
      decision.reason == Reason::kRuleAllows || decision.reason == Reason::kRuleDenies;
  if (!decided || decision.rule < 0) return "none";
  std::string out = "ns[";
  out += decision.policy.ns;
  out += "]-policy[";
  out += decision.policy.name;
  out += "]-rule[";
  out += std::to_string(decision.rule);
  out += ']';
  return out;
}

}  // namespace sallyport::authz
