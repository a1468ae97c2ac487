#include "proxy/control_answers.h"

#include "codec/json.h"

namespace sallyport::proxy {
namespace {

int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::map<std::string, WorkerFacts::PodFacts> pods_of(const std::vector<WorkerFacts>& facts) {
  std::map<std::string, WorkerFacts::PodFacts> out;
  for (const WorkerFacts& worker : facts) {
    for (const auto& [uid, pod] : worker.pods) {
      WorkerFacts::PodFacts& all = out[uid];
      const size_t inbound = all.inbound + pod.inbound, outbound = all.outbound + pod.outbound;
      all = pod;
      all.inbound = inbound;
      all.outbound = outbound;
    }
  }
  return out;
}

}  // namespace

WorkerFacts facts_of(Worker& worker) {
  WorkerFacts out;
  out.counters = worker.counters();
  for (const auto& [uid, pod] : worker.pods()) {
    WorkerFacts::PodFacts& facts = out.pods[uid];
    facts.inbound = pod->inbound;
    facts.outbound = pod->outbound;
    facts.configured = pod->local != nullptr;
    facts.identified = pod->identity != nullptr;
    if (pod->identity) {
      facts.identity = pod->identity->id.to_string();
      facts.not_after = seconds(pod->identity->not_after);
    }
  }
  out.memory = worker.memory();
  out.budget = worker.limits().memory_budget;
  out.pooled = worker.pool().connections();
  out.pooled_idle = worker.pool().idle();
  out.streams = worker.streams().open;
  out.lost_flows = worker.reporting().lost_flows();
  out.lost_lines = worker.reporting().lost_lines();
  return out;
}

std::string metrics_text(const std::vector<WorkerFacts>& facts, const std::vector<Worker*>& workers,
                         const std::map<std::string, int64_t>& certificates, uint64_t generation) {
  telemetry::Exposition out;
  telemetry::declare_all(out);
  for (Worker* worker : workers) worker->reporting().render(out);
  std::array<uint64_t, http::kCounters> sums{};
  telemetry::ProcessFacts process;
  for (const WorkerFacts& worker : facts) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += worker.counters.values[i];
    process.flow_records_lost += worker.lost_flows;
    process.access_log_lines_lost += worker.lost_lines;
    process.memory_bytes += worker.memory;
    process.memory_budget_bytes = worker.budget;
  }
  const auto pods = pods_of(facts);
  process.pods = pods.size();
  for (const auto& [uid, pod] : pods) {
    process.inbound_connections += pod.inbound;
    process.outbound_connections += pod.outbound;
  }
  process.generation = generation;
  std::vector<telemetry::NamedCount> limits;
  for (size_t i = 0; i < sums.size(); ++i)
    limits.push_back({http::to_string(static_cast<http::Counter>(i)), sums[i]});
  process.limits = limits;
  std::vector<telemetry::CertificateFacts> known;
  for (const auto& [id, not_after] : certificates) known.push_back({id, not_after});
  process.certificates = known;
  telemetry::render(out, process);
  return out.text();
}

std::string status_json(const std::vector<WorkerFacts>& facts, uint64_t generation) {
  using codec::Value;
  auto number = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  Value root = Value::map();
  root.set("generation", Value::integer(static_cast<int64_t>(generation)));
  root.set("workers", number(facts.size()));
  Value& pods = root.set("pods", Value::map());
  for (const auto& [uid, pod] : pods_of(facts)) {
    Value& one = pods.set(uid, Value::map());
    one.set("inbound", number(pod.inbound));
    one.set("outbound", number(pod.outbound));
    one.set("configured", Value::boolean(pod.configured));
    one.set("identity", pod.identity);
    one.set("notAfter", Value::integer(pod.not_after));
  }
  size_t memory = 0, streams = 0, pooled = 0, idle = 0;
  for (const WorkerFacts& worker : facts) {
    memory += worker.memory;
    streams += worker.streams;
    pooled += worker.pooled;
    idle += worker.pooled_idle;
  }
  root.set("memoryBytes", number(memory));
  root.set("connections", number(streams));
  root.set("pooled", number(pooled));
  root.set("pooledIdle", number(idle));
  return codec::write_json(root);
}

}  // namespace sallyport::proxy
