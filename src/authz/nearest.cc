// Which ALLOW rule came closest, for people.
#include <algorithm>

#include "authz/clauses.h"
#include "authz/evaluator.h"
#include "authz/plain_match.h"

namespace sallyport::authz {
namespace {

struct Miss {
  size_t failed = 0;              // clauses that do not hold
  const Clause* first = nullptr;  // of them
};

Miss miss_of(const PlainContext& context, const Clauses& clauses) {
  Miss out;
  for (const Clause& clause : clauses) {
    if (holds(context, clause)) continue;
    if (out.first == nullptr) out.first = &clause;
    ++out.failed;
  }
  return out;
}

// Of the alternatives the one that misses least.
Miss best_of(const PlainContext& context, const std::vector<Clauses>& alternatives) {
  if (alternatives.empty()) return {};
  Miss best{SIZE_MAX, nullptr};
  for (const Clauses& clauses : alternatives)
    if (const Miss miss = miss_of(context, clauses); miss.failed < best.failed) best = miss;
  return best;
}

std::string http_fields(const RuleClauses& rule) {
  std::string out;
  auto add = [&](const Clauses& clauses) {
    for (const Clause& clause : clauses)
      if (http_only(clause.field)) out += (out.empty() ? "" : ", ") + clause.label;
  };
  for (const Clauses& clauses : rule.from) add(clauses);
  for (const Clauses& clauses : rule.to) add(clauses);
  add(rule.when);
  return out;
}

}  // namespace

NearestRule nearest(const world::World& world, const world::Endpoint& workload,
                    const ConnectionFacts& connection, const RequestFacts* request) {
  NearestRule best;
  size_t least = SIZE_MAX;
  for (const auto* policy : policies_of(world, workload)) {
    if (policy->action != k8s::AuthorizationAction::kAllow || policy->dry_run) continue;
    const PlainContext context{world, *policy, connection, request};
    for (size_t i = 0; i < policy->rules.size(); ++i) {
      auto clauses = clauses_of(policy->rules[i]);
      if (!clauses) continue;
      const std::string http = request == nullptr ? http_fields(*clauses) : std::string();
      const Miss misses[] = {best_of(context, clauses->from), best_of(context, clauses->to),
                             miss_of(context, clauses->when)};
      size_t failed = 0;
      const Clause* first = nullptr;
      for (const Miss& miss : misses) {
        failed += miss.failed;
        if (first == nullptr) first = miss.first;
      }
      if ((first == nullptr && http.empty()) || failed >= least) continue;
      least = failed;
      best = {policy->meta.ns + "/" + policy->meta.name, static_cast<int>(i),
              http.empty() ? describe_failure(context, *first)
                           : "does not apply to opaque TCP: " + http + " need HTTP"};
    }
  }
  return best;
}

}  // namespace sallyport::authz
