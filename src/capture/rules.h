// Interception inside one pod's network namespace: nftables, a routing rule and kernel settings.
//
//   outbound  TCP that leaves the pod is redirected to 127.0.0.1:15001 and [::1]:15001, unless the
//             socket has the pod's bypass mark or the destination is excluded.
//   inbound   TCP that comes in by a link is redirected to port 15006, unless it comes from the
//             node's probes or its port is excluded.
//   to app    The leg from the proxy to the application keeps the client's address, has a mark of
//             its own and is not tracked: tracked, it would collide with redirected connections.
//             Replies find back by the mark, which the application's sockets take over
//             (tcp_fwmark_accept) and which routes everything to lo.
//
// What the pod sends to its own addresses is left alone, as is everything that is not TCP. What
// would pass without having been redirected (packets that connection tracking refuses, crafted
// ones) is dropped in both directions, and the proxy's own ports accept only what was redirected.
// Rules vanish with the namespace.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace sallyport::capture {

inline constexpr uint16_t kOutboundPort = 15001;
inline constexpr uint16_t kInboundPort = 15006;

// Drawn at random for each pod: who may choose a mark (CAP_NET_ADMIN, CAP_NET_RAW) must not know
// which one passes. Never 0, never equal.
struct Marks {
  uint32_t outbound = 0;
  uint32_t to_app = 0;
  bool operator==(const Marks&) const = default;
};
Result<Marks> draw_marks();

struct Rules {
  Marks marks;
  std::vector<Ip> probe_sources;  // reserved addresses from which the node probes
  std::set<uint16_t> exclude_inbound_ports;
  std::set<uint16_t> exclude_outbound_ports;
  std::vector<Cidr> exclude_outbound_ranges;
  bool operator==(const Rules&) const = default;
};

// The script for nft: replaces what an earlier one left in the same transaction.
std::string ruleset(const Rules& rules);

// Settings and routing first, then all rules at once. May be repeated, also with other marks.
Status apply(int netns, const Rules& rules);
// For a pod that cannot be intercepted (a process of its has the ports): nothing but UDP, probes
// and what stays within the pod passes any more. Replaces the rules.
std::string deny_ruleset(const std::vector<Ip>& probe_sources);
Status deny(int netns, const std::vector<Ip>& probe_sources);
// Takes all of it back, for a pod that leaves the mesh. Nothing there is fine.
Status remove(int netns);

}  // namespace sallyport::capture
