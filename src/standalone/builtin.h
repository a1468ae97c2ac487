// The objects that every standalone node has without a manifest: the system namespaces and the DNS
// server, a pod like any other.
#pragma once

#include <vector>

#include "k8s/objects.h"
#include "node/network.h"

namespace sallyport::standalone {

inline constexpr char kClusterDomain[] = "cluster.local";
inline constexpr char kDnsRecordsMount[] = "/etc/sallyport-dns";
inline constexpr char kDnsRecordsFile[] = "zone";
inline constexpr char kNodeName[] = "sallyport";

// Adds what the manifests do not have themselves: namespaces default and kube-system, a Node, and
// (where kube-system has no Service kube-dns) the DNS pod and its Service.
void add_builtin(std::vector<k8s::AnyObject>& objects, const node::Ranges& ranges);

[[nodiscard]] bool is_builtin_dns(const k8s::Pod& pod);

// The address of the kube-dns Service: the tenth of the Service range.
Ip dns_address4(const node::Ranges& ranges);

}  // namespace sallyport::standalone
