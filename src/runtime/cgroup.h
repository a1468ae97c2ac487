// The cgroups of pods, under version 2 or version 1 of the hierarchy, or both (a hybrid host has
// the controllers in version 1 and only the tree in version 2): BASE/UID for the pod,
// BASE/UID/CONTAINER below.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "runtime/plan.h"

namespace sallyport::runtime {

struct CgroupMounts {
  std::map<std::string, std::string> v1;  // controller -> mount point
  std::string v2;                         // mount point; empty: none
  std::set<std::string> v2_controllers;   // of memory, cpu, pids: those that version 2 serves
};

// From the text of /proc/self/mountinfo.
CgroupMounts parse_cgroup_mounts(std::string_view mountinfo);

struct ContainerCgroup {
  std::vector<Fd> procs;  // cgroup.procs of each hierarchy, for writing
  Fd oom;                 // memory.oom_control or memory.events; none without a memory controller
  Fd kill;                // cgroup.kill of version 2, which no fork escapes; none without version 2
};

class Cgroups {
 public:
  // Finds the hierarchies; BASE is made with the first pod and goes with the last.
  static Result<Cgroups> open(std::string base);
  Cgroups(std::string base, CgroupMounts mounts);

  // The open version 2 directory for the pod's shim to start in; empty without version 2.
  Result<Fd> make_pod(const std::string& uid);
  // kInvalid: the host has no controller for a limit that the container asks for.
  Result<ContainerCgroup> make_container(const std::string& uid, const std::string& container,
                                         const PlannedLimits& limits);
  Status remove_pod(const std::string& uid);            // its processes have ended; missing is fine
  [[nodiscard]] std::vector<std::string> pods() const;  // uids that have cgroups

 private:
  [[nodiscard]] std::vector<std::string> roots() const;  // mount points in use
  [[nodiscard]] std::string home_of(const std::string& controller) const;
  std::string base_;
  CgroupMounts mounts_;
};

}  // namespace sallyport::runtime
