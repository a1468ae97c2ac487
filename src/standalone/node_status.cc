// What a node says about itself.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/strings.h"
#include "standalone/node.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

// A failed pod of a Job that another attempt has followed ("job-0-r1" after "job-0").
bool superseded(const k8s::Pod& pod, const std::set<std::string>& wanted) {
  if (!workload::controller_of(pod).starts_with("Job/")) return false;
  std::string base = pod.meta.name;
  int attempt = 0;
  if (size_t at = base.rfind("-r"); at != std::string::npos)
    if (auto number = parse_number<int>(base.substr(at + 2))) {
      attempt = *number;
      base.resize(at);
    }
  return wanted.contains(pod.meta.ns + "/" + base + "-r" + std::to_string(attempt + 1));
}

}  // namespace

std::string Node::overflow_advice() const {
  return "the connection table is full, or one pod's share of it; start again with a larger "
         "--max-connections (now " +
         std::to_string(options_.max_connections) + ") or --max-connections-per-pod (now " +
         std::to_string(options_.max_connections_per_pod) + ")";
}

std::vector<std::string> Node::all_problems() const {
  std::vector<std::string> all = problems_;
  for (std::string& problem : mesh_->problems())
    if (std::ranges::find(all, problem) == all.end()) all.push_back(std::move(problem));
  return all;
}

std::pair<size_t, size_t> Node::count_ready() const {
  std::set<std::string> wanted;
  for (const workload::PodPtr& pod : desired_) wanted.insert(pod->meta.ns + "/" + pod->meta.name);
  size_t ready = 0, failed = 0;
  for (const workload::PodPtr& pod : desired_) {
    const PodRecord* record = pods_->find(pod->meta.ns + "/" + pod->meta.name);
    if (!record || record->stage != PodRecord::Stage::kStarted) continue;
    if (record->state.ready() || record->state.phase == "Succeeded")
      ++ready;
    else if (record->state.phase == "Failed" && superseded(*pod, wanted))
      ++failed;
  }
  return {ready, desired_.size() - failed};
}

bool Node::ready() const {
  auto [ready, wanted] = count_ready();
  return ready == wanted && all_problems().empty() && !stopping_;
}

void Node::announce_ready() {
  if (ready_announced_ || !ready()) return;
  ready_announced_ = true;
  if (options_.quiet) return;
  double seconds = std::chrono::duration<double>(clock_.now() - started_).count();
  std::printf("run \"%s\": %zu pods ready after %.1f s, gate 1 enforces generation %llu\n",
              paths_.name.c_str(), pods_->records().size(), seconds,
              static_cast<unsigned long long>(enforcement_->generation()));
  std::fflush(stdout);
}

std::string Node::metrics_text() {
  auto stats = gate_->stats();
  drain_events();
  return stats ? write_metrics(*stats, enforcement_->rules(), flows_, *pods_, latency_) +
                     mesh_->metrics_text()
               : std::string();
}

Value Node::status() const {
  Value out = Value::map();
  out.set("name", paths_.name);
  out.set("pid", Value::integer(::getpid()));
  out.set("manifests", options_.dir);
  out.set("stopping", Value::boolean(stopping_));
  out.set("tookOver", Value::boolean(took_over_));
  out.set("generation", Value::integer(static_cast<int64_t>(enforcement_->generation())));
  auto [ready, wanted] = count_ready();
  out.set("pods", Value::integer(static_cast<int64_t>(pods_->records().size())));
  out.set("podsReady", Value::integer(static_cast<int64_t>(ready)));
  out.set("podsWanted", Value::integer(static_cast<int64_t>(wanted)));
  out.set("ready", Value::boolean(this->ready()));
  if (auto stats = gate_->stats()) {
    Value gate = Value::map();
    gate.set("layout", Value::integer(gate::kLayoutVersion));
    gate.set("connections", Value::integer(static_cast<int64_t>(stats->connections)));
    gate.set("connectionsLimit", Value::integer(static_cast<int64_t>(stats->connections_limit)));
    gate.set("connectionOverflows",
             Value::integer(static_cast<int64_t>(stats->connection_overflows)));
    if (stats->connection_overflows > 0) gate.set("overflowAdvice", overflow_advice());
    gate.set("eventsLost", Value::integer(static_cast<int64_t>(stats->events_lost)));
    gate.set("lastPublishMicros", Value::integer(static_cast<int64_t>(stats->last_publish_micros)));
    out.set("gate", std::move(gate));
  }
  auto list = [&](std::string_view key, const std::vector<std::string>& texts) {
    Value& items = out.set(key, Value::list());
    for (const std::string& text : texts) items.push(Value::string(text));
  };
  out.set("mesh", mesh_->status(*world_));
  list("problems", all_problems());
  list("rejectedChange", rejected_change_);
  std::vector<std::string> warnings;
  for (const k8s::Diagnostic& d : warnings_) warnings.push_back(d.to_string());
  for (const Pods::Stale& pod : stale_)
    if (const PodRecord* record = pods_->find(pod.key); record && record->pod->meta.uid == pod.uid)
      warnings.push_back(pod.text());
  list("warnings", warnings);
  return out;
}

}  // namespace sallyport::standalone
