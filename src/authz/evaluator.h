// The reference evaluator: AuthorizationPolicy written straight from Istio's documentation, slow
// and plain. `explain` uses it, and a property test holds the compiled matcher (matcher.h) equal to
// it.
//
// Order: AUDIT (marks only), DENY (any match denies), ALLOW (none: allowed; else one must match).
// On plain TCP the sidecar's behaviour holds: a rule of an ALLOW policy with an HTTP-only field is
// dropped, the HTTP-only fields of a DENY or AUDIT rule are ignored and the rest kept.
//
// A request may say a thing in more than one way. What restricts (the values of a DENY or AUDIT
// rule, the not-values of an ALLOW rule) matches where any way does; what allows (the others) only
// where the plain one does, of several header fields of one name each one:
//   hosts    as sent without regard to case; what restricts also without port and without one
//            trailing dot
//   headers  each field by itself; a comma divides nothing
//   paths    the canonical path; what restricts also as a careless application may read it
//            (patterns.h: escapes decoded, parameters dropped)
// An identity is only a verified one: on plaintext no value of an identity's field matches, and so
// every not-value holds. `cluster.local` names the mesh's own trust domain, in principals of five
// parts. serviceAccounts and namespaces look at an identity of the form TD/ns/NS/sa/SA only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "authz/decision.h"
#include "authz/facts.h"
#include "world/world.h"

namespace sallyport::authz {

// `request` is null for opaque TCP. `workload` is the destination.
[[nodiscard]] Decision evaluate(const world::World& world, const world::Endpoint& workload,
                                const ConnectionFacts& connection, const RequestFacts* request);

// The policies that heed the workload, in (ns, name) order.
[[nodiscard]] std::vector<const k8s::AuthorizationPolicy*> policies_of(
    const world::World& world, const world::Endpoint& workload);

// Why an accepted policy cannot be enforced here: action CUSTOM, a `when` key that is not known, a
// value that cannot be read. Such a policy denies all that it selects.
struct Unenforceable {
  int rule = -1;    // zero-based; -1: the whole policy
  std::string why;  // "when: key experimental.envoy.filters.x[y] is not supported"
};
[[nodiscard]] std::optional<Unenforceable> unenforceable(const k8s::AuthorizationPolicy& policy);

// For an ALLOW that nothing matched: the rule that came closest and its first clause that failed,
// in words ("paths: wants /v1/completions, has /props"). Empty where there is none.
struct NearestRule {
  std::string policy;
  int rule = -1;
  std::string why;
};
[[nodiscard]] NearestRule nearest(const world::World& world, const world::Endpoint& workload,
                                  const ConnectionFacts& connection, const RequestFacts* request);

}  // namespace sallyport::authz
