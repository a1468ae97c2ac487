// The veth of one pod: eth0 in the pod, with a /32 and a /128, and a link on the node's side with a
// route for each of the two. Neighbours are permanent entries on both sides: no packet waits for
// ARP or neighbour discovery, and no pod can change what the other side believes.
#pragma once

#include <string>

#include "base/result.h"
#include "net/netlink.h"
#include "node/network.h"

namespace sallyport::node {

// A link whose two ends are up still drops what is sent until the kernel has noticed the carrier.
// Waits for that, at most a second; asking makes the kernel look at once.
Status wait_until_operating(net::Netlink& links, int ifindex);

// The same for an IPv6 address that was just added: it is delivered a moment later.
Status wait_until_local(net::Netlink& links, const Ip& address);

// The pod's end between prepare and connect.
struct PodEnd {
  net::Netlink links;  // in the pod's namespace
  int ifindex = 0;
};

struct PreparedLink {
  PodLink link;
  PodEnd end;
};

// The node's side is left DOWN. Nothing is left behind by a failure.
Result<PreparedLink> prepare_pod_link(net::Netlink& node, int pod_netns, const std::string& name,
                                      const PodAddresses& addresses);

// May be repeated. `end` is null where the node process is not the one that prepared it.
// Afterwards the first packet passes.
Status connect_pod_link(net::Netlink& node, const PodLink& link, const PodAddresses& addresses,
                        PodEnd* end);

// Takes the link down and puts it into the group of doomed links; true if there was one. Its name
// is free at once, and nothing passes any more. A link that has the index but another name is left
// alone.
Result<bool> disconnect_pod_link(net::Netlink& node, const PodLink& link);

}  // namespace sallyport::node
