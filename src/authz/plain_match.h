// Whether one clause holds, straight from its values: for the evaluator and for nearest().
#pragma once

#include "authz/clauses.h"
#include "authz/facts.h"
#include "world/world.h"

namespace sallyport::authz {

struct PlainContext {
  const world::World& world;
  const k8s::AuthorizationPolicy& policy;
  const ConnectionFacts& connection;
  const RequestFacts* request;  // null: opaque TCP
  // A DENY or AUDIT rule. Where a request says a thing in several ways (a host with and without
  // port, a header with several values), what leads to a denial compares with each way, and what
  // leads to an allowance must hold for all.
  [[nodiscard]] bool restricts() const { return policy.action != k8s::AuthorizationAction::kAllow; }
};

[[nodiscard]] bool holds(const PlainContext& context, const Clause& clause);
// All clauses.
[[nodiscard]] bool holds(const PlainContext& context, const Clauses& clauses);
// "paths: wants /v1/completions or /v1/chat/completions, has /props".
[[nodiscard]] std::string describe_failure(const PlainContext& context, const Clause& clause);

}  // namespace sallyport::authz
