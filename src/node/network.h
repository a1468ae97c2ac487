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
#include "node/ranges.h"
#include "world/world.h"

namespace sallyport::node {

struct PodAddresses {
  Ip v4, v6;
};

struct PodLink {
  int ifindex = 0;  // the node's side
  std::string name;
};

// The methods may be called from several threads; each call is a whole.
class NodeNetwork {
 public:
  // Builds, or takes over what a killed node left: the namespaces are kept by bind mounts below
  // `state_dir`/netns (node, outside). kConflict where another version with another layout left
  // them; the message says what to do.
  static Result<std::unique_ptr<NodeNetwork>> open(const std::string& state_dir);
  // Removes what open() left there, also where open() itself refuses (another layout). Nothing
  // there is fine.
  static Status discard(const std::string& state_dir);
  virtual ~NodeNetwork() = default;

  [[nodiscard]] virtual int node_netns() const = 0;
  [[nodiscard]] virtual int outside_netns() const = 0;
  [[nodiscard]] virtual const Ranges& ranges() const = 0;

  // Addresses of a new pod; an address is not given again within 60 s of release. The pool's state
  // is rebuilt by claim() after a restart. kExhausted where none is free.
  virtual Result<PodAddresses> allocate(Clock& clock) = 0;
  virtual Status claim(const PodAddresses& addresses) = 0;
  virtual void release(const PodAddresses& addresses, Clock& clock) = 0;

  // Wires the pod's namespace: veth with /32 and /128, default routes by a link-local gateway. The
  // node's side stays DOWN until connect(): the gate learns the ifindex in between. link_name has
  // at most 15 characters and does not begin with "uplink".
  virtual Result<PodLink> prepare(int pod_netns, const std::string& link_name,
                                  const PodAddresses& addresses) = 0;
  // Afterwards the pod's first packet passes, in both families and both directions.
  virtual Status connect(const PodLink& link, const PodAddresses& addresses) = 0;
  // Nothing passes afterwards, and the name is free; the link itself is deleted in the background.
  // Missing is fine.
  virtual Status disconnect(const PodLink& link) = 0;

  // Cluster addresses: as written in the Service, else a stable one from the range (by hash of
  // ns/name, linear probing). Fails where two Services ask for one address. Headless: none. To be
  // asked for every Service of a new world, which apply_services() then makes final.
  virtual Result<std::vector<Ip>> assign_cluster_ips(const k8s::Service& service) = 0;

  // Translates every Service of the world to its ready endpoints (nftables in the node's
  // namespace, replaced atomically), and deletes connection-tracking entries of endpoints that are
  // gone. Does nothing where the outcome is the same as last time. The Services' cluster_ips must
  // be filled. The first call after a takeover should know which pods are ready, since a Service
  // without ready endpoints refuses.
  virtual Status apply_services(const world::World& world) = 0;

  // Ends everything: links, namespaces, mounts. Processes inside (the echo server, pods) are the
  // caller's to end before; a namespace lives on as long as one of them does.
  virtual Status remove() = 0;
};

}  // namespace sallyport::node
