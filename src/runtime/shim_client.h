// The node process's side of a shim's control socket, and what it knows of a shim from outside.
#pragma once

#include <sys/types.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "codec/value.h"

namespace sallyport::runtime {

// One request and its answer, within ten seconds. kInvalid carries the shim's refusal.
Result<codec::Value> ask_shim(const std::string& pod_dir, const codec::Value& body,
                              std::span<const int> fds = {});

// The running command of an exec: its answer arrives on the socket; closing it ends the command.
Result<Fd> begin_exec(const std::string& pod_dir, const std::string& container,
                      const std::vector<std::string>& command, std::span<const int> fds);
// The exit status in an answer (128 + signal); kInvalid with the shim's text where it never ran.
Result<int> exec_result(const codec::Value& answer);

struct ShimIdentity {
  pid_t pid = 0;
  uint64_t start_time = 0;
};
// From shim.json; kNotFound where that process has ended.
Result<ShimIdentity> live_shim(const std::string& pod_dir);
Result<Fd> open_pidfd(const ShimIdentity& shim);  // checks the start time again

// Pids of the pod's PID namespace to pids of the host, for all of its processes.
std::map<pid_t, pid_t> host_pids(pid_t shim);

}  // namespace sallyport::runtime
