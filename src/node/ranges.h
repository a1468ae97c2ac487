// The addresses of a standalone node. All are from 198.18.0.0/15 (RFC 2544, for tests) and fd00::/8
// (RFC 4193, local), so that none is ever a real destination.
#pragma once

#include "base/ip.h"

namespace sallyport::node {

struct Ranges {
  Cidr pods4, pods6;          // 198.18.0.0/16,    fd00:5a11::/64
  Cidr services4, services6;  // 198.19.0.0/17,    fd00:5a11:0:1::/112
  Cidr outside4, outside6;    // 198.19.128.0/17,  fd00:5a11:0:2::/64
  // The node's own: 198.19.255.1 and fd00:5a11:0:3::1. The three IPv4 ranges fill the /15, so the
  // node's IPv4 address lies in the outside range, at its end; every other address there answers
  // from the outside world (but 198.19.255.2, its end of the link).
  Ip node4, node6;
  // From here the node probes pods, and nothing else ever speaks from here: 169.254.7.1 and
  // fe80::5a11:7, the same on every pod's link. Link-local, so that no router carries them on; the
  // gate drops them as a source of any pod, and a pod's redirection leaves them alone.
  Ip probe4, probe6;
};
Ranges default_ranges();

// The next hop of every pod, link-local and the same on each pod's link.
Ip pod_gateway4();  // 169.254.1.1
Ip pod_gateway6();  // fe80::1

// Ranges::probe4 and probe6, for those who have no Ranges.
Ip probe_source4();  // 169.254.7.1
Ip probe_source6();  // fe80::5a11:7

// The outside world's end of the link to the node.
Ip outside_router4();  // 198.19.255.2
Ip outside_router6();  // fe80::2

}  // namespace sallyport::node
