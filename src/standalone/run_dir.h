// The directories of one run, and who owns it.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::standalone {

// Where everything of the run NAME is. Runtime state goes with the run; lasting state stays.
struct RunPaths {
  std::string name;
  std::string run;           // /run/sallyport/NAME
  std::string lasting;       // /var/lib/sallyport/NAME
  std::string lock;          // held by the living node process
  std::string state;         // state.json
  std::string admin_socket;  // admin.sock
  std::string bpf;           // a bpffs of the run's own
  std::string dns;           // the DNS server's records, shown to its pod
  std::string cgroup;        // name of the run's cgroup
};

// A name is a DNS label of at most 20 characters.
Result<RunPaths> run_paths(const std::string& name);

// Names of all runs that have a run directory, living or not.
std::vector<std::string> list_runs();

// Creates the directories (0700) and mounts the bpffs where it is missing.
Status make_run_dirs(const RunPaths& paths);

// Unmounts and removes the run directory; what is gone already is fine.
Status remove_run_dirs(const RunPaths& paths);

// The lock of the living node process; the kernel frees it when the process ends.
class RunLock {
 public:
  // kConflict where another living process has it.
  static Result<RunLock> take(const RunPaths& paths);
  // True where a living process has it.
  static bool held(const RunPaths& paths);

 private:
  explicit RunLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace sallyport::standalone
