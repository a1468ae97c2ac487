#include "runtime/lifecycle.h"

#include <algorithm>

namespace sallyport::runtime {

Lifecycle::Lifecycle(const LifecycleOptions& options, const std::vector<Member>& members)
    : options_(options) {
  for (const Member& member : members) {
    Entry entry;
    entry.state.name = member.name;
    entry.state.init = member.init;
    entry.state.reason = member.init ? "PodInitializing" : "ContainerCreating";
    entries_.push_back(std::move(entry));
  }
}

void Lifecycle::begin() {
  begun_ = true;
}

bool Lifecycle::init_done() const {
  return std::all_of(entries_.begin(), entries_.end(), [](const Entry& e) {
    return !e.state.init || (e.stage == Stage::kDone && e.succeeded);
  });
}

bool Lifecycle::init_failed() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) {
    return e.state.init && e.stage == Stage::kDone && !e.succeeded;
  });
}

std::vector<Lifecycle::Action> Lifecycle::step(Monotonic now) {
  std::vector<Action> actions;
  if (!begun_) return actions;
  bool apps_may_run = init_done();
  bool init_pending = false;  // an earlier init container has not succeeded yet
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!stopping_) {
      bool may_run = entry.state.init ? !init_pending && !init_failed() : apps_may_run;
      if (entry.stage == Stage::kIdle && may_run) {
        entry.stage = Stage::kDue;
        entry.due = now;
      }
      if (entry.stage == Stage::kDue && may_run && entry.due <= now) {
        entry.stage = Stage::kStarting;
        if (entry.attempted) ++entry.state.restarts;
        entry.attempted = true;
        actions.push_back({Action::Kind::kStart, i});
      }
    }
    if (entry.state.init && !(entry.stage == Stage::kDone && entry.succeeded)) init_pending = true;
    if (entry.stage != Stage::kStarting && entry.stage != Stage::kRunning) continue;
    if (entry.term_wanted) {
      entry.term_wanted = false;
      actions.push_back({Action::Kind::kTerm, i});
    }
    if (entry.kill_at && *entry.kill_at <= now) {
      entry.kill_at.reset();
      actions.push_back({Action::Kind::kKill, i});
    }
  }
  return actions;
}

std::optional<Monotonic> Lifecycle::next_deadline() const {
  std::optional<Monotonic> next;
  auto consider = [&](Monotonic at) {
    if (!next || at < *next) next = at;
  };
  for (const Entry& entry : entries_) {
    if (entry.stage == Stage::kDue && !stopping_ && begun_) consider(entry.due);
    if ((entry.stage == Stage::kRunning || entry.stage == Stage::kStarting) && entry.kill_at)
      consider(*entry.kill_at);
  }
  return next;
}

void Lifecycle::running(size_t index, pid_t pid, Monotonic now, int64_t wall_ms) {
  Entry& entry = entries_[index];
  entry.stage = Stage::kRunning;
  entry.began = now;
  entry.state.phase = ContainerState::Phase::kRunning;
  entry.state.reason.clear();
  entry.state.pid = pid;
  entry.state.started_ms = wall_ms;
  entry.state.finished_ms = 0;
}

void Lifecycle::start_failed(size_t index, const std::string& why, Monotonic now, int64_t wall_ms) {
  Entry& entry = entries_[index];
  entry.state.pid = 0;
  entry.state.exit_code = 128;
  entry.state.signal = 0;
  entry.state.started_ms = entry.state.finished_ms = wall_ms;
  entry.state.reason = entry.state.last_reason = "StartError: " + why;
  entry.began = now;
  ended(entry, false, now);
}

