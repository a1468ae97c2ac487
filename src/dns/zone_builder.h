// The records of a world's Services and of the pods behind them, as the Kubernetes DNS
// specification (version 1.1) has them.
#pragma once

#include <functional>
#include <vector>

#include "dns/server.h"
#include "k8s/objects.h"
#include "world/world.h"

namespace sallyport::dns {

// The Service's cluster addresses, as the node assigned them; not asked for headless ones.
using ClusterIps = std::function<std::vector<Ip>(const k8s::Service&)>;

//   SVC.NS.svc.DOMAIN                   its cluster addresses; headless: those of its endpoints
//   POD.SVC.NS.svc.DOMAIN               headless: each endpoint by its pod's name,
//   198-18-0-5.SVC.NS.svc.DOMAIN        and by its address
//   _PORT._PROTO.SVC.NS.svc.DOMAIN      SRV for named ports
//   reverse names of cluster addresses and of headless endpoints
//
// Endpoints are ready pods that have not ended; publishNotReadyAddresses takes those that are not
// ready, too. Names that DNS cannot have are left out.
Zone build_zone(const world::World& world, const ClusterIps& cluster_ips);

}  // namespace sallyport::dns
