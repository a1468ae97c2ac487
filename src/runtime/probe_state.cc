#include "runtime/probe_state.h"

#include <algorithm>

namespace sallyport::runtime {
namespace {

constexpr std::array kAll{ProbeKind::kStartup, ProbeKind::kReadiness, ProbeKind::kLiveness};

const char* name_of(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup:
      return "startup";
    case ProbeKind::kReadiness:
      return "readiness";
    case ProbeKind::kLiveness:
      return "liveness";
  }
  return "";
}

}  // namespace

ProbeState::ProbeState(std::optional<k8s::Probe> startup, std::optional<k8s::Probe> readiness,
                       std::optional<k8s::Probe> liveness) {
  of(ProbeKind::kStartup).probe = std::move(startup);
  of(ProbeKind::kReadiness).probe = std::move(readiness);
  of(ProbeKind::kLiveness).probe = std::move(liveness);
}

void ProbeState::begin(Monotonic now) {
  end();
  running_ = true;
  for (One& one : probes_) {
    if (!one.probe) continue;
    one.next = now + std::chrono::seconds(one.probe->initial_delay_seconds);
  }
}

void ProbeState::end() {
  running_ = condemned_ = false;
  failure_.reset();
  for (One& one : probes_) {
    one.passing = one.in_flight = false;
    one.successes = one.failures = 0;
  }
}

void ProbeState::restore(bool started, bool ready) {
  of(ProbeKind::kStartup).passing = started;
  of(ProbeKind::kReadiness).passing = ready;
}

bool ProbeState::started() const {
  const One& startup = of(ProbeKind::kStartup);
  return running_ && (!startup.probe || startup.passing);
}

bool ProbeState::ready() const {
  const One& readiness = of(ProbeKind::kReadiness);
  return started() && (!readiness.probe || readiness.passing);
}

std::vector<ProbeKind> ProbeState::due(Monotonic now) {
  std::vector<ProbeKind> kinds;
  if (!running_ || condemned_) return kinds;
  for (ProbeKind kind : kAll) {
    One& one = of(kind);
    if (!one.probe || one.in_flight || one.next > now) continue;
    // The startup probe holds the others back, and rests once it has passed.
    if ((kind == ProbeKind::kStartup) == started()) continue;
    one.in_flight = true;
    one.issued = now;
    kinds.push_back(kind);
  }
  return kinds;
}

void ProbeState::result(ProbeKind kind, bool success, const std::string& text, Monotonic now) {
  One& one = of(kind);
  if (!running_ || !one.probe || !one.in_flight) return;
  one.in_flight = false;
  one.next =
      std::max(now, one.issued + std::chrono::seconds(std::max(1, one.probe->period_seconds)));
  one.successes = success ? one.successes + 1 : 0;
  one.failures = success ? 0 : one.failures + 1;
  if (one.successes >= std::max(1, one.probe->success_threshold)) one.passing = true;
  if (one.failures < std::max(1, one.probe->failure_threshold)) return;
  if (kind != ProbeKind::kReadiness && !condemned_) {
    condemned_ = true;
    failure_ = std::string(name_of(kind)) + " probe failed: " + text;
  }
  if (kind == ProbeKind::kReadiness) one.passing = false;
}

std::optional<std::string> ProbeState::take_failure() {
  return std::exchange(failure_, std::nullopt);
}

}  // namespace sallyport::runtime
