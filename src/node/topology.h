// The two namespaces of a standalone node and the link between them.
//
//   node:    lo has the node's addresses and the IPv4 source of probes (the IPv6 one is on each
//            pod's link, being of that link alone); uplink0 leads outside, with the default routes,
//            so that whatever has no other way passes FORWARD and is judged there.
//   outside: lo answers for the whole outside range; forwards nothing, so that all else ends here.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "node/ranges.h"

namespace sallyport::node {

// Pods' links on the node's side are in this group, to be deleted together.
constexpr uint32_t kPodLinkGroup = 0x5a11;
// Links of pods that are gone: down, and deleted soon.
constexpr uint32_t kDoomedLinkGroup = 0x5a12;

struct Topology {
  Fd node, outside;
  bool taken_over = false;  // it was there
};

// Opens what is kept below `dir`, or builds it. What an interrupted build left is built anew: no
// pod was ever in it. kConflict where the layout is of another version.
Result<Topology> open_topology(const std::string& dir, const Ranges& ranges);

// What is kept below `dir`, of whatever layout; without what is not there.
Topology find_topology(const std::string& dir);

// Deletes links and mounts, and the files that open_topology made in `dir`.
Status remove_topology(const std::string& dir, Topology& topology);

}  // namespace sallyport::node
