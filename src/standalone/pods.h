// The pods of a standalone node: from the desired set to running processes with addresses. Knows
// the runtime and the network; the gate is put up by the caller between prepare() and start().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "k8s/manifest.h"
#include "node/network.h"
#include "runtime/pod_runtime.h"
#include "standalone/state.h"

namespace sallyport::standalone {

struct PodRecord {
  enum class Stage {
    kPrepared,  // namespaces, addresses and link are there; nothing passes yet
    kStarted,   // connected, the shim runs its containers
    kStopping,  // out of Services, still enforced until its processes have ended
  };
  std::shared_ptr<const k8s::Pod> pod;  // meta.uid is set
  std::string spec_hash;
  uint32_t endpoint_id = 0;
  node::PodAddresses addresses;
  node::PodLink link;
  std::shared_ptr<const Fd> netns;  // its network namespace
  Stage stage = Stage::kPrepared;
  runtime::PodState state;
  WallTime created;
  Monotonic stop_deadline;
  std::map<std::string, std::string> references;  // as in PodRecordState

  [[nodiscard]] std::string key() const { return pod->meta.ns + "/" + pod->meta.name; }
  [[nodiscard]] bool terminated() const {
    return state.phase == "Succeeded" || state.phase == "Failed";
  }
};

class Pods {
 public:
  struct Options {
    std::vector<std::string> expose;            // shown read-only at the same path
    std::map<std::string, std::string> mounts;  // host path -> path in every pod
    std::string dns_records_dir;
    std::vector<std::string> dns_servers;
    std::string node_name;
  };

  Pods(Options options, runtime::PodRuntime& runtime, node::NodeNetwork& network, Clock& clock)
      : options_(std::move(options)), runtime_(runtime), network_(network), clock_(clock) {}

  // Continues with what a killed node left; pods whose processes are gone are cleaned up.
  void recover(const RunState& state, const std::vector<std::shared_ptr<const k8s::Pod>>& desired);

  // What reconcile() did; the caller publishes the gate, then calls start_prepared().
  struct Changes {
    bool any = false;
    std::vector<std::string> failures;  // "ns/name: why"; tried again at the next call
  };
  // Stops what is no longer wanted (also where the spec has changed), prepares what is missing,
  // takes over changed labels. `objects` resolves ConfigMaps and Secrets.
  Changes reconcile(const std::vector<std::shared_ptr<const k8s::Pod>>& desired,
                    const std::vector<k8s::AnyObject>& objects);
  // Those that `held_back` names ("ns/name") wait for the next call.
  std::vector<std::string> start_prepared(const std::set<std::string>& held_back = {});

  // Pods that run with the content that a ConfigMap or Secret had when they started, and that has
  // changed since (Kubernetes would update mounted volumes): key, uid, and the objects' names.
  struct Stale {
    std::string key, uid, objects;
    [[nodiscard]] std::string text() const;  // for people
  };
  [[nodiscard]] std::vector<Stale> stale(const std::vector<k8s::AnyObject>& objects) const;

  // Reads the runtime's news. True where a pod's readiness, phase or existence changed.
  bool poll();
  // Ends all pods at once or gracefully; true when none is left.
  bool stop_all(bool now);

  [[nodiscard]] const std::map<std::string, PodRecord>& records() const { return records_; }
  [[nodiscard]] const PodRecord* find(const std::string& key) const;
  void fill(RunState& state) const;  // next_endpoint_id and pods
  // Called with the endpoint id after a pod's link is gone: its connections are worthless.
  std::function<void(uint32_t)> on_removed;

 private:
  Result<PodRecord> prepare(const k8s::Pod& pod, const std::vector<k8s::AnyObject>& objects);
  Result<runtime::PodRequest> request_for(std::shared_ptr<const k8s::Pod> pod,
                                          const std::vector<k8s::AnyObject>& objects,
                                          std::map<std::string, std::string>& seen) const;
  void begin_stop(PodRecord& record);
  void hold_back(const std::string& key);
  void finish_removal(const PodRecord& record);

  Options options_;
  runtime::PodRuntime& runtime_;
  node::NodeNetwork& network_;
  Clock& clock_;
  uint32_t next_endpoint_id_ = 1;
  // Pods that failed to start or ended by themselves: not tried again before.
  std::map<std::string, Monotonic> held_back_;
  std::map<std::string, PodRecord> records_;  // "ns/name"
};

// A random (version 4) UUID.
std::string new_uid();

}  // namespace sallyport::standalone
