// Asking the evaluator and the matcher at once, and the shortest ways to say a rule; for tests.
#pragma once

#include <gtest/gtest.h>

#include "authz/evaluator.h"
#include "authz/matcher.h"
#include "authz/test_support.h"

namespace sallyport::authz::testing {

using enum AuthorizationAction;
using k8s::MatchValues;

inline Decision ask(const world::World& world, const world::Endpoint& pod, const ConnectionFacts& c,
                    const RequestFacts* r) {
  const Decision out = evaluate(world, pod, c, r);
  const MatcherPtr matcher = compile(world, pod);
  const Decision other = matcher->decide(c, r);
  EXPECT_EQ(other.allow, out.allow);
  EXPECT_EQ(other, out);
  // The matcher does not outlive this; names are compared while both live.
  return out;
}

inline bool allows(std::vector<k8s::AuthorizationPolicy> policies, const ConnectionFacts& c,
                   const RequestFacts* r) {
  return ask(world_of(std::move(policies)), workload(), c, r).allow;
}

// Whether the rule, in a policy of its own, matches.
inline bool matches(k8s::AuthorizationRule rule, const ConnectionFacts& c, const RequestFacts* r,
                    AuthorizationAction action = kAllow) {
  const bool allowed = allows({policy("inference", "p", action, {std::move(rule)})}, c, r);
  return action == kDeny ? !allowed : allowed;
}

inline k8s::AuthorizationSource principals(MatchValues match) {
  k8s::AuthorizationSource out;
  out.principals = std::move(match);
  return out;
}
inline k8s::AuthorizationSource namespaces(MatchValues match) {
  k8s::AuthorizationSource out;
  out.namespaces = std::move(match);
  return out;
}
inline k8s::AuthorizationSource accounts(MatchValues match) {
  k8s::AuthorizationSource out;
  out.service_accounts = std::move(match);
  return out;
}
inline k8s::AuthorizationOperation paths(MatchValues match) {
  k8s::AuthorizationOperation out;
  out.paths = std::move(match);
  return out;
}
inline k8s::AuthorizationOperation hosts(MatchValues match) {
  k8s::AuthorizationOperation out;
  out.hosts = std::move(match);
  return out;
}
inline k8s::AuthorizationOperation methods(MatchValues match) {
  k8s::AuthorizationOperation out;
  out.methods = std::move(match);
  return out;
}

// The article's third policy.
inline k8s::AuthorizationPolicy inference_authz() {
  k8s::AuthorizationRule rule;
  rule.from = {principals({{"cluster.local/ns/api-gateway/sa/gateway-sa"}, {}})};
  rule.to = {
      k8s::AuthorizationOperation{.hosts = {},
                                  .ports = {},
                                  .methods = {{"POST"}, {}},
                                  .paths = {{"/v1/completions", "/v1/chat/completions"}, {}}}};
  auto out = policy("inference", "inference-authz", kAllow, {rule});
  out.selector = {{"app", "model-server"}};
  return out;
}

}  // namespace sallyport::authz::testing
