#include "world/world.h"

#include <algorithm>

namespace sallyport::world {
namespace {

constexpr char kNameLabel[] = "kubernetes.io/metadata.name";

}  // namespace

void World::finish() {
  auto by_key = [](const auto& a, const auto& b) {
    return std::tie(a->meta.ns, a->meta.name) < std::tie(b->meta.ns, b->meta.name);
  };
  std::sort(endpoints.begin(), endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::tie(a.ns, a.name) < std::tie(b.ns, b.name);
  });
  std::sort(network_policies.begin(), network_policies.end(), by_key);
  std::sort(cluster_policies.begin(), cluster_policies.end(), by_key);
  std::sort(services.begin(), services.end(), by_key);
  std::sort(authorization_policies.begin(), authorization_policies.end(), by_key);
  std::sort(peer_authentications.begin(), peer_authentications.end(), by_key);
  std::sort(request_authentications.begin(), request_authentications.end(), by_key);

  auto imply = [&](const std::string& ns) {
    if (namespaces.try_emplace(ns).second) implied_namespaces.push_back(ns);
  };
  for (const Endpoint& endpoint : endpoints) imply(endpoint.ns);
  for (const auto& policy : network_policies) imply(policy->meta.ns);
  for (const auto& service : services) imply(service->meta.ns);
  for (const auto& policy : authorization_policies) imply(policy->meta.ns);
  for (const auto& policy : peer_authentications) imply(policy->meta.ns);
  for (const auto& policy : request_authentications) imply(policy->meta.ns);
  for (auto& [name, labels] : namespaces) labels[kNameLabel] = name;

  by_ip_.clear();
  for (size_t i = 0; i < endpoints.size(); ++i) {
    if (endpoints[i].terminated) continue;
    for (const Ip& ip : endpoints[i].ips) {
      // Where a host-network pod shares a node's address, an ordinary pod wins; it cannot happen
      // in a sound world.
      auto [slot, fresh] = by_ip_.try_emplace(ip, i);
      if (!fresh && endpoints[slot->second].host_network) slot->second = i;
    }
  }
}

const Endpoint* World::find_pod(std::string_view ns, std::string_view name) const {
  auto found =
      std::lower_bound(endpoints.begin(), endpoints.end(), std::pair(ns, name),
                       [](const Endpoint& e, const auto& key) {
                         return std::pair<std::string_view, std::string_view>(e.ns, e.name) < key;
                       });
  return found != endpoints.end() && found->ns == ns && found->name == name ? &*found : nullptr;
}

const Endpoint* World::find_ip(const Ip& ip) const {
  auto found = by_ip_.find(ip);
  return found == by_ip_.end() ? nullptr : &endpoints[found->second];
}

const k8s::Labels& World::namespace_labels(const std::string& ns) const {
  static const k8s::Labels kNone;
  auto found = namespaces.find(ns);
  return found == namespaces.end() ? kNone : found->second;
}

World from_objects(const std::vector<k8s::AnyObject>& objects) {
  World world;
  for (const k8s::AnyObject& any : objects) {
    if (const auto* ns = std::get_if<k8s::Namespace>(&any)) {
      world.namespaces[ns->meta.name] = ns->meta.labels;
    } else if (const auto* pod = std::get_if<k8s::Pod>(&any)) {
      Endpoint endpoint;
      endpoint.ns = pod->meta.ns;
      endpoint.name = pod->meta.name;
      endpoint.uid = pod->meta.uid;
      endpoint.labels = pod->meta.labels;
      endpoint.annotations = pod->meta.annotations;
      endpoint.ips = pod->status.pod_ips;
      for (const k8s::Container& container : pod->spec.containers)
        endpoint.ports.insert(endpoint.ports.end(), container.ports.begin(), container.ports.end());
      endpoint.node = pod->spec.node_name;
      endpoint.service_account = pod->spec.service_account;
      endpoint.host_network = pod->spec.host_network;
      endpoint.terminated = pod->status.phase == "Succeeded" || pod->status.phase == "Failed";
      endpoint.ready = pod->status.phase.empty() || pod->status.phase == "Running";
      world.endpoints.push_back(std::move(endpoint));
    } else if (const auto* policy = std::get_if<k8s::NetworkPolicy>(&any)) {
      world.network_policies.push_back(std::make_shared<k8s::NetworkPolicy>(*policy));
    } else if (const auto* cluster = std::get_if<k8s::ClusterNetworkPolicy>(&any)) {
      world.cluster_policies.push_back(std::make_shared<k8s::ClusterNetworkPolicy>(*cluster));
    } else if (const auto* service = std::get_if<k8s::Service>(&any)) {
      world.services.push_back(std::make_shared<k8s::Service>(*service));
    } else if (const auto* authorization = std::get_if<k8s::AuthorizationPolicy>(&any)) {
      world.authorization_policies.push_back(
          std::make_shared<k8s::AuthorizationPolicy>(*authorization));
    } else if (const auto* peer = std::get_if<k8s::PeerAuthentication>(&any)) {
      world.peer_authentications.push_back(std::make_shared<k8s::PeerAuthentication>(*peer));
    } else if (const auto* request = std::get_if<k8s::RequestAuthentication>(&any)) {
      world.request_authentications.push_back(
          std::make_shared<k8s::RequestAuthentication>(*request));
    } else if (const auto* node = std::get_if<k8s::Node>(&any)) {
      world.nodes.push_back({node->meta.name, node->meta.labels, node->addresses});
    }
  }
  // Wrong settings have been refused or reported where the objects were read.
  std::vector<k8s::Diagnostic> ignored;
  world.mesh = k8s::mesh_settings(objects, ignored);
  world.finish();
  return world;
}

}  // namespace sallyport::world
