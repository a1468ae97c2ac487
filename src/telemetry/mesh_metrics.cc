#include "telemetry/mesh_metrics.h"

#include <bit>

#include "base/strings.h"

namespace sallyport::telemetry {
namespace {

constexpr std::string_view kHandshakes = "sallyport_mesh_handshakes_total";
constexpr std::string_view kDecisions = "sallyport_mesh_decisions_total";
constexpr std::string_view kAdded = "sallyport_mesh_added_latency_microseconds";
constexpr std::string_view kCertificates = "sallyport_mesh_certificate_expiry_timestamp_seconds";
constexpr std::string_view kLimits = "sallyport_mesh_limit_hits_total";
constexpr std::string_view kPods = "sallyport_mesh_pods";
constexpr std::string_view kConnections = "sallyport_mesh_connections";
constexpr std::string_view kGeneration = "sallyport_mesh_configuration_generation";
constexpr std::string_view kFlowsLost = "sallyport_mesh_flow_records_lost_total";
constexpr std::string_view kLinesLost = "sallyport_mesh_access_log_lines_lost_total";
constexpr std::string_view kMemory = "sallyport_mesh_memory_bytes";
constexpr std::string_view kBudget = "sallyport_mesh_memory_budget_bytes";

struct Group {
  uint16_t iana;
  std::string_view name;
};
constexpr Group kKnownGroups[] = {
    {0, "none"}, {0x11ec, "X25519MLKEM768"}, {0x001d, "X25519"}, {0x0017, "P-256"}};
constexpr size_t kOtherGroup = std::size(kKnownGroups);

size_t group_index(uint16_t iana) {
  for (size_t i = 0; i < std::size(kKnownGroups); ++i) {
    if (kKnownGroups[i].iana == iana) return i;
  }
  return kOtherGroup;
}

std::string_view side_name(size_t side) {
  return side == 0 ? "client" : "server";
}
std::string_view reporter_name(Reporter where) {
  return where == Reporter::kSource ? "source" : "destination";
}

}  // namespace

std::string_view to_string(HandshakeResult result) {
  static constexpr std::string_view kNames[kHandshakeResults] = {
      "ok",      "timeout",    "closed",   "no_certificate", "untrusted",
      "expired", "wrong_peer", "protocol", "other"};
  const auto index = static_cast<size_t>(result);
  return index < kHandshakeResults ? kNames[index] : "other";
}

std::string_view group_name(uint16_t iana) {
  const size_t index = group_index(iana);
  return index == kOtherGroup ? "other" : kKnownGroups[index].name;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAllow:
      return "allow";
    case Verdict::kDeny:
      return "deny";
    case Verdict::kAudit:
      return "audit";
    case Verdict::kDryRunAllow:
      return "dry_run_allow";
    case Verdict::kDryRunDeny:
      return "dry_run_deny";
  }
  return "unknown";
}

struct MeshMetrics::Decision {
  uint64_t hash = 0;
  Reporter where = Reporter::kSource;
  Verdict verdict = Verdict::kDeny;
  bool network = false;
  int rule = -1;
  std::string policy;
  Counter count;
};

MeshMetrics::MeshMetrics(size_t max_decisions)
    : slots_(std::bit_ceil(max_decisions * 2 + 2)),
      max_decisions_(max_decisions),
      table_(new std::atomic<Decision*>[slots_]()),
      overflow_(std::make_unique<Decision>()) {
  overflow_->policy = "other";
}

MeshMetrics::~MeshMetrics() {
  for (size_t i = 0; i < slots_; ++i) delete table_[i].load(std::memory_order_relaxed);
}

void MeshMetrics::handshake(HandshakeSide side, HandshakeResult result, uint16_t group) {
  const size_t index =
      (static_cast<size_t>(side) * kHandshakeResults + static_cast<size_t>(result)) * kGroups +
      group_index(group);
  if (index < handshakes_.size()) handshakes_[index].add();
}

void MeshMetrics::added_latency(Reporter where, uint64_t nanoseconds) {
  added_[where == Reporter::kSource ? 0 : 1].observe(static_cast<double>(nanoseconds) / 1e3);
}

Counter& MeshMetrics::decision_counter(Reporter where, Verdict verdict, std::string_view policy,
                                       int rule, bool network) {
  const uint64_t small = static_cast<uint64_t>(where) | static_cast<uint64_t>(verdict) << 8 |
                         static_cast<uint64_t>(network) << 16 |
                         static_cast<uint64_t>(static_cast<uint32_t>(rule)) << 32;
  const uint64_t hash = fnv1a(policy) ^ small * 0x9e3779b97f4a7c15ULL;
  const size_t mask = slots_ - 1;
  size_t i = hash & mask;
  while (Decision* known = table_[i].load(std::memory_order_relaxed)) {
    if (known->hash == hash && known->where == where && known->verdict == verdict &&
        known->network == network && known->rule == rule && known->policy == policy) {
      return known->count;
    }
    i = (i + 1) & mask;
  }
  if (used_ >= max_decisions_) return overflow_->count;
  ++used_;
  auto fresh = std::make_unique<Decision>();
  fresh->hash = hash;
  fresh->where = where;
  fresh->verdict = verdict;
  fresh->network = network;
  fresh->rule = rule;
  fresh->policy = policy;
  Decision* raw = fresh.release();
  table_[i].store(raw, std::memory_order_release);  // readers see it complete
  return raw->count;
}