void Lifecycle::exited(size_t index, const Exit& exit, Monotonic now, int64_t wall_ms) {
  Entry& entry = entries_[index];
  if (entry.stage == Stage::kStarting) entry.began = now;
  entry.state.pid = 0;
  entry.state.exit_code = exit.code;
  entry.state.signal = exit.signal;
  entry.state.finished_ms = wall_ms;
  if (exit.out_of_memory)
    entry.state.reason = "OOMKilled";
  else if (!entry.kill_reason.empty())
    entry.state.reason = "Error: " + entry.kill_reason;
  else
    entry.state.reason = exit.code == 0 ? "Completed" : "Error";
  entry.state.last_reason = entry.state.reason;
  // After a failed liveness probe even exit code 0 counts as a failure.
  ended(entry, exit.code == 0 && entry.kill_reason.empty(), now);
}

void Lifecycle::ended(Entry& entry, bool success, Monotonic now) {
  entry.kill_reason.clear();
  entry.kill_at.reset();
  entry.term_wanted = false;
  entry.succeeded = success;
  bool again = !stopping_;
  switch (options_.restart_policy) {
    case k8s::RestartPolicy::kAlways:
      again = again && !(entry.state.init && success);
      break;
    case k8s::RestartPolicy::kOnFailure:
      again = again && !success;
      break;
    case k8s::RestartPolicy::kNever:
      again = false;
      break;
  }
  if (!again) {
    entry.stage = Stage::kDone;
    entry.state.phase = ContainerState::Phase::kTerminated;
    return;
  }
  if (now - entry.began >= options_.backoff_reset) entry.crashes = 0;
  std::chrono::milliseconds delay{0};
  if (entry.crashes > 0) {
    delay = options_.backoff;
    for (int i = 1; i < entry.crashes && delay < options_.backoff_cap; ++i) delay *= 2;
    delay = std::min(delay, options_.backoff_cap);
  }
  ++entry.crashes;
  entry.stage = Stage::kDue;
  entry.due = now + delay;
  entry.state.phase = ContainerState::Phase::kWaiting;
  // A start that failed keeps its text: it is what the user has to read.
  if (!entry.state.reason.starts_with("StartError")) entry.state.reason = "CrashLoopBackOff";
}

void Lifecycle::want_end(Entry& entry, int grace_seconds, Monotonic now) {
  if (entry.stage != Stage::kStarting && entry.stage != Stage::kRunning) return;
  Monotonic at = now + std::chrono::seconds(std::max(0, grace_seconds));
  if (!entry.kill_at) entry.term_wanted = true;
  // A second request may only shorten the wait.
  if (!entry.kill_at || at < *entry.kill_at) entry.kill_at = at;
}

void Lifecycle::restart(size_t index, const std::string& why, int grace_seconds, Monotonic now) {
  Entry& entry = entries_[index];
  if (entry.stage != Stage::kRunning || !entry.kill_reason.empty()) return;
  entry.kill_reason = why;
  want_end(entry, grace_seconds, now);
}

void Lifecycle::stop(int grace_seconds, Monotonic now) {
  stopping_ = true;
  begun_ = true;
  for (Entry& entry : entries_) {
    want_end(entry, grace_seconds, now);
    if (entry.stage != Stage::kIdle && entry.stage != Stage::kDue) continue;
    entry.stage = Stage::kDone;
    entry.succeeded = false;
    entry.state.phase = ContainerState::Phase::kTerminated;
    if (!entry.attempted) entry.state.reason = "Stopped";
  }
}

bool Lifecycle::finished() const {
  if (!begun_) return false;
  bool failed = init_failed();
  return std::all_of(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.stage == Stage::kDone || (failed && e.stage == Stage::kIdle);
  });
}

PodState Lifecycle::snapshot() const {
  PodState pod;
  bool any_attempted = false;
  bool all_succeeded = true;
  for (const Entry& entry : entries_) {
    pod.containers.push_back(entry.state);
    if (entry.state.init) continue;
    any_attempted = any_attempted || entry.attempted;
    all_succeeded = all_succeeded && entry.succeeded;
  }
  if (finished())
    pod.phase = all_succeeded && !init_failed() ? "Succeeded" : "Failed";
  else
    pod.phase = any_attempted && init_done() ? "Running" : "Pending";
  return pod;
}

}  // namespace sallyport::runtime
