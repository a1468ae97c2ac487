#include "policy/lower.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "policy/rule_hash.h"

namespace sallyport::policy {
namespace {

constexpr Direction kDirections[] = {Direction::kEgress, Direction::kIngress};

void sort_peers(LoweredRule& rule) {
  std::sort(rule.peers.begin(), rule.peers.end());
  rule.peers.erase(std::unique(rule.peers.begin(), rule.peers.end()), rule.peers.end());
}

LoweredRule lower_rule(const std::string& ns, const k8s::NetworkPolicyRule& rule, PeerTable& peers,
                       PortNames& names) {
  LoweredRule out;
  out.effect = Effect::kAllow;
  out.everyone = rule.peers.empty();
  for (const k8s::NetworkPolicyPeer& peer : rule.peers) {
    if (peer.ip_block) {
      out.peers.push_back(peers.block(*peer.ip_block));
    } else if (peer.namespace_selector) {
      out.peers.push_back(peers.pods(
          {"", *peer.namespace_selector, peer.pod_selector.value_or(k8s::LabelSelector{})}));
    } else if (peer.pod_selector) {
      out.peers.push_back(peers.pods({ns, {}, *peer.pod_selector}));
    }
  }
  sort_peers(out);
  out.everything = rule.ports.empty();
  for (const k8s::NetworkPolicyPort& port : rule.ports) {
    PortMatch match{port.protocol, std::nullopt, 0, 65535};
    if (port.port && port.port->is_name()) {
      match.name = names.intern(port.port->name);
    } else if (port.port) {
      match.first = static_cast<uint16_t>(port.port->number);
      match.last = static_cast<uint16_t>(port.end_port.value_or(port.port->number));
    }
    out.ports.push_back(match);
  }
  return out;
}

// Nothing where the rule can match nothing.
std::optional<LoweredRule> lower_rule(const k8s::CnpRule& rule, PeerTable& peers,
                                      PortNames& names) {
  LoweredRule out;
  bool accept = rule.action == k8s::CnpAction::kAccept;
  out.effect = accept                                 ? Effect::kAllow
               : rule.action == k8s::CnpAction::kPass ? Effect::kPass
                                                      : Effect::kDeny;
  bool unknown = rule.peers.empty();
  for (const k8s::CnpPeer& peer : rule.peers) {
    if (peer.pods) {
      out.peers.push_back(peers.pods({"", peer.pods->namespace_selector, peer.pods->pod_selector}));
    } else if (!peer.networks.empty()) {
      for (const Cidr& cidr : peer.networks) out.peers.push_back(peers.block({cidr, {}}));
    } else if (peer.nodes) {
      out.peers.push_back(peers.nodes(*peer.nodes));
    } else if (peer.domain_names.empty()) {
      unknown = true;
    }
    if (!peer.domain_names.empty() && !accept) unknown = true;
  }
  sort_peers(out);
  out.everything = rule.protocols.empty();
  for (const k8s::CnpProtocol& protocol : rule.protocols) {
    PortMatch match{protocol.protocol, std::nullopt, static_cast<uint16_t>(protocol.first_port),
                    static_cast<uint16_t>(protocol.last_port)};
    if (!protocol.protocol && protocol.named_port.empty())
      unknown = true;
    else if (!protocol.protocol)
      match.name = names.intern(protocol.named_port);
    out.ports.push_back(match);
  }
  if (!unknown) return out;
  if (accept) return std::nullopt;
  LoweredRule closed;  // "treat the rule as a Deny all rule"
  closed.everyone = closed.everything = true;
  return closed;
}

LoweredPolicy lower_policy(const k8s::NetworkPolicy& policy, PeerTable& peers, Lowered& all,
                           RuleRegistry& registry) {
  LoweredPolicy out;
  out.name = policy.meta.ns + "/" + policy.meta.name;
  out.subject = {policy.meta.ns, {}, policy.pod_selector};
  out.isolates[static_cast<size_t>(Direction::kEgress)] = policy.isolates_egress;
  out.isolates[static_cast<size_t>(Direction::kIngress)] = policy.isolates_ingress;
  for (Direction direction : kDirections) {
    auto d = static_cast<size_t>(direction);
    if (!out.isolates[d]) continue;  // rules of a direction that policyTypes omits do nothing
    const auto& rules = direction == Direction::kEgress ? policy.egress : policy.ingress;
    for (size_t i = 0; i < rules.size(); ++i) {
      LoweredRule rule = lower_rule(policy.meta.ns, rules[i], peers, all.names[d]);
      RuleInfo info{0, direction, Reason::kRule, Action::kAllow, out.name, static_cast<int>(i), {}};
      rule.id = registry.intern(info, rule_hash(rules[i]));
      out.rules[d].push_back(std::move(rule));
    }
  }
  return out;
}

LoweredPolicy lower_policy(const k8s::ClusterNetworkPolicy& policy, PeerTable& peers, Lowered& all,
                           RuleRegistry& registry) {
  LoweredPolicy out;
  out.name = "ClusterNetworkPolicy/" + policy.meta.name;
  out.subject = {"", policy.subject.namespace_selector, policy.subject.pod_selector};
  for (Direction direction : kDirections) {
    auto d = static_cast<size_t>(direction);
    const auto& rules = direction == Direction::kEgress ? policy.egress : policy.ingress;
    for (size_t i = 0; i < rules.size(); ++i) {
      auto rule = lower_rule(rules[i], peers, all.names[d]);
      if (!rule) continue;
      if (rule->effect != Effect::kPass) {
        Action action = rule->effect == Effect::kAllow ? Action::kAllow : Action::kDeny;
        RuleInfo info{0, direction, Reason::kRule, action, out.name, static_cast<int>(i), {}};
        rule->id = registry.intern(info, rule_hash(rules[i]));
      }
      out.rules[d].push_back(*std::move(rule));
    }
  }
  return out;
}

}  // namespace

NamedPorts named_ports_of(const std::vector<k8s::ContainerPort>& ports, const PortNames& names) {
  NamedPorts out;
  for (const k8s::ContainerPort& port : ports) {
    auto found = names.ids().find(port.name);
    if (port.name.empty() || found == names.ids().end()) continue;
    auto number = static_cast<uint16_t>(port.port);
    out.push_back({found->second, {port.protocol, number, number}});
  }
  auto key = [](const NamedPort& p) { return std::tuple(p.name, p.port.protocol, p.port.first); };
  std::sort(out.begin(), out.end(),
            [&](const NamedPort& a, const NamedPort& b) { return key(a) < key(b); });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool LoweredRule::named() const {
  return std::any_of(ports.begin(), ports.end(),
                     [](const PortMatch& match) { return match.name.has_value(); });
}

Step LoweredRule::step(const NamedPorts& names) const {
  Step out{effect, id, everything, {}};
  for (const PortMatch& match : ports) {
    if (!match.name) {
      if (match.protocol) out.ports.push_back({*match.protocol, match.first, match.last});
      continue;
    }
    for (const NamedPort& named : names)
      if (named.name == *match.name && (!match.protocol || *match.protocol == named.port.protocol))
        out.ports.push_back(named.port);
  }
  return out;
}

Lowered lower(const world::World& world, bool with_cluster_policies, PeerTable& peers,
              RuleRegistry& rules) {
  Lowered out;
  for (const auto& policy : world.network_policies)
    out.network.push_back(lower_policy(*policy, peers, out, rules));
  if (!with_cluster_policies) return out;
  std::vector<const k8s::ClusterNetworkPolicy*> ordered;
  ordered.reserve(world.cluster_policies.size());
  for (const auto& policy : world.cluster_policies) ordered.push_back(policy.get());
  std::sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
    return std::tie(a->priority, a->meta.name) < std::tie(b->priority, b->meta.name);
  });
  for (const k8s::ClusterNetworkPolicy* policy : ordered) {
    auto& tier = policy->tier == k8s::CnpTier::kAdmin ? out.admin : out.baseline;
    tier.push_back(lower_policy(*policy, peers, out, rules));
  }
  return out;
}

}  // namespace sallyport::policy
