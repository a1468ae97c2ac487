// Starts a shim in new namespaces.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

struct SpawnedShim {
  pid_t pid = 0;
  Fd pidfd;
};

// Returns when the shim waits on its socket; on error it has been reaped. `state_path` exists.
// `cgroup_dir` is an open directory of cgroup v2 to start in, or -1.
Result<SpawnedShim> spawn_shim(const std::string& self_exe, const Plan& plan,
                               const std::string& state_path, int cgroup_dir);

}  // namespace sallyport::runtime
