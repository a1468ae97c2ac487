// Pods as processes: each pod has a shim, PID 1 of its namespaces, which outlives the node process.
// The shim starts init containers and containers, restarts them, writes logs and the status file.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "k8s/objects.h"

namespace sallyport::runtime {

// What the runtime needs to know of one pod; secrets and config maps are already resolved to bytes.
struct PodRequest {
  std::shared_ptr<const k8s::Pod> pod;  // meta.uid is set
  std::string hostname;
  std::vector<std::string> dns_servers;
  std::vector<std::string> dns_searches;
  std::map<std::string, std::map<std::string, std::string>> config_maps;  // name -> data
  std::map<std::string, std::map<std::string, std::string>> secrets;
  std::vector<Ip> pod_ips;
  Ip node_ip;
  std::string node_name;
  std::vector<std::string> expose;     // host directories to show read-only at the same path
  bool with_sallyport_binary = false;  // the DNS pod: argv[0] "sallyport" runs this very program
  std::map<std::string, std::string> extra_mounts;  // host path -> path in the pod, read-only
};

struct ContainerState {
  std::string name;
  enum class Phase { kWaiting, kRunning, kTerminated } phase = Phase::kWaiting;
  std::string reason;  // "CrashLoopBackOff", "Error", "Completed", "OOMKilled", "StartError: ..."
  std::string last_reason;  // of the run before, while it waits or runs again
  int exit_code = 0;
  int signal = 0;
  int restarts = 0;
  pid_t pid = 0;                            // in the host's PID namespace
  int64_t started_ms = 0, finished_ms = 0;  // wall clock
  bool ready = false;
  bool started = false;
  bool init = false;
};

struct PodState {
  std::string uid;
  std::string phase;  // Pending, Running, Succeeded, Failed
  std::vector<ContainerState> containers;
  [[nodiscard]] bool ready() const;  // all containers are running and ready
};

// A pod whose namespaces exist but whose containers have not started.
struct Sandbox {
  std::string uid;
  pid_t shim = 0;
  uint64_t shim_start_time = 0;
  Fd netns;
};

class PodRuntime {
 public:
  struct Options {
    std::string state_dir;                    // /run/sallyport/NAME: pods/UID/ below it
    std::string cgroup_name;                  // "sallyport-NAME"
    std::string self_exe = "/proc/self/exe";  // runs shim_main when its first argument is "shim"
    int restart_backoff_ms = 10'000;  // before the second restart; doubles up to five minutes
  };
  static Result<std::unique_ptr<PodRuntime>> open(Options options);
  virtual ~PodRuntime() = default;

  // 1. namespaces and shim; the caller wires the network and puts up the gate;
  // 2. start() lets init containers, then containers run.
  virtual Result<Sandbox> create(const PodRequest& request) = 0;
  virtual Status start(const std::string& uid) = 0;
  // SIGTERM, after the grace period SIGKILL. `done` is called from poll() when all has ended.
  virtual Status stop(const std::string& uid, int grace_seconds) = 0;
  virtual Status remove(const std::string& uid) = 0;  // everything of it, at once; missing is fine

  // Pods that a killed node process left running.
  virtual std::vector<Sandbox> recover() = 0;

  [[nodiscard]] virtual Result<PodState> state(const std::string& uid) = 0;
  // Called by the node's loop about every 100 ms and when event_fd() is readable: reads status
  // files, runs due probes from the node's namespace, reports pods whose state changed.
  virtual void poll(const std::function<void(const PodState&)>& changed) = 0;
  [[nodiscard]] virtual int event_fd() const = 0;
  // Probes run from here (the node's network namespace); those of a pod's own addresses begin at
  // the source of their family, if there is one.
  virtual void set_probe_netns(int netns_fd, const std::vector<Ip>& sources = {}) = 0;
  virtual void set_pod_ips(const std::string& uid, std::vector<Ip> ips) = 0;

  // Runs CMD in the container with the three descriptors; returns the exit status (128+signal).
  // Once `cancel` (if any) is readable, the command is killed: kUnavailable.
  virtual Result<int> exec(const std::string& uid, const std::string& container,
                           const std::vector<std::string>& command, int in, int out, int err,
                           int cancel = -1) = 0;
  [[nodiscard]] virtual std::string log_path(const std::string& uid,
                                             const std::string& container) = 0;
};

// Entry point of `sallyport shim` (internal subcommand).
int shim_main(int argc, char** argv);

}  // namespace sallyport::runtime
