// The last steps of a new container process, after fork and inside the container's mounts: cgroups,
// limits, working directory, user, capabilities, system call filter, program.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

// Descriptors open for writing on the cgroup.procs files that a container's processes join.
Status join_cgroups(const std::vector<int>& procs_files);

// Makes fds 0, 1 and 2 from these; all others close when the program starts.
Status set_standard_files(int in, int out, int err);

// Takes on the container's identity and runs argv (looked up in the PATH of its environment).
// Returns only where that failed.
Error run_program(const PlannedContainer& container, const std::vector<std::string>& argv);

}  // namespace sallyport::runtime
