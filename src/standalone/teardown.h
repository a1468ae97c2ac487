// Ends runs: asks the living node, or clears away what a dead one left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "standalone/run_dir.h"

namespace sallyport::standalone {

// `sallyport down`: returns when nothing of the run is left. kNotFound where there is no such run.
Status end_run(const std::string& name);

// Removes pods, links, namespaces, gate and directories of a run that no process holds.
Status tear_down_dead_run(const RunPaths& paths);

// SIGTERM, after a second SIGKILL, to the process with this pid and start time; gone is fine.
void end_process(pid_t pid, uint64_t start_time);

// SIGKILL to every process in the network namespace, and waits until they are gone (at most 2 s).
// For the outside world, where nothing but servers of ours runs.
void end_processes_in(int netns);

}  // namespace sallyport::standalone
