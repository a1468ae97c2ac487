// Which pods are in the mesh, and what their annotations take out of it.
//
// A pod is meshed where its namespace says so (sallyport.dev/mesh: enabled, istio-injection:
// enabled, or istio.io/dataplane-mode: ambient) and the pod does not opt out (label or annotation
// sidecar.istio.io/inject: "false", label istio.io/dataplane-mode: none); a pod may also opt in by
// itself (sidecar.istio.io/inject: "true", istio.io/dataplane-mode: ambient) unless the namespace
// says `disabled` or `none`. Host-network pods and pods that have ended never are.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "world/world.h"

namespace sallyport::mesh {

struct Membership {
  bool meshed = false;
  std::set<uint16_t> exclude_inbound_ports;   // traffic.sidecar.istio.io/excludeInboundPorts
  std::set<uint16_t> exclude_outbound_ports;  // ...excludeOutboundPorts
  std::vector<Cidr> exclude_outbound_ranges;  // ...excludeOutboundIPRanges
  // sallyport.dev/allow-escaped-slashes: "true": a path may hold %2F in a segment (authz/path.h).
  bool allow_escaped_slashes = false;
  std::vector<std::string> problems;  // annotation values that are wrong; none is half-read
  bool operator==(const Membership&) const = default;
};

enum class UnlabelledPods { kOut, kIn };  // kIn: `explain --world` counts every pod in

[[nodiscard]] Membership membership(const world::World& world, const world::Endpoint& pod,
                                    UnlabelledPods unlabelled = UnlabelledPods::kOut);

// The wanted protocol of a workload's port, by the Services that lead to it (appProtocol, else the
// port's name up to the first dash, as Istio reads them). kUndeclared: detect.
enum class AppProtocol : uint8_t { kUndeclared, kTcp, kHttp, kHttp2, kGrpc, kTls };
[[nodiscard]] AppProtocol declared_protocol(const k8s::ServicePort& port);
[[nodiscard]] AppProtocol inbound_protocol(const world::World& world, const world::Endpoint& pod,
                                           uint16_t port);
std::string_view to_string(AppProtocol protocol);

}  // namespace sallyport::mesh
