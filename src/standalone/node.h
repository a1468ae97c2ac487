// One standalone node: manifests in, pods running, both gates up. Everything happens on one thread,
// in one loop; only `exec` and `port-forward` wait on threads of their own and report back.
#pragma once

#include <signal.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "admin/http_metrics.h"
#include "admin/server.h"
#include "base/clock.h"
#include "gate/gate.h"
#include "k8s/manifest.h"
#include "node/network.h"
#include "runtime/pod_runtime.h"
#include "standalone/enforcement.h"
#include "standalone/flow_log.h"
#include "standalone/mailbox.h"
#include "standalone/mesh.h"
#include "standalone/metrics.h"
#include "standalone/pods.h"
#include "standalone/run_dir.h"
#include "standalone/source.h"
#include "standalone/state.h"
#include "workload/expand.h"

namespace sallyport::standalone {

struct UpOptions {
  std::string dir;
  std::string name = "default";
  std::vector<std::string> expose;
  std::map<std::string, std::string> mounts;  // host path -> path in every pod
  bool allow_unenforced = false;
  uint16_t metrics_port = 9090;
  uint32_t max_connections = gate::GateConfig().max_connections;
  uint32_t max_connections_per_pod = gate::GateConfig().max_connections_per_endpoint;
  bool quiet = false;
  MeshOptions mesh;
};

// What can be wrong before anything starts.
struct StartFailure {
  std::vector<k8s::Diagnostic> diagnostics;
  std::optional<Error> error;
};

// SIGINT and SIGTERM: blocked in every thread, and read by the loop.
sigset_t ending_signals();

class Node {
 public:
  // Reads and validates everything first; nothing has started when this fails.
  static std::expected<std::unique_ptr<Node>, StartFailure> open(UpOptions options);
  ~Node();

  // Until SIGINT, SIGTERM or a shutdown request; then everything is removed. The exit code.
  int run();

  // --- for operations.cc ---
  [[nodiscard]] codec::Value status() const;
  [[nodiscard]] const std::vector<k8s::AnyObject>& objects() const { return objects_; }
  [[nodiscard]] const Pods& pods() const { return *pods_; }
  [[nodiscard]] const world::WorldPtr& world() const { return world_; }
  [[nodiscard]] node::NodeNetwork& network() { return *network_; }
  [[nodiscard]] runtime::PodRuntime& runtime() { return *runtime_; }
  // With all that has happened so far.
  [[nodiscard]] FlowLog& flows();
  [[nodiscard]] codec::Value identities() const { return mesh_->identities(*world_); }
  [[nodiscard]] Mailbox& mailbox() { return mailbox_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] std::string metrics_text();
  void request_shutdown() { stopping_ = true; }
  [[nodiscard]] bool stopping() const { return stopping_; }

 private:
  Node() = default;
  Status open_parts(const std::optional<RunState>& previous);
  Status open_metrics();
  Status open_echo();
  void look_for_changes();
  void reload();
  void note_stale_pods();
  void apply();
  void set_problems(std::vector<std::string> problems);
  Status enforce();
  Status lead_traffic();
  Status write_zone();
  Status write_state();
  void drain_events();
  void join_mesh(std::vector<std::string>& problems, std::set<std::string>& held_back);
  void tick();
  void watch_overflow();
  [[nodiscard]] std::string overflow_advice() const;
  [[nodiscard]] std::vector<std::string> all_problems() const;
  [[nodiscard]] std::pair<size_t, size_t> count_ready() const;
  [[nodiscard]] bool ready() const;
  void announce_ready();
  void shut_down(int signal_fd);

  UpOptions options_;
  RunPaths paths_;
  SystemClock clock_;
  std::optional<RunLock> lock_;
  std::unique_ptr<Source> source_;
  node::Ranges ranges_;
  std::unique_ptr<node::NodeNetwork> network_;
  std::unique_ptr<gate::Gate> gate_;
  std::unique_ptr<runtime::PodRuntime> runtime_;
  std::unique_ptr<Pods> pods_;
  std::unique_ptr<Enforcement> enforcement_;
  std::unique_ptr<MeshControl> mesh_;
  FlowLog flows_;
  ProgrammingLatency latency_;
  // After what their clients and threads use: they go first.
  Mailbox mailbox_;
  std::unique_ptr<admin::Server> admin_;
  std::unique_ptr<admin::HttpMetrics> metrics_;

  std::vector<k8s::AnyObject> objects_;
  std::vector<workload::PodPtr> desired_;
  std::vector<k8s::Diagnostic> warnings_;
  std::vector<Pods::Stale> stale_;
  world::WorldPtr world_ = std::make_shared<world::World>();  // whose policies are in force
  RunState state_;
  std::string saved_state_;  // as it stands in the file
  std::string zone_;
  std::vector<std::string> problems_;         // of the last apply(): shown by status
  std::vector<std::string> rejected_change_;  // why the last change of files was not taken over
  Monotonic started_;
  std::optional<Monotonic> change_seen_;
  Monotonic retry_at_;
  bool reload_due_ = false;
  Monotonic next_overflow_look_;
  std::optional<uint64_t> overflows_;  // at the last look
  bool took_over_ = false;
  bool ready_announced_ = false;
  bool stopping_ = false;
};

}  // namespace sallyport::standalone
