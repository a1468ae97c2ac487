// Runs the probes of all pods from the node process and keeps what they found, also across its
// death: a node process that takes over does not make ready pods unready for a while.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "runtime/plan.h"
#include "runtime/pod_runtime.h"
#include "runtime/probe_attempt.h"
#include "runtime/probe_state.h"

namespace sallyport::runtime {

class ProbeEngine {
 public:
  static constexpr size_t kMaxInFlight = 64;  // further due probes wait
  // Asks for a restart of a container.
  using Restart = std::function<void(const std::string& uid, const std::string& container,
                                     const std::string& reason)>;

  ProbeEngine(const Clock& clock, int epoll_fd, Restart restart);

  // `pod_dir` holds probes.json; results in it count where they are of the same run.
  void add(const Plan& plan, const std::string& pod_dir);
  void remove(const std::string& uid);
  void set_ips(const std::string& uid, const std::vector<Ip>& ips);
  // The descriptor stays the caller's.
  void set_netns(int netns_fd, std::vector<Ip> sources) {
    netns_ = netns_fd;
    sources_ = std::move(sources);
  }

  // What the shim says: containers that started, ended or started again.
  void update(const PodState& state);
  // Starts what is due, finishes what has an answer or is out of time. Never waits.
  void step();
  // Sets `started` and `ready` of running containers.
  void fill(PodState& state) const;

 private:
  struct Container {
    ProbeState probes;
    int64_t run = 0;  // start time of the run that the results are of; 0: not running
    bool saved_started = false, saved_ready = false;
    int64_t saved_run = 0;
  };
  struct Pod {
    std::string dir;
    std::optional<Ip> ip;
    std::vector<Ip> ips;
    std::map<std::string, Container> containers;
  };
  struct Flight {
    std::string uid, container;
    ProbeKind kind;
    int64_t run = 0;
    Monotonic deadline;
    std::unique_ptr<ProbeAttempt> attempt;
    bool wants_write = false;
  };

  void start_due(const std::string& uid, Pod& pod);
  void finish_flights();
  void deliver(const Flight& flight, const ProbeResult& result);
  void save(Pod& pod);
  void load(Pod& pod);
  void wait_on(Flight& flight, bool first);

  const Clock& clock_;
  int epoll_;
  Restart restart_;
  int netns_ = -1;
  std::vector<Ip> sources_;
  std::map<std::string, Pod> pods_;
  std::vector<Flight> flights_;
};

}  // namespace sallyport::runtime
