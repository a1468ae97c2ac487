// Starts the process of a container, or one more process inside a running container, from the shim.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

struct StartedProcess {
  pid_t pid = 0;
  Fd report;    // what read_report() reads
  Fd out, err;  // read ends of its output; only of start_container
};

// How a start went. The mount namespace is held open: while it is, no other can have its number, so
// that what belongs to the container is never confused with another's.
struct StartReport {
  Fd mount_namespace;  // only of start_container
  std::string error;   // empty and `finished`: the program runs
  bool finished = false;
};
// Takes in what has come; never waits.
void read_report(const Fd& report, StartReport& into);

Result<StartedProcess> start_container(const Plan& plan, const PlannedContainer& container,
                                       const std::vector<int>& cgroup_procs);

struct ExecFiles {
  int in = -1, out = -1, err = -1;
};
// `main_pid` is the running container's first process; the new one leads a session of its own.
Result<StartedProcess> start_in_container(const PlannedContainer& container, pid_t main_pid,
                                          const std::vector<std::string>& argv,
                                          const ExecFiles& files,
                                          const std::vector<int>& cgroup_procs);

// Sends SIGKILL to each process in this mount namespace; how many there were. Once is not enough
// for a process that forks: call until it returns 0.
size_t kill_all_in(const Fd& mount_namespace);

}  // namespace sallyport::runtime
