// The mesh gate's answer in words and as JSON.
#include "analysis/mesh_gate.h"
#include "base/strings.h"

namespace sallyport::analysis {
namespace {

using codec::Value;
using Outcome = MeshVerdict::Outcome;
using Step = MeshVerdict::Step;

Value text_or_null(const std::string& text) {
  return text.empty() ? Value() : Value::string(text);
}

std::string rule_text(const std::string& policy, int rule) {
  return policy + " rule " + std::to_string(rule);
}

std::string headline(const MeshVerdict& verdict, uint16_t port) {
  switch (verdict.step) {
    case Step::kAllPassed:
      return "allowed by default: no ALLOW policy selects the workload";
    case Step::kNotTaken:
      return "not judged: " + verdict.reason;
    case Step::kStrict:
      return "denied by PeerAuthentication " + verdict.policy + ": port " + std::to_string(port) +
             " is STRICT, and the caller has no mutual TLS";
    case Step::kCanonical:
      return "the request is refused: " + verdict.reason;
    case Step::kToken:
      return "denied by RequestAuthentication " + verdict.policy + ": " + verdict.reason;
    case Step::kAuthorization:
      break;
  }
  if (!verdict.rule)
    return verdict.action == "ALLOW"
               ? "denied by default"
               : "denied by AuthorizationPolicy " + verdict.policy + ": " + verdict.reason;
  std::string text = verdict.allow() ? "allowed by " : "denied by ";
  text += "AuthorizationPolicy " + rule_text(verdict.policy, *verdict.rule);
  return verdict.action.empty() ? text + ": " + verdict.reason : text + " (" + verdict.action + ")";
}

std::string caller_text(const MeshVerdict& verdict) {
  if (!verdict.mtls) return "plaintext, no identity";
  return verdict.principal.empty() ? "mutual TLS, no identity" : verdict.principal;
}

std::string_view word(Outcome outcome) {
  if (outcome == Outcome::kReject) return "reject";
  return outcome == Outcome::kAllow ? "allow" : "deny";
}

}  // namespace

std::string mesh_text(const MeshVerdict& verdict, uint16_t port) {
  std::string text = "  mesh:    " + headline(verdict, port) + "\n";
  auto detail = [&](std::string_view name, const std::string& what) {
    std::string label(name);
    label.resize(12, ' ');
    text += "    " + label + what + "\n";
  };
  if (verdict.step == Step::kNotTaken) return text;
  if (!verdict.allow_policies.empty()) {
    detail("policies", join(verdict.allow_policies, ", "));
    detail("nearest", verdict.nearest ? rule_text(verdict.nearest->policy, verdict.nearest->rule) +
                                            ": " + verdict.nearest->why
                                      : "none: they have no rules");
  }
  detail("caller", caller_text(verdict));
  if (verdict.http && verdict.step != Step::kStrict)
    detail("request", verdict.http->method + " " + verdict.http->path);
  if (!verdict.note.empty()) detail("note", verdict.note);
  if (!verdict.audit_policy.empty())
    detail("audited by", rule_text(verdict.audit_policy, verdict.audit_rule));
  if (!verdict.dry_run_policy.empty())
    detail("dry run",
           std::string(verdict.dry_run_deny ? "would be denied by " : "would be allowed by ") +
               verdict.dry_run_policy);
  return text;
}

Value mesh_value(const MeshVerdict& verdict) {
  Value out = Value::map();
  out.set("verdict", word(verdict.outcome));
  out.set("policy", text_or_null(verdict.policy));
  out.set("rule", verdict.rule ? Value::integer(*verdict.rule) : Value());
  out.set("action", text_or_null(verdict.action));
  out.set("reason", verdict.reason);
  if (verdict.nearest) {
    Value& nearest = out.set("nearest", Value::map());
    nearest.set("policy", verdict.nearest->policy);
    nearest.set("rule", Value::integer(verdict.nearest->rule));
    nearest.set("why", verdict.nearest->why);
  }
  if (!verdict.audit_policy.empty()) {
    Value& audit = out.set("audit", Value::map());
    audit.set("policy", verdict.audit_policy);
    audit.set("rule", Value::integer(verdict.audit_rule));
  }
  if (!verdict.dry_run_policy.empty()) {
    Value& dry = out.set("dryRun", Value::map());
    dry.set("verdict", verdict.dry_run_deny ? "deny" : "allow");
    dry.set("policy", verdict.dry_run_policy);
  }
  return out;
}

}  // namespace sallyport::analysis
