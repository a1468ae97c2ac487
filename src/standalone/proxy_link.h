// One proxy process as the node sees it: started, spoken to, ended. Owned by the fleet's thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "capture/sockets.h"
#include "mesh/channel.h"
#include "standalone/proxy_spawn.h"
#include "telemetry/flow_ring.h"

namespace sallyport::standalone {

// What a process needs of a pod that it serves.
struct FleetPod {
  std::string identity;  // SPIFFE ID
  std::shared_ptr<const Fd> netns;
  std::shared_ptr<const capture::Listeners> listeners;
  capture::Marks marks;
};

struct FleetGroup {
  std::map<std::string, FleetPod> pods;  // by uid
  std::shared_ptr<const Fd> config;      // memfd with the encoded ProxyConfig
  uint64_t generation = 0;
};

struct ProxyOptions {
  std::string program = "/proc/self/exe";
  std::vector<std::string> arguments;  // after "proxy --channel-fd 3 --workers N"
  uid_t user = 64001;
  int workers = 1;
  size_t ring_records = 4096;
  // Where a process listens for the next node (GROUP.sock, for root alone); empty: it ends with its
  // channel.
  std::string socket_dir;
};

class ProxyLink {
 public:
  ProxyLink(std::string group, const ProxyOptions& options, const Clock& clock)
      : group_(std::move(group)), options_(options), clock_(clock) {}
  ~ProxyLink();  // SIGKILL where it still runs
  ProxyLink(const ProxyLink&) = delete;
  ProxyLink& operator=(const ProxyLink&) = delete;

  [[nodiscard]] bool running() const { return process_.has_value(); }
  Status start();  // also makes its flow rings
  // Takes over a process that an earlier node has started: what it serves, with the listeners, and
  // the generation that it has. On failure it goes on without us: the caller ends it.
  struct Adopted {
    std::map<std::string, std::shared_ptr<const capture::Listeners>> pods;
    uint64_t generation = 0;
  };
  Result<Adopted> adopt(pid_t pid, uint64_t start_time);
  // To be called when its pidfd is readable or its channel is gone; notes when to start again.
  void ended();
  // Asks it to end.
  void close();
  void kill();

  void queue(mesh::ToProxy message) { queue_.push_back(std::move(message)); }
  // False: the process is gone, or cannot be spoken to.
  bool flush();
  [[nodiscard]] size_t queued() const { return queue_.size(); }
  Result<mesh::ToNode> receive() {
    if (!channel_) return fail(Code::kNotFound, "the control channel is closed");
    return channel_->receive_to_node();
  }

  [[nodiscard]] int channel_fd() const { return channel_ ? channel_->fd() : -1; }
  [[nodiscard]] int pid_fd() const { return process_ ? process_->pidfd.get() : -1; }
  [[nodiscard]] pid_t pid() const { return process_ ? process_->pid : 0; }
  [[nodiscard]] uint64_t start_time() const { return process_ ? process_->start_time : 0; }
  [[nodiscard]] const std::string& group() const { return group_; }
  [[nodiscard]] const std::vector<std::shared_ptr<telemetry::FlowRing>>& rings() const {
    return rings_;
  }

  // What this process has been told; empty for a new one.
  struct Told {
    std::map<std::string, std::shared_ptr<const capture::Listeners>> pods;
    std::map<std::string, std::string> serials;  // by SPIFFE ID
    uint64_t generation = 0;
    std::shared_ptr<const Fd> access_log;
    bool access_log_told = false;
  } told;
  uint64_t ready = 0;    // generation in force there
  uint64_t refused = 0;  // the last that it refused
  std::string problem;   // why; or why it does not run
  uint64_t restarts = 0;
  Monotonic start_at;  // while it does not run
  Monotonic ended_at;  // while it is asked to end

 private:
  Status make_rings();
  [[nodiscard]] std::string socket_path() const;

  std::string group_;
  const ProxyOptions& options_;
  const Clock& clock_;
  std::optional<SpawnedProxy> process_;
  std::optional<mesh::Channel> channel_;
  std::deque<mesh::ToProxy> queue_;
  std::vector<std::shared_ptr<telemetry::FlowRing>> rings_;
  Monotonic started_;
  int quick_ends_ = 0;
};

}  // namespace sallyport::standalone
