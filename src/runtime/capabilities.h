// Linux capabilities of containers: containerd's default set, what a pod may add, and how a process
// takes them on. Names are those of the Kubernetes API: without CAP_.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace sallyport::runtime {

using CapabilitySet = uint64_t;  // bit N is capability N of linux/capability.h

CapabilitySet default_capabilities();

// Defaults, without `drop`, with `add`; "ALL" in drop empties the set first. kDenied names a
// capability that would let a container leave its isolation; kInvalid one that does not exist.
Result<CapabilitySet> container_capabilities(const std::vector<std::string>& add,
                                             const std::vector<std::string>& drop);

// Drops everything else from the bounding set. Needs CAP_SETPCAP.
Status limit_bounding_set(CapabilitySet keep);
// Sets permitted and effective; inheritable and ambient become empty.
Status set_capabilities(CapabilitySet set);

}  // namespace sallyport::runtime
