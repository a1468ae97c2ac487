#include "policy/match.h"

#include <algorithm>

#include "k8s/selector.h"

namespace sallyport::policy {
namespace {

// The container port must agree in name, protocol and number.
bool named_port_matches(const world::Endpoint* destination, const std::string& name,
                        k8s::Protocol protocol, uint16_t port) {
  if (destination == nullptr) return false;
  return std::any_of(destination->ports.begin(), destination->ports.end(),
                     [&](const k8s::ContainerPort& p) {
                       return p.name == name && p.protocol == protocol && p.port == port;
                     });
}

bool is_node_address(const world::World& world, const k8s::LabelSelector& selector, const Ip& ip) {
  return std::any_of(world.nodes.begin(), world.nodes.end(), [&](const world::NodeInfo& node) {
    return k8s::matches(selector, node.labels) &&
           std::find(node.addresses.begin(), node.addresses.end(), ip) != node.addresses.end();
  });
}

}  // namespace

bool peer_matches(const Scene& scene, const std::string& policy_ns,
                  const k8s::NetworkPolicyPeer& peer) {
  if (peer.ip_block) {
    if (!scene.remote.ip || !peer.ip_block->cidr.contains(*scene.remote.ip)) return false;
    return std::none_of(peer.ip_block->except.begin(), peer.ip_block->except.end(),
                        [&](const Cidr& except) { return except.contains(*scene.remote.ip); });
  }
  if (!peer.pod_selector && !peer.namespace_selector) return false;  // the API server refuses it
  const world::Endpoint* pod = scene.remote.pod;
  if (pod == nullptr) return false;
  if (peer.namespace_selector) {
    if (!k8s::matches(*peer.namespace_selector, scene.world->namespace_labels(pod->ns)))
      return false;
  } else if (pod->ns != policy_ns) {
    return false;
  }
  return !peer.pod_selector || k8s::matches(*peer.pod_selector, pod->labels);
}

bool port_matches(const Scene& scene, const k8s::NetworkPolicyPort& port) {
  if (port.protocol != scene.protocol) return false;
  if (!port.port) return true;
  if (port.port->is_name())
    return named_port_matches(scene.destination(), port.port->name, scene.protocol, scene.port);
  return scene.port >= port.port->number && scene.port <= port.end_port.value_or(port.port->number);
}

bool rule_matches(const Scene& scene, const std::string& policy_ns,
                  const k8s::NetworkPolicyRule& rule) {
  bool peers = rule.peers.empty() ||
               std::any_of(rule.peers.begin(), rule.peers.end(),
                           [&](const auto& peer) { return peer_matches(scene, policy_ns, peer); });
  if (!peers) return false;
  return rule.ports.empty() ||
         std::any_of(rule.ports.begin(), rule.ports.end(),
                     [&](const auto& port) { return port_matches(scene, port); });
}

bool pods_match(const world::World& world, const k8s::CnpPods& pods, const world::Endpoint* pod) {
  return pod != nullptr && k8s::matches(pods.namespace_selector, world.namespace_labels(pod->ns)) &&
         k8s::matches(pods.pod_selector, pod->labels);
}

bool peer_matches(const Scene& scene, const k8s::CnpPeer& peer) {
  if (peer.pods) return pods_match(*scene.world, *peer.pods, scene.remote.pod);
  if (!scene.remote.ip) return false;
  if (!peer.networks.empty())
    return std::any_of(peer.networks.begin(), peer.networks.end(),
                       [&](const Cidr& cidr) { return cidr.contains(*scene.remote.ip); });
  if (peer.nodes) return is_node_address(*scene.world, *peer.nodes, *scene.remote.ip);
  return false;
}

bool protocol_matches(const Scene& scene, const k8s::CnpProtocol& protocol) {
  if (!protocol.protocol)
    return named_port_matches(scene.destination(), protocol.named_port, scene.protocol, scene.port);
  return *protocol.protocol == scene.protocol && scene.port >= protocol.first_port &&
         scene.port <= protocol.last_port;
}

bool has_unknown_form(const k8s::CnpRule& rule) {
  for (const k8s::CnpPeer& peer : rule.peers) {
    bool named = !peer.domain_names.empty();
    if (!peer.pods && peer.networks.empty() && !peer.nodes && !named) return true;
    if (named && rule.action != k8s::CnpAction::kAccept) return true;
  }
  if (rule.peers.empty()) return true;  // the API asks for at least one
  return std::any_of(rule.protocols.begin(), rule.protocols.end(),
                     [](const auto& p) { return !p.protocol && p.named_port.empty(); });
}

bool rule_matches(const Scene& scene, const k8s::CnpRule& rule) {
  if (std::none_of(rule.peers.begin(), rule.peers.end(),
                   [&](const auto& peer) { return peer_matches(scene, peer); }))
    return false;
  return rule.protocols.empty() ||
         std::any_of(rule.protocols.begin(), rule.protocols.end(),
                     [&](const auto& protocol) { return protocol_matches(scene, protocol); });
}

}  // namespace sallyport::policy
