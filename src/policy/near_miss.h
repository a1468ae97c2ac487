// The rule that came closest to allowing a connection that an implicit deny dropped.
#pragma once

#include <optional>
#include <vector>

#include "policy/match.h"

namespace sallyport::policy {

// Among the rules of `policies` for the scene's direction: fewest conditions that failed, then most
// that held, then order. Nothing where the policies have no rules.
std::optional<NearMiss> nearest_miss(const Scene& scene,
                                     const std::vector<const k8s::NetworkPolicy*>& policies);

}  // namespace sallyport::policy
