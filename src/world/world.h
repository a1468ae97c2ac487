// The world: an immutable snapshot of all objects, indexed for policy. Every consumer (evaluator,
// compiler, gate, services, DNS) reads the same snapshot; a change builds a new one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "k8s/mesh_settings.h"
#include "k8s/objects.h"

namespace sallyport::world {

// A pod as policy sees it.
struct Endpoint {
  uint32_t id = 0;  // monotonic, never reused while the run's state lives; 0 in offline worlds
  std::string ns;
  std::string name;
  std::string uid;
  k8s::Labels labels;
  std::map<std::string, std::string> annotations;
  std::vector<Ip> ips;  // both families
  std::vector<k8s::ContainerPort> ports;
  std::string node;             // spec.nodeName
  std::string service_account;  // for the mesh gate
  bool host_network = false;    // never a subject or peer of selectors
  bool terminated = false;      // phase Succeeded or Failed: neither subject nor peer
  bool ready = false;           // in its Services
  bool terminating = false;     // deletion has begun: still enforced, no longer in Services

  [[nodiscard]] std::string key() const { return ns + "/" + name; }
  // Takes part in policy as subject and as selector peer.
  [[nodiscard]] bool selectable() const { return !host_network && !terminated; }
};

struct NodeInfo {
  std::string name;
  k8s::Labels labels;
  std::vector<Ip> addresses;
};

class World {
 public:
  uint64_t revision = 0;                          // grows with each snapshot
  std::map<std::string, k8s::Labels> namespaces;  // kubernetes.io/metadata.name is always there
  std::vector<Endpoint> endpoints;                // sorted by (ns, name)
  std::vector<std::shared_ptr<const k8s::NetworkPolicy>> network_policies;         // (ns, name)
  std::vector<std::shared_ptr<const k8s::ClusterNetworkPolicy>> cluster_policies;  // (name)
  std::vector<std::shared_ptr<const k8s::Service>> services;                       // (ns, name)
  // Istio's security kinds, sorted by (ns, name).
  std::vector<std::shared_ptr<const k8s::AuthorizationPolicy>> authorization_policies;
  std::vector<std::shared_ptr<const k8s::PeerAuthentication>> peer_authentications;
  std::vector<std::shared_ptr<const k8s::RequestAuthentication>> request_authentications;
  k8s::MeshSettings mesh;
  std::vector<NodeInfo> nodes;

  // Sorts, adds the namespaces that are only implied (with their one synthesised label, and their
  // names in implied_namespaces), and builds the indices. Call once, after filling.
  void finish();
  std::vector<std::string> implied_namespaces;

  [[nodiscard]] const Endpoint* find_pod(std::string_view ns, std::string_view name) const;
  // The selectable or host-network pod that has the address; terminated pods have none.
  [[nodiscard]] const Endpoint* find_ip(const Ip& ip) const;
  [[nodiscard]] const k8s::Labels& namespace_labels(const std::string& ns) const;

 private:
  std::unordered_map<Ip, size_t> by_ip_;
};

using WorldPtr = std::shared_ptr<const World>;

// An offline world straight from manifests: pods with their status.podIPs (pods without an address
// get none), Deployments and the like are expanded by the caller beforehand.
World from_objects(const std::vector<k8s::AnyObject>& objects);

}  // namespace sallyport::world
