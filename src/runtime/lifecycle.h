// When the containers of a pod start, restart and stop: a state machine without processes or
// clocks. The shim feeds it events and carries out its actions. Source: Kubernetes pod lifecycle
// (init containers in order, restartPolicy, crash back-off).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "k8s/objects.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {

struct LifecycleOptions {
  k8s::RestartPolicy restart_policy = k8s::RestartPolicy::kAlways;
  std::chrono::milliseconds backoff{10'000};  // the second restart waits so long; then doubles
  std::chrono::milliseconds backoff_cap{300'000};
  std::chrono::milliseconds backoff_reset{600'000};  // a run this long forgets earlier crashes
};

class Lifecycle {
 public:
  struct Member {
    std::string name;
    bool init = false;
  };
  struct Action {
    enum class Kind { kStart, kTerm, kKill } kind = Kind::kStart;
    size_t index = 0;
    bool operator==(const Action&) const = default;
  };
  struct Exit {
    int code = 0;    // of exit(), or 128 + signal
    int signal = 0;  // 0: exited by itself
    bool out_of_memory = false;
  };

  Lifecycle(const LifecycleOptions& options, const std::vector<Member>& members);

  void begin();  // the pod may run from now on
  // What is due at `now`; each action is given once.
  std::vector<Action> step(Monotonic now);
  // When step() will have more to do without an event; nothing: never.
  [[nodiscard]] std::optional<Monotonic> next_deadline() const;

  void running(size_t index, pid_t pid, Monotonic now, int64_t wall_ms);
  void start_failed(size_t index, const std::string& why, Monotonic now, int64_t wall_ms);
  void exited(size_t index, const Exit& exit, Monotonic now, int64_t wall_ms);

  // Ends one running container (a failed liveness probe); its restart policy then decides.
  void restart(size_t index, const std::string& why, int grace_seconds, Monotonic now);
  // Ends all; nothing starts any more.
  void stop(int grace_seconds, Monotonic now);

  [[nodiscard]] PodState snapshot() const;  // uid, pids, readiness are for the caller to fill
  [[nodiscard]] bool finished() const;      // nothing runs and nothing will start

 private:
  enum class Stage { kIdle, kDue, kStarting, kRunning, kDone };
  struct Entry {
    ContainerState state;
    Stage stage = Stage::kIdle;
    bool attempted = false;
    bool succeeded = false;  // done with exit code 0
    int crashes = 0;         // since the last long run
    Monotonic due, began;
    std::string kill_reason;
    bool term_wanted = false;
    std::optional<Monotonic> kill_at;
  };

  void ended(Entry& entry, bool success, Monotonic now);
  void want_end(Entry& entry, int grace_seconds, Monotonic now);
  [[nodiscard]] bool init_done() const;
  [[nodiscard]] bool init_failed() const;

  LifecycleOptions options_;
  std::vector<Entry> entries_;
  bool begun_ = false;
  bool stopping_ = false;
};

}  // namespace sallyport::runtime
