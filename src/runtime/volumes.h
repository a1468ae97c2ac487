// The volumes of a pod, made in the shim's tree before its first container starts.
#pragma once

#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

// Makes each volume as a directory below `root`; emptyDirs with a limit or medium Memory become a
// tmpfs of their own.
Status make_volumes(const Plan& plan, const std::string& root);

}  // namespace sallyport::runtime
