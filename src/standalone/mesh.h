// Gate 2 on a standalone node: interception inside the pods of the mesh, the certificate authority,
// and the proxy processes with all that they need. Nothing of it exists while no pod is meshed.
//
// Fail closed: a pod whose interception or proxy is not in place is not started; one that runs
// already and cannot be intercepted is cut off. Either is named in problems().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "node/ranges.h"
#include "standalone/mesh_members.h"
#include "standalone/pods.h"
#include "standalone/proxy_fleet.h"
#include "standalone/run_dir.h"
#include "world/world.h"

namespace sallyport::standalone {

struct MeshOptions {
  Isolation isolation = Isolation::kNode;
  std::chrono::seconds svid_ttl = std::chrono::hours(24);
  uint64_t proxy_memory = 0;         // bytes; 0: the proxy's default
  int workers = 0;                   // of each proxy; 0: one per CPU
  bool check_network_policy = true;  // proxies ask gate 1 before they dial
};

class MeshControl {
 public:
  MeshControl(MeshOptions options, const RunPaths& paths, const node::Ranges& ranges,
              const Clock& clock);
  ~MeshControl();  // ends the proxies; rules stay with their pods

  // What an earlier process left: pods that may have rules, and proxies that went on. Those that
  // can be taken over keep their connections; the others are ended.
  void recover(const RunState& state);
  // Marks of the pods that have rules; the state keeps them.
  void fill(RunState& state) const;

  // Pods that have, or are about to have, rules; to be written down before apply().
  [[nodiscard]] std::set<std::string> captured(const world::World& world) const;

  // Brings interception, certificates and proxies to what the world says. `held_back` are the pods
  // ("ns/name") that must not start yet.
  struct Applied {
    std::vector<std::string> problems;
    std::set<std::string> held_back;
  };
  Applied apply(const world::World& world, const Pods& pods);
  // Now and then: the access log's size.
  void tick();

  [[nodiscard]] bool active() const { return fleet_ != nullptr; }
  // Of the proxies, as they are now.
  [[nodiscard]] std::vector<std::string> problems();
  [[nodiscard]] std::vector<ProxyState> processes();
  size_t drain_flows(const std::function<void(const telemetry::FlowRecord&)>& sink);

  // Of the proxies, added up, and of the node's own part; empty where nothing is meshed.
  [[nodiscard]] std::string metrics_text();
  // {"trustDomain", "isolation", "proxies": [...], "pods": [...]}: every pod has a row.
  [[nodiscard]] codec::Value status(const world::World& world);
  // `kind: List` with one item for each identity.
  [[nodiscard]] codec::Value identities(const world::World& world);

 private:
  struct Captured {
    std::string key;
    std::shared_ptr<const Fd> netns;
    std::shared_ptr<const capture::Listeners> listeners;  // null: cut off instead
    capture::Rules rules;
    std::string problem;
  };
  struct Group {
    std::string text;  // the configuration without its generation
    FleetGroup fleet;
  };

  Status open_authority(const world::World& world);
  Status start_fleet();
  void capture_pod(const Member& member, const PodRecord& record, Captured& pod);
  void release_others(const std::map<std::string, const Member*>& members, const Pods& pods,
                      std::vector<std::string>& problems);
  Status fill_group(const std::string& name, const std::vector<const Member*>& members,
                    const world::World& world);
  Status open_log(const k8s::MeshSettings& settings);
  [[nodiscard]] capture::Rules rules_for(const Member& member) const;

  const MeshOptions options_;
  const std::string key_dir_, log_path_, socket_dir_;
  const node::Ranges ranges_;
  const Clock& clock_;
  std::shared_ptr<identity::Authority> authority_;
  std::map<std::string, Captured> pods_;  // by uid
  std::set<std::string> suspects_;
  std::map<std::string, Group> groups_;
  FleetState state_;
  uint64_t generation_ = 0;
  std::unique_ptr<ProxyFleet> fleet_;
};

}  // namespace sallyport::standalone
