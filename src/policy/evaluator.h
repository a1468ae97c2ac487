// The reference evaluator: NetworkPolicy and ClusterNetworkPolicy written straight from their
// specifications, slow and plain. `explain` uses it, and tests hold the compiler equal to it.
#pragma once

#include "policy/verdict.h"

namespace sallyport::policy {

// Tier order: Admin ClusterNetworkPolicies by (priority, name, rule), then NetworkPolicies, then
// Baseline, then allow; per direction. Reasons and near misses are filled in.
[[nodiscard]] Verdict evaluate(const world::World& world, const Query& query);

}  // namespace sallyport::policy
