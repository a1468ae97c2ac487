// The file system of one container: a private overlay on the host's root, with everything masked
// that a pod may not see, and the pod's volumes.
#pragma once

#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

// Call in a mount namespace of the container's own, made from the shim's. The container's root is
// the process's root afterwards.
Status enter_container_root(const Plan& plan, const PlannedContainer& container);

}  // namespace sallyport::runtime