void MeshMetrics::decision(Reporter where, Verdict verdict, std::string_view policy, int rule,
                           bool network) {
  decision_counter(where, verdict, policy, rule, network).add();
}

void MeshMetrics::render(Exposition& out) const {
  for (size_t side = 0; side < 2; ++side) {
    for (size_t result = 0; result < kHandshakeResults; ++result) {
      for (size_t group = 0; group < kGroups; ++group) {
        const Counter& count = handshakes_[(side * kHandshakeResults + result) * kGroups + group];
        if (count.value() == 0) continue;
        std::string labels;
        append_label(labels, "side", side_name(side));
        append_label(labels, "result", to_string(static_cast<HandshakeResult>(result)));
        append_label(labels, "group", group == kOtherGroup ? "other" : kKnownGroups[group].name);
        out.add(kHandshakes, labels, static_cast<double>(count.value()));
      }
    }
  }
  const auto show = [&](const Decision& decision) {
    if (decision.count.value() == 0) return;
    std::string labels;
    append_label(labels, "reporter", reporter_name(decision.where));
    append_label(labels, "gate", decision.network ? "network" : "mesh");
    append_label(labels, "verdict", to_string(decision.verdict));
    append_label(labels, "policy", decision.policy);
    append_label(labels, "rule", decision.rule < 0 ? "" : std::to_string(decision.rule));
    out.add(kDecisions, labels, static_cast<double>(decision.count.value()));
  };
  for (size_t i = 0; i < slots_; ++i) {
    if (const Decision* decision = table_[i].load(std::memory_order_acquire)) show(*decision);
  }
  show(*overflow_);
  for (const Reporter where : {Reporter::kSource, Reporter::kDestination}) {
    const auto& values = added_[where == Reporter::kSource ? 0 : 1];
    std::string labels;
    append_label(labels, "reporter", reporter_name(where));
    out.add_histogram(kAdded, labels, values.bounds(), values.counts(), values.sum());
  }
}

void MeshMetrics::declare(Exposition& out) {
  out.declare(kHandshakes, MetricType::kCounter, "TLS handshakes between proxies, by result.");
  out.declare(kDecisions, MetricType::kCounter,
              "Requests and connections decided, by the policy and rule that decided.");
  out.declare(kAdded, MetricType::kHistogram,
              "Time that one proxy added to a request and its response, in microseconds.");
  out.declare(kCertificates, MetricType::kGauge,
              "When the certificate of an identity expires, in seconds since the epoch.",
              Merge::kMin);
  out.declare(kLimits, MetricType::kCounter, "How often a limit was reached.");
  out.declare(kPods, MetricType::kGauge, "Pods that the proxies serve.");
  out.declare(kConnections, MetricType::kGauge, "Open connections.");
  out.declare(kGeneration, MetricType::kGauge,
              "The oldest configuration that a proxy has in force.", Merge::kMin);
  out.declare(kFlowsLost, MetricType::kCounter, "Flow records that the ring had no room for.");
  out.declare(kLinesLost, MetricType::kCounter, "Access log lines that the file did not take.");
  out.declare(kMemory, MetricType::kGauge, "Bytes that connections and buffers use.");
  out.declare(kBudget, MetricType::kGauge, "Bytes that they may use.");
}

void render(Exposition& out, const ProcessFacts& facts) {
  for (const NamedCount& limit : facts.limits) {
    std::string labels;
    append_label(labels, "limit", limit.name);
    out.add(kLimits, labels, static_cast<double>(limit.value));
  }
  for (const CertificateFacts& certificate : facts.certificates) {
    std::string labels;
    append_label(labels, "identity", certificate.identity);
    out.add(kCertificates, labels, static_cast<double>(certificate.not_after));
  }
  out.add(kPods, {}, static_cast<double>(facts.pods));
  std::string inbound, outbound;
  append_label(inbound, "direction", "inbound");
  append_label(outbound, "direction", "outbound");
  out.add(kConnections, inbound, static_cast<double>(facts.inbound_connections));
  out.add(kConnections, outbound, static_cast<double>(facts.outbound_connections));
  out.add(kGeneration, {}, static_cast<double>(facts.generation));
  out.add(kFlowsLost, {}, static_cast<double>(facts.flow_records_lost));
  out.add(kLinesLost, {}, static_cast<double>(facts.access_log_lines_lost));
  out.add(kMemory, {}, static_cast<double>(facts.memory_bytes));
  out.add(kBudget, {}, static_cast<double>(facts.memory_budget_bytes));
}

void declare_all(Exposition& out) {
  IstioMetrics::declare(out);
  MeshMetrics::declare(out);
}

}  // namespace sallyport::telemetry
