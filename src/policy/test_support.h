// Short ways to write worlds and queries, for tests of this module and of those that stand on it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "policy/compiled.h"
#include "policy/evaluator.h"
#include "world/world.h"

namespace sallyport::policy::testing {

inline Ip ip(std::string_view text) {
  auto parsed = Ip::parse(text);
  if (!parsed) throw std::invalid_argument(parsed.error().message);
  return *parsed;
}

inline Cidr cidr(std::string_view text) {
  auto parsed = Cidr::parse(text);
  if (!parsed) throw std::invalid_argument(parsed.error().message);
  return *parsed;
}

inline k8s::LabelSelector labelled(k8s::Labels labels) {
  return {std::move(labels), {}};
}
inline k8s::LabelSelector everything() {
  return {};
}
inline k8s::LabelSelector expression(std::string key, k8s::LabelRequirement::Op op,
                                     std::vector<std::string> values = {}) {
  return {{}, {{std::move(key), op, std::move(values)}}};
}

inline k8s::NetworkPolicyPeer pods(k8s::LabelSelector pod_selector) {
  return {std::move(pod_selector), std::nullopt, std::nullopt};
}
inline k8s::NetworkPolicyPeer namespaces(k8s::LabelSelector ns) {
  return {std::nullopt, std::move(ns), std::nullopt};
}
inline k8s::NetworkPolicyPeer pods_in(k8s::LabelSelector ns, k8s::LabelSelector pod_selector) {
  return {std::move(pod_selector), std::move(ns), std::nullopt};
}
inline k8s::NetworkPolicyPeer block(std::string_view within,
                                    const std::vector<std::string>& except = {}) {
  k8s::IpBlock out{cidr(within), {}};
  for (const std::string& part : except) out.except.push_back(cidr(part));
  return {std::nullopt, std::nullopt, std::move(out)};
}

inline k8s::NetworkPolicyPort any_port(k8s::Protocol protocol) {
  return {protocol, std::nullopt, std::nullopt};
}
inline k8s::NetworkPolicyPort port(int number, k8s::Protocol protocol = k8s::Protocol::kTcp,
                                   std::optional<int> end = std::nullopt) {
  return {protocol, k8s::IntOrString{number, ""}, end};
}
inline k8s::NetworkPolicyPort port(std::string name, k8s::Protocol protocol = k8s::Protocol::kTcp) {
  return {protocol, k8s::IntOrString{0, std::move(name)}, std::nullopt};
}

inline k8s::NetworkPolicyRule rule(std::vector<k8s::NetworkPolicyPeer> peers,
                                   std::vector<k8s::NetworkPolicyPort> ports = {}) {
  return {std::move(peers), std::move(ports), {}};
}

// The directions that isolate follow from which lists are given.
inline k8s::NetworkPolicy network_policy(
    std::string ns, std::string name, k8s::LabelSelector subject,
    std::optional<std::vector<k8s::NetworkPolicyRule>> ingress,
    std::optional<std::vector<k8s::NetworkPolicyRule>> egress = {}) {
  k8s::NetworkPolicy out;
  out.meta.ns = std::move(ns);
  out.meta.name = std::move(name);
  out.pod_selector = std::move(subject);
  out.isolates_ingress = ingress.has_value();
  out.isolates_egress = egress.has_value();
  out.ingress = std::move(ingress).value_or(std::vector<k8s::NetworkPolicyRule>{});
  out.egress = std::move(egress).value_or(std::vector<k8s::NetworkPolicyRule>{});
  return out;
}

// "ns/name".
inline world::Endpoint pod(const std::string& key, k8s::Labels labels,
                           const std::vector<std::string>& addresses,
                           std::vector<k8s::ContainerPort> ports = {}) {
  world::Endpoint out;
  size_t slash = key.find('/');
  out.ns = key.substr(0, slash);
  out.name = key.substr(slash + 1);
  out.labels = std::move(labels);
  for (const std::string& address : addresses) out.ips.push_back(ip(address));
  out.ports = std::move(ports);
  return out;
}

inline void add(world::World& world, k8s::NetworkPolicy policy) {
  world.network_policies.push_back(std::make_shared<k8s::NetworkPolicy>(std::move(policy)));
}
inline void add(world::World& world, k8s::ClusterNetworkPolicy policy) {
  world.cluster_policies.push_back(std::make_shared<k8s::ClusterNetworkPolicy>(std::move(policy)));
}

// What the compiled tables say, in the words of the evaluator. An address to itself and a source
// on the pod's own node are left to the caller: the tables do not tell them from default allow.
inline Verdict compiled_verdict(const Compiled& compiled, const RuleRegistry& rules, const Ip& from,
                                const Ip& to, k8s::Protocol protocol, uint16_t port) {
  Compiled::Answer answer = compiled.decide(from, to, static_cast<uint8_t>(protocol), port);
  auto part = [&](RuleId id) {
    DirectionVerdict out;
    if (id == 0) return out;
    const RuleInfo* info = rules.find(id);
    if (info == nullptr) throw std::logic_error("rule id without a rule");
    out.allow = info->action == Action::kAllow;
    out.reason = info->reason;
    out.policy = info->policy;
    if (info->rule >= 0) out.rule = info->rule;
    out.isolated_by = info->isolated_by;
    return out;
  };
  Verdict verdict;
  verdict.allow = answer.allow;
  verdict.egress = part(answer.egress_rule);
  verdict.ingress = part(answer.ingress_rule);
  return verdict;
}

}  // namespace sallyport::policy::testing
