// The standalone node's network: an isolated node namespace, the outside world behind its default
// route, a veth per pod, addresses, and Services. Nothing in it has a route to the host.
//
//   pod netns --veth--> node netns (FORWARD: gate 1) --veth--> outside netns (echo servers)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "world/world.h"

namespace sallyport::node {

// The ranges of reference: all simulated addresses come from 198.18.0.0/15 and fd00::/8.
struct Ranges {
  Cidr pods4, pods6;          // 198.18.0.0/16, fd00:5a11:0::/64 ...
  Cidr services4, services6;  // 198.19.0.0/17
  Cidr outside4, outside6;    // 198.19.128.0/17
  Ip node4, node6;            // the node's own addresses, outside the pod and Service ranges
};
Ranges default_ranges();

struct PodAddresses {
  Ip v4, v6;
};

struct PodLink {
  int ifindex = 0;  // the node's side
  std::string name;
};

class NodeNetwork {
 public:
  // Builds, or takes over what a killed node left: the namespaces are kept by bind mounts below
  // `state_dir`/netns (node, outside).
  static Result<std::unique_ptr<NodeNetwork>> open(const std::string& state_dir);
  virtual ~NodeNetwork() = default;

  [[nodiscard]] virtual int node_netns() const = 0;
  [[nodiscard]] virtual int outside_netns() const = 0;
  [[nodiscard]] virtual const Ranges& ranges() const = 0;

  // Addresses of a new pod; an address is not given again within 60 s of release. The pool's state
  // is rebuilt by claim() after a restart.
  virtual Result<PodAddresses> allocate(Clock& clock) = 0;
  virtual Status claim(const PodAddresses& addresses) = 0;
  virtual void release(const PodAddresses& addresses, Clock& clock) = 0;

  // Wires the pod's namespace: veth with /32 and /128, default routes by a link-local gateway. The
  // node's side stays DOWN until connect(): the gate learns the ifindex in between.
  virtual Result<PodLink> prepare(int pod_netns, const std::string& link_name,
                                  const PodAddresses& addresses) = 0;
  virtual Status connect(const PodLink& link, const PodAddresses& addresses) = 0;
  virtual Status disconnect(const PodLink& link) = 0;  // missing is fine

  // Cluster addresses: as written in the Service, else a stable one from the range (by hash of
  // ns/name, linear probing). Fails where two Services ask for one address.
  virtual Result<std::vector<Ip>> assign_cluster_ips(const k8s::Service& service) = 0;

  // Translates every Service of the world to its ready endpoints (nftables in the node's
  // namespace, replaced atomically), and deletes connection-tracking entries of endpoints that are
  // gone. Does nothing where the outcome is the same as last time.
  virtual Status apply_services(const world::World& world) = 0;

  // Ends everything: links, namespaces, mounts.
  virtual Status remove() = 0;
};

}  // namespace sallyport::node
