// PodRuntime on shims. A mutex guards the table of pods; exec() and log_path() may be called from
// any thread while the node's loop polls.
#pragma once

#include <map>
#include <mutex>

#include "base/clock.h"
#include "runtime/cgroup.h"
#include "runtime/plan.h"
#include "runtime/pod_runtime.h"
#include "runtime/probe_engine.h"
#include "runtime/shim_client.h"

namespace sallyport::runtime {

class ProcessRuntime : public PodRuntime {
 public:
  ProcessRuntime(Options options, Cgroups cgroups, Fd epoll, Fd inotify);
  ~ProcessRuntime() override;

  Result<Sandbox> create(const PodRequest& request) override;
  Status start(const std::string& uid) override;
  Status stop(const std::string& uid, int grace_seconds) override;
  Status remove(const std::string& uid) override;
  std::vector<Sandbox> recover() override;
  Result<PodState> state(const std::string& uid) override;
  void poll(const std::function<void(const PodState&)>& changed) override;
  [[nodiscard]] int event_fd() const override { return epoll_.get(); }
  void set_probe_netns(int netns_fd, const std::vector<Ip>& sources) override;
  void set_pod_ips(const std::string& uid, std::vector<Ip> ips) override;
  Result<int> exec(const std::string& uid, const std::string& container,
                   const std::vector<std::string>& command, int in, int out, int err,
                   int cancel = -1) override;
  std::string log_path(const std::string& uid, const std::string& container) override;

 private:
  struct Pod {
    Plan plan;
    std::optional<PodRequest> request;  // until start(): addresses may still come
    ShimIdentity shim;
    Fd pidfd;
    int watch = -1;
    bool ended = false;  // the shim is dead
    PodState state;      // from the status file, with host pids
    std::string reported;
  };

  [[nodiscard]] std::string dir_of(const std::string& uid) const;
  Status save_plan(const Plan& plan);
  Status adopt(const std::string& uid, Pod& pod);  // watches, first state
  void refresh(const std::string& uid, Pod& pod);
  void drain_events();
  void mark_ended(Pod& pod);
  [[nodiscard]] PodState merged(const Pod& pod) const;
  void restart_container(const std::string& uid, const std::string& container,
                         const std::string& reason);
  Status end_shim(const ShimIdentity& shim, const Fd& pidfd);
  Status remove_files(const std::string& uid);
  Result<std::pair<codec::Value, std::vector<Fd>>> container_cgroups(Pod& pod);

  Options options_;
  Cgroups cgroups_;
  Fd epoll_, inotify_;
  SystemClock clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Pod> pods_;
  Fd probe_netns_;
  ProbeEngine probes_;
};

}  // namespace sallyport::runtime
