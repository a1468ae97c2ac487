// The probes of one container as a state machine: when each is due, and what its results mean. It
// makes no connection and has no clock.
// Source: Kubernetes "Configure Liveness, Readiness and Startup Probes" and the kubelet's prober.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "k8s/objects.h"

namespace sallyport::runtime {

enum class ProbeKind { kStartup, kReadiness, kLiveness };

class ProbeState {
 public:
  ProbeState(std::optional<k8s::Probe> startup, std::optional<k8s::Probe> readiness,
             std::optional<k8s::Probe> liveness);

  void begin(Monotonic now);  // the container has started (again): all results are forgotten
  void end();                 // it has ended: not started, not ready, nothing is due
  // What another node process had found for this very run of the container.
  void restore(bool started, bool ready);

  // The probes to run now. One that was given out is not due again before its result.
  std::vector<ProbeKind> due(Monotonic now);
  void result(ProbeKind kind, bool success, const std::string& text, Monotonic now);

  [[nodiscard]] bool started() const;
  [[nodiscard]] bool ready() const;
  [[nodiscard]] const std::optional<k8s::Probe>& probe(ProbeKind kind) const {
    return of(kind).probe;
  }
  // Set once when a startup or liveness probe has failed for good: restart the container.
  std::optional<std::string> take_failure();

 private:
  struct One {
    std::optional<k8s::Probe> probe;
    bool passing = false;
    bool in_flight = false;
    int successes = 0, failures = 0;  // in a row
    Monotonic next, issued;
  };
  One& of(ProbeKind kind) { return probes_[static_cast<size_t>(kind)]; }
  [[nodiscard]] const One& of(ProbeKind kind) const { return probes_[static_cast<size_t>(kind)]; }

  std::array<One, 3> probes_;
  bool running_ = false;
  bool condemned_ = false;  // waits for its end
  std::optional<std::string> failure_;
};

}  // namespace sallyport::runtime
