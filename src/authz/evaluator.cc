#include "authz/evaluator.h"

#include <algorithm>

#include "authz/clauses.h"
#include "authz/plain_match.h"

namespace sallyport::authz {
namespace {

using Policies = std::vector<const k8s::AuthorizationPolicy*>;
using k8s::AuthorizationAction;

PolicyName name_of(const k8s::AuthorizationPolicy& policy) {
  return {policy.meta.ns, policy.meta.name};
}

bool selects(const world::World& world, const k8s::AuthorizationPolicy& policy,
             const world::Endpoint& workload) {
  if (policy.has_target_refs) return false;
  if (policy.meta.ns != workload.ns && policy.meta.ns != world.mesh.root_namespace) return false;
  return std::all_of(policy.selector.begin(), policy.selector.end(), [&](const auto& label) {
    auto found = workload.labels.find(label.first);
    return found != workload.labels.end() && found->second == label.second;
  });
}

bool any_holds(const PlainContext& context, const std::vector<Clauses>& alternatives) {
  return alternatives.empty() ||
         std::any_of(alternatives.begin(), alternatives.end(),
                     [&](const Clauses& clauses) { return holds(context, clauses); });
}

bool rule_matches(const PlainContext& context, const k8s::AuthorizationRule& rule) {
  std::optional<RuleClauses> clauses = clauses_of(rule).value();
  if (context.request == nullptr) clauses = without_http(*clauses, context.policy.action);
  return clauses && any_holds(context, clauses->from) && any_holds(context, clauses->to) &&
         holds(context, clauses->when);
}

struct Match {
  const k8s::AuthorizationPolicy* policy = nullptr;
  int rule = -1;
};

// What all policies of one action say together.
struct Judge {
  const world::World& world;
  const ConnectionFacts& connection;
  const RequestFacts* request;
  const Policies& policies;

  [[nodiscard]] Match first(AuthorizationAction action) const {
    for (const auto* policy : policies) {
      if (policy->action != action || unenforceable(*policy)) continue;
      const PlainContext context{world, *policy, connection, request};
      for (size_t i = 0; i < policy->rules.size(); ++i)
        if (rule_matches(context, policy->rules[i])) return {policy, static_cast<int>(i)};
    }
    return {};
  }

  [[nodiscard]] Decision decide() const {
    Decision out;
    auto say = [&](bool allow, Reason reason, const k8s::AuthorizationPolicy& policy, int rule) {
      out.allow = allow;
      out.reason = reason;
      out.policy = name_of(policy);
      out.rule = rule;
      return out;
    };
    if (const Match match = first(AuthorizationAction::kAudit); match.policy != nullptr) {
      out.audited = true;
      out.audit_policy = name_of(*match.policy);
      out.audit_rule = match.rule;
    }
    for (const auto* policy : policies)
      if (const auto bad = unenforceable(*policy))
        return say(false, Reason::kUnenforceable, *policy, bad->rule);
    if (const Match match = first(AuthorizationAction::kDeny); match.policy != nullptr)
      return say(false, Reason::kRuleDenies, *match.policy, match.rule);
    const auto allow = std::find_if(policies.begin(), policies.end(), [](const auto* policy) {
      return policy->action == AuthorizationAction::kAllow;
    });
    if (allow == policies.end()) return out;
    if (const Match match = first(AuthorizationAction::kAllow); match.policy != nullptr)
      return say(true, Reason::kRuleAllows, *match.policy, match.rule);
    return say(false, Reason::kNoAllowMatches, **allow, -1);
  }
};

}  // namespace

Policies policies_of(const world::World& world, const world::Endpoint& workload) {
  Policies out;
  for (const auto& policy : world.authorization_policies)
    if (selects(world, *policy, workload)) out.push_back(policy.get());
  std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
    return std::tie(a->meta.ns, a->meta.name) < std::tie(b->meta.ns, b->meta.name);
  });
  return out;
}

std::optional<Unenforceable> unenforceable(const k8s::AuthorizationPolicy& policy) {
  if (policy.action == AuthorizationAction::kCustom)
    return Unenforceable{-1, "action CUSTOM is not supported"};
  for (size_t i = 0; i < policy.rules.size(); ++i)
    if (auto clauses = clauses_of(policy.rules[i]); !clauses)
      return Unenforceable{static_cast<int>(i), clauses.error().message};
  return std::nullopt;
}

Decision evaluate(const world::World& world, const world::Endpoint& workload,
                  const ConnectionFacts& connection, const RequestFacts* request) {
  Policies all = policies_of(world, workload), live;
  // Nothing that a dry run could change: an AUDIT policy decides nothing.
  std::erase_if(all, [](const auto* policy) {
    return policy->dry_run && policy->action == AuthorizationAction::kAudit;
  });
  std::copy_if(all.begin(), all.end(), std::back_inserter(live),
               [](const auto* policy) { return !policy->dry_run; });
  Decision out = Judge{world, connection, request, live}.decide();
  if (live.size() == all.size()) return out;
  const Decision would = Judge{world, connection, request, all}.decide();
  out.dry_run_deny = !would.allow;
  out.dry_run_policy = would.policy;
  return out;
}

}  // namespace sallyport::authz
