#include "kernel/verdict_check.h"

#include "gate/bpf/types.h"

namespace sallyport::kernel_test {
namespace {

std::string words(const policy::DirectionVerdict& verdict) {
  std::string out(policy::to_string(verdict.reason));
  if (!verdict.policy.empty()) out += " of " + verdict.policy;
  if (verdict.rule) out += " rule " + std::to_string(*verdict.rule);
  return out;
}

std::string words(const policy::RuleInfo* info, policy::RuleId id) {
  if (info == nullptr) return "rule id " + std::to_string(id);
  return std::string(policy::to_string(info->reason)) + " of " + info->policy + " rule " +
         std::to_string(info->rule);
}

// The event's rule of one direction must be the evaluator's.
std::string rule_difference(policy::Direction direction, policy::RuleId id,
                            const policy::DirectionVerdict& verdict,
                            const policy::RuleRegistry& rules) {
  const policy::RuleInfo* info = rules.find(id);
  bool same = false;
  switch (verdict.reason) {
    case policy::Reason::kRule:
      same = info != nullptr && info->direction == direction && info->reason == verdict.reason &&
             info->policy == verdict.policy && verdict.rule && info->rule == *verdict.rule;
      break;
    case policy::Reason::kImplicitDeny:
      same = info != nullptr && info->direction == direction && info->reason == verdict.reason &&
             info->policy == verdict.policy && info->isolated_by == verdict.isolated_by;
      break;
    default:
      same = id == 0;
  }
  if (same) return {};
  return "; " + std::string(policy::to_string(direction)) + ": the evaluator says " +
         words(verdict) + ", the event " + words(info, id);
}

}  // namespace

std::string differences(const Probe& probe, const Outcome& outcome, const policy::Verdict& verdict,
                        const policy::RuleRegistry& rules, uint64_t generation) {
  std::string out;
  if (verdict.allow && !outcome.answered)
    out += std::string("; allowed, but ") +
           (outcome.reached ? "an error came back" : "nothing came back");
  if (!verdict.allow && outcome.reached) out += "; denied, but something came back";
  if (!outcome.event) return out + "; no flow event";
  const gate::FlowEvent& event = *outcome.event;
  using Kind = gate::FlowEvent::Kind;
  if (event.kind != (verdict.allow ? Kind::kNew : Kind::kDenied) || event.allow != verdict.allow)
    out += "; the event is of another kind";
  if (event.reason != (verdict.allow ? SP_BY_POLICY : SP_DENY_POLICY))
    out += "; reason " + std::string(gate::reason_text(event.reason));
  if (event.local != probe.to->node) out += "; the wrong hook";
  if (event.generation != generation)
    out += "; generation " + std::to_string(event.generation) + " instead of " +
           std::to_string(generation);
  if (event.source_endpoint != probe.from->endpoint_id ||
      event.destination_endpoint != probe.to->endpoint_id)
    out += "; endpoints " + std::to_string(event.source_endpoint) + " and " +
           std::to_string(event.destination_endpoint);
  out += rule_difference(policy::Direction::kEgress, event.egress_rule, verdict.egress, rules);
  out += rule_difference(policy::Direction::kIngress, event.ingress_rule, verdict.ingress, rules);
  return out;
}

}  // namespace sallyport::kernel_test
