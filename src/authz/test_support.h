// Small policies, workloads and requests for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "authz/facts.h"
#include "world/world.h"

namespace sallyport::authz::testing {

using k8s::AuthorizationAction;

inline Ip ip(const std::string& text) {
  return Ip::parse(text).value();
}

inline k8s::AuthorizationPolicy policy(const std::string& ns, const std::string& name,
                                       AuthorizationAction action,
                                       std::vector<k8s::AuthorizationRule> rules) {
  k8s::AuthorizationPolicy out;
  out.kind = "AuthorizationPolicy";
  out.meta.ns = ns;
  out.meta.name = name;
  out.action = action;
  out.rules = std::move(rules);
  return out;
}

inline world::Endpoint workload(const std::string& ns = "inference",
                                k8s::Labels labels = {{"app", "model-server"}}) {
  world::Endpoint out;
  out.ns = ns;
  out.name = "pod";
  out.labels = std::move(labels);
  out.ips = {ip("198.18.0.9")};
  return out;
}

inline world::World world_of(std::vector<k8s::AuthorizationPolicy> policies) {
  world::World out;
  for (auto& each : policies)
    out.authorization_policies.push_back(
        std::make_shared<const k8s::AuthorizationPolicy>(std::move(each)));
  out.finish();
  return out;
}

// One rule with one source or one operation or one condition.
inline k8s::AuthorizationRule from(k8s::AuthorizationSource source) {
  k8s::AuthorizationRule out;
  out.from.push_back(std::move(source));
  return out;
}
inline k8s::AuthorizationRule to(k8s::AuthorizationOperation operation) {
  k8s::AuthorizationRule out;
  out.to.push_back(std::move(operation));
  return out;
}
inline k8s::AuthorizationRule when(const std::string& key, k8s::MatchValues match) {
  k8s::AuthorizationRule out;
  out.when.push_back({key, std::move(match)});
  return out;
}

// A connection of the gateway's service account, and a request for a completion.
inline ConnectionFacts connection(
    std::string_view principal = "cluster.local/ns/api-gateway/sa/gateway-sa") {
  ConnectionFacts out;
  out.principal = principal;
  out.source_ip = ip("198.18.0.1");
  out.destination_ip = ip("198.18.0.9");
  out.destination_port = 8080;
  return out;
}
inline RequestFacts request(std::string_view path = "/v1/completions",
                            std::string_view method = "POST") {
  RequestFacts out;
  out.method = method;
  out.path = path;
  out.host = "model-server.inference";
  out.remote_ip = ip("198.18.0.1");
  return out;
}

}  // namespace sallyport::authz::testing
