// How the node process learns what its pods do: status files, ends of shims, probes.
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string_view>

#include "base/log.h"
#include "codec/json.h"
#include "runtime/process_runtime.h"
#include "runtime/status_file.h"

namespace sallyport::runtime {
namespace {

constexpr int kShimKilled = 128 + 9;

}  // namespace

void ProcessRuntime::refresh(const std::string& uid, Pod& pod) {
  auto state = read_state(dir_of(uid) + "/status.json");
  if (!state) {
    if (!pod.state.uid.empty()) return;
    // The shim has not written it yet.
    pod.state.uid = uid;
    pod.state.phase = "Pending";
    for (const PlannedContainer& planned : pod.plan.containers) {
      ContainerState c;
      c.name = planned.name;
      c.init = planned.init;
      pod.state.containers.push_back(std::move(c));
    }
    return;
  }
  bool any_running = false;
  for (const ContainerState& c : state->containers) any_running = any_running || c.pid != 0;
  if (any_running) {
    std::map<pid_t, pid_t> pids = host_pids(pod.shim.pid);
    for (ContainerState& c : state->containers)
      if (c.pid != 0) c.pid = pids.contains(c.pid) ? pids[c.pid] : 0;
  }
  pod.state = std::move(*state);
}

void ProcessRuntime::mark_ended(Pod& pod) {
  if (pod.ended) return;
  pod.ended = true;
  ::waitpid(pod.shim.pid, nullptr, WNOHANG);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pod.pidfd.get(), nullptr);
  bool finished = pod.state.phase == "Succeeded" || pod.state.phase == "Failed";
  if (finished) return;
  log_warn("runtime", "the shim of pod " + pod.plan.ns + "/" + pod.plan.name + " has ended");
  for (ContainerState& c : pod.state.containers) {
    if (c.phase == ContainerState::Phase::kTerminated) continue;
    c.phase = ContainerState::Phase::kTerminated;
    c.reason = "Error: the pod's shim has ended";
    c.exit_code = kShimKilled;
    c.pid = 0;
  }
  pod.state.phase = "Failed";
}

void ProcessRuntime::drain_events() {
  std::set<int> touched;
  alignas(inotify_event) char buffer[16384];
  ssize_t n = 0;
  while ((n = ::read(inotify_.get(), buffer, sizeof buffer)) > 0)
    for (ssize_t at = 0; at < n;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer + at);
      if (event->len == 0 || std::string_view(event->name) == "status.json")
        touched.insert(event->wd);
      if (event->mask & IN_Q_OVERFLOW)
        for (const auto& [uid, pod] : pods_) touched.insert(pod.watch);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  for (auto& [uid, pod] : pods_)
    if (touched.contains(pod.watch)) refresh(uid, pod);
  epoll_event events[64];
  int count = ::epoll_wait(epoll_.get(), events, 64, 0);
  for (int i = 0; i < count; ++i)
    for (auto& [uid, pod] : pods_)
      if (pod.pidfd.get() == events[i].data.fd) mark_ended(pod);
}

PodState ProcessRuntime::merged(const Pod& pod) const {
  PodState state = pod.state;
  probes_.fill(state);
  return state;
}

void ProcessRuntime::restart_container(const std::string& uid, const std::string& container,
                                       const std::string& reason) {
  auto found = pods_.find(uid);
  if (found == pods_.end() || found->second.ended) return;
  codec::Value body = codec::Value::map();
  body.set("op", "restart");
  body.set("container", container);
  body.set("reason", reason);
  body.set("grace", codec::Value::integer(found->second.plan.grace_seconds));
  if (auto answer = ask_shim(dir_of(uid), body); !answer)
    log_warn("runtime", "restart of " + container + ": " + answer.error().message);
}

Result<PodState> ProcessRuntime::state(const std::string& uid) {
  std::lock_guard lock(mutex_);
  auto found = pods_.find(uid);
  if (found == pods_.end()) return fail(Code::kNotFound, "no pod " + uid);
  if (!found->second.ended) refresh(uid, found->second);
  probes_.update(found->second.state);
  return merged(found->second);
}

void ProcessRuntime::poll(const std::function<void(const PodState&)>& changed) {
  std::vector<PodState> reports;
  {
    std::lock_guard lock(mutex_);
    drain_events();
    for (const auto& [uid, pod] : pods_) probes_.update(pod.state);
    probes_.step();
    for (auto& [uid, pod] : pods_) {
      PodState state = merged(pod);
      std::string text = codec::write_json(encode_state(state));
      for (const ContainerState& c : state.containers) {
        text += c.started ? '1' : '0';
        text += c.ready ? '1' : '0';
      }
      if (text == pod.reported) continue;
      pod.reported = std::move(text);
      reports.push_back(std::move(state));
    }
  }
  for (const PodState& state : reports) changed(state);  // without the lock: it may call back
}

}  // namespace sallyport::runtime
