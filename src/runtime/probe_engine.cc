#include "runtime/probe_engine.h"

#include <sys/epoll.h>

#include <algorithm>

#include "base/fs.h"
#include "base/log.h"
#include "codec/json.h"

namespace sallyport::runtime {

ProbeEngine::ProbeEngine(const Clock& clock, int epoll_fd, Restart restart)
    : clock_(clock), epoll_(epoll_fd), restart_(std::move(restart)) {}

void ProbeEngine::add(const Plan& plan, const std::string& pod_dir) {
  Pod pod;
  pod.dir = pod_dir;
  for (const PlannedContainer& c : plan.containers)
    if (!c.init)
      pod.containers.emplace(c.name, Container{ProbeState(c.startup, c.readiness, c.liveness)});
  load(pod);
  pods_.insert_or_assign(plan.uid, std::move(pod));
  set_ips(plan.uid, plan.pod_ips);
}

void ProbeEngine::remove(const std::string& uid) {
  pods_.erase(uid);
  std::erase_if(flights_, [&](const Flight& f) { return f.uid == uid; });
}

void ProbeEngine::set_ips(const std::string& uid, const std::vector<Ip>& ips) {
  auto pod = pods_.find(uid);
  if (pod == pods_.end()) return;
  pod->second.ip.reset();
  pod->second.ips = ips;
  for (const Ip& ip : ips)
    if (!pod->second.ip || ip.family() == Family::kV4) pod->second.ip = ip;
}

void ProbeEngine::update(const PodState& state) {
  auto pod = pods_.find(state.uid);
  if (pod == pods_.end()) return;
  for (const ContainerState& c : state.containers) {
    auto found = pod->second.containers.find(c.name);
    if (found == pod->second.containers.end()) continue;
    Container& container = found->second;
    bool running = c.phase == ContainerState::Phase::kRunning;
    int64_t run = running ? std::max<int64_t>(1, c.started_ms) + c.restarts : 0;
    if (run == container.run) continue;
    container.run = run;
    if (!running) {
      container.probes.end();
      continue;
    }
    container.probes.begin(clock_.now());
    if (container.saved_run == run)
      container.probes.restore(container.saved_started, container.saved_ready);
  }
  save(pod->second);
}

void ProbeEngine::step() {
  finish_flights();
  for (auto& [uid, pod] : pods_) start_due(uid, pod);
}

void ProbeEngine::start_due(const std::string& uid, Pod& pod) {
  for (auto& [name, container] : pod.containers) {
    if (flights_.size() >= kMaxInFlight) return;
    for (ProbeKind kind : container.probes.due(clock_.now())) {
      const std::optional<k8s::Probe>& probe = container.probes.probe(kind);
      if (!probe) continue;
      Flight flight;
      flight.uid = uid;
      flight.container = name;
      flight.kind = kind;
      flight.run = container.run;
      flight.deadline = clock_.now() + std::chrono::seconds(std::max(1, probe->timeout_seconds));
      auto attempt = begin_probe(*probe, {netns_, pod.ip, pod.dir, name, pod.ips, sources_});
      if (!attempt) {
        deliver(flight, {false, attempt.error().message});
        continue;
      }
      flight.attempt = std::move(*attempt);
      wait_on(flight, true);
      flights_.push_back(std::move(flight));
    }
  }
}

void ProbeEngine::wait_on(Flight& flight, bool first) {
  bool wants_write = flight.attempt->wants_write();
  if (!first && wants_write == flight.wants_write) return;
  flight.wants_write = wants_write;
  epoll_event event{};
  event.events = wants_write ? EPOLLOUT : EPOLLIN;
  event.data.fd = flight.attempt->fd();
  // Without the wake-up the next regular step still sees the answer.
  (void)::epoll_ctl(epoll_, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, flight.attempt->fd(), &event);
}

void ProbeEngine::finish_flights() {
  std::vector<std::pair<Flight, ProbeResult>> done;
  for (auto flight = flights_.begin(); flight != flights_.end();) {
    std::optional<ProbeResult> result = flight->attempt->advance();
    if (!result && clock_.now() >= flight->deadline) result = ProbeResult{false, "timed out"};
    if (!result) {
      wait_on(*flight++, false);
      continue;
    }
    done.emplace_back(std::move(*flight), std::move(*result));
    flight = flights_.erase(flight);
  }
  for (const auto& [flight, result] : done) deliver(flight, result);
}

void ProbeEngine::deliver(const Flight& flight, const ProbeResult& result) {
  auto pod = pods_.find(flight.uid);
  if (pod == pods_.end()) return;
  auto found = pod->second.containers.find(flight.container);
  if (found == pod->second.containers.end() || found->second.run != flight.run) return;
  ProbeState& probes = found->second.probes;
  probes.result(flight.kind, result.success, result.text, clock_.now());
  if (auto failure = probes.take_failure()) restart_(flight.uid, flight.container, *failure);
  save(pod->second);
}

void ProbeEngine::fill(PodState& state) const {
  auto pod = pods_.find(state.uid);
  for (ContainerState& c : state.containers) {
    bool running = c.phase == ContainerState::Phase::kRunning;
    c.started = c.ready = running;
    if (pod == pods_.end() || c.init) continue;
    auto found = pod->second.containers.find(c.name);
    if (found == pod->second.containers.end()) continue;
    c.started = running && found->second.probes.started();
    c.ready = running && found->second.probes.ready();
  }
}

void ProbeEngine::save(Pod& pod) {
  bool changed = false;
  codec::Value file = codec::Value::map();
  for (auto& [name, c] : pod.containers) {
    bool started = c.probes.started(), ready = c.probes.ready();
    changed =
        changed || c.saved_run != c.run || c.saved_started != started || c.saved_ready != ready;
    c.saved_run = c.run;
    c.saved_started = started;
    c.saved_ready = ready;
    codec::Value entry = codec::Value::map();
    entry.set("run", codec::Value::integer(c.run));
    entry.set("started", codec::Value::boolean(started));
    entry.set("ready", codec::Value::boolean(ready));
    file.set(name, std::move(entry));
  }
  if (!changed) return;
  if (Status done = write_file_atomic(pod.dir + "/probes.json", codec::write_json(file), 0600);
      !done)
    log_warn("runtime", "probe results are not kept: " + done.error().message);
}

void ProbeEngine::load(Pod& pod) {
  auto text = read_file(pod.dir + "/probes.json", 1 << 20);
  auto value = text ? codec::parse_json(*text) : Result<codec::Value>(codec::Value());
  if (!value) return;
  for (auto& [name, c] : pod.containers) {
    const codec::Value& entry = (*value)[name];
    c.saved_run = entry["run"].as_int();
    c.saved_started = entry["started"].as_bool();
    c.saved_ready = entry["ready"].as_bool();
  }
}

}  // namespace sallyport::runtime
