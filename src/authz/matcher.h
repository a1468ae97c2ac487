// The compiled form of all AuthorizationPolicies of one workload. Immutable; any number of threads
// may ask at once. A decision allocates nothing.
#pragma once

#include <memory>

#include "authz/decision.h"
#include "authz/facts.h"
#include "world/world.h"

namespace sallyport::authz {

class Matcher {
 public:
  virtual ~Matcher() = default;
  // `request` is null for opaque TCP: asked once per connection, and again when policy changes.
  [[nodiscard]] virtual Decision decide(const ConnectionFacts& connection,
                                        const RequestFacts* request) const = 0;
  // False where no policy can ever look at a request's headers, claims, path...: a caller may skip
  // gathering them.
  [[nodiscard]] virtual bool reads_requests() const = 0;
};

using MatcherPtr = std::shared_ptr<const Matcher>;

// Equal to evaluate() on every input. Keeps what it needs of the world alive by itself.
[[nodiscard]] MatcherPtr compile(const world::World& world, const world::Endpoint& workload);

}  // namespace sallyport::authz
