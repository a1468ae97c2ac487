// The surroundings of a shim, made once when it starts: a mount namespace with only what it needs,
// the pod's hostname, loopback and network settings.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

// `state_path` is the pod's state directory on the host; it becomes layout::kState.
Status set_up_shim(const Plan& plan, const std::string& state_path);

}  // namespace sallyport::runtime
