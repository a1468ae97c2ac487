// The four links of the gate (both families at FORWARD and LOCAL_IN) and their pins.
//
// The program of a netfilter link cannot be replaced in place and two links of one hook cannot
// share a priority: an upgrade attaches the new program at the other of two priorities, and only
// then lets the old link go.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::gate {

struct LinkPlace {
  const char* name;  // of the pin
  uint32_t family;   // NFPROTO_*
  uint32_t hook;     // enum nf_inet_hooks
};

// Attaches the program at all four places of the namespace and pins the links in `dir`. Links that
// are pinned there already and sit in this namespace with this program stay; others are replaced
// without a gap. `netns_fd` -1: the caller's own namespace.
Status attach_links(const std::string& dir, int program_fd, int netns_fd);

// Detaches and unpins whatever is there; missing is fine.
Status detach_links(const std::string& dir);

}  // namespace sallyport::gate
