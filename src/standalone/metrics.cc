#include "standalone/metrics.h"

#include <algorithm>
#include <cstdio>

namespace sallyport::standalone {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    out += c;
  }
  return out;
}

void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n");
  out.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void sample(std::string& out, std::string_view name, const Labels& labels, uint64_t value) {
  out += name;
  if (!labels.empty()) {
    out += '{';
    for (size_t i = 0; i < labels.size(); ++i) {
      if (i) out += ',';
      out.append(labels[i].first).append("=\"").append(escape(labels[i].second)).append("\"");
    }
    out += '}';
  }
  out.append(" ").append(std::to_string(value)).append("\n");
}

Labels rule_labels(const policy::RuleInfo& info) {
  return {{"direction", std::string(policy::to_string(info.direction))},
          {"policy", info.policy},
          {"rule", info.rule < 0 ? "" : std::to_string(info.rule)},
          {"reason", std::string(policy::to_string(info.reason))},
          {"verdict", info.action == policy::Action::kAllow ? "allowed" : "denied"}};
}

// Rules whose content changed keep their labels under a new id: one series has the sum.
struct RuleSeries {
  Labels labels;
  gate::GateStats::RuleCount count;
};

std::map<std::string, RuleSeries> by_labels(const gate::GateStats& stats,
                                            const policy::RuleRegistry& rules) {
  std::map<std::string, RuleSeries> out;
  for (const auto& [id, count] : stats.rules) {
    const policy::RuleInfo* info = rules.find(id);
    if (!info) continue;
    Labels labels = rule_labels(*info);
    std::string key;
    for (const auto& [name, value] : labels) key += value + '\x1f';
    RuleSeries& series = out[key];
    series.labels = std::move(labels);
    series.count.verdicts += count.verdicts;
    series.count.packets += count.packets;
    series.count.bytes += count.bytes;
  }
  return out;
}

}  // namespace

void ProgrammingLatency::observe(double seconds) {
  size_t i = 0;
  while (i < kBounds.size() && seconds > kBounds[i]) ++i;
  ++counts_[i];
  ++total_;
  sum_ += seconds;
}

void ProgrammingLatency::write(std::string& out) const {
  constexpr std::string_view kName = "sallyport_policy_programming_seconds";
  family(out, kName, "histogram",
         "From a change that was seen to the new generation in force, in seconds.");
  uint64_t below = 0;
  char number[64];
  for (size_t i = 0; i < kBounds.size(); ++i) {
    below += counts_[i];
    std::snprintf(number, sizeof number, "%g", kBounds[i]);
    sample(out, std::string(kName) + "_bucket", {{"le", number}}, below);
  }
  sample(out, std::string(kName) + "_bucket", {{"le", "+Inf"}}, total_);
  std::snprintf(number, sizeof number, "%.6f", sum_);
  out.append(kName).append("_sum ").append(number).append("\n");
  sample(out, std::string(kName) + "_count", {}, total_);
}

std::string write_metrics(const gate::GateStats& stats, const policy::RuleRegistry& rules,
                          const FlowLog& flows, const Pods& pods,
                          const ProgrammingLatency& latency) {
  std::string out;
  auto series = by_labels(stats, rules);
  family(
      out, "sallyport_verdicts_total", "counter",
      "Verdicts on new connections (allowed) and packets (denied) by direction, policy and rule.");
  for (const auto& [key, s] : series)
    sample(out, "sallyport_verdicts_total", s.labels, s.count.verdicts);
  family(out, "sallyport_rule_packets_total", "counter",
         "Packets that a rule let pass or dropped.");
  for (const auto& [key, s] : series)
    sample(out, "sallyport_rule_packets_total", s.labels, s.count.packets);
  family(out, "sallyport_rule_bytes_total", "counter", "Bytes that a rule let pass or dropped.");
  for (const auto& [key, s] : series)
    sample(out, "sallyport_rule_bytes_total", s.labels, s.count.bytes);

  family(out, "sallyport_dropped_packets_total", "counter", "Dropped packets by reason.");
  for (const auto& [reason, packets] : std::map(stats.drops.begin(), stats.drops.end()))
    sample(out, "sallyport_dropped_packets_total",
           {{"reason", std::string(gate::reason_text(reason))}}, packets);

  family(out, "sallyport_flow_events_total", "counter", "Flow events by kind.");
  for (const auto& [kind, count] : flows.counts().by_kind)
    sample(out, "sallyport_flow_events_total", {{"kind", kind}}, count);
  family(out, "sallyport_flow_events_lost_total", "counter",
         "Flow events that the ring buffer had no room for.");
  sample(out, "sallyport_flow_events_lost_total", {}, stats.events_lost);

  family(out, "sallyport_generation", "gauge", "The generation of tables in force.");
  sample(out, "sallyport_generation", {}, stats.generation);
  family(out, "sallyport_connections", "gauge", "Entries of the connection table.");
  sample(out, "sallyport_connections", {}, stats.connections);
  family(out, "sallyport_connections_limit", "gauge", "Size of the connection table.");
  sample(out, "sallyport_connections_limit", {}, stats.connections_limit);
  family(out, "sallyport_connection_overflows_total", "counter",
         "New connections denied because the table or an endpoint's quota was full.");
  sample(out, "sallyport_connection_overflows_total", {}, stats.connection_overflows);
  family(out, "sallyport_endpoint_connections", "gauge",
         "Connections that count towards an endpoint's quota.");
  for (const auto& [id, count] : std::map(stats.connections_of.begin(), stats.connections_of.end()))
    if (std::string pod = flows.pod_of(id); !pod.empty())
      sample(out, "sallyport_endpoint_connections",
             {{"pod", pod}, {"endpoint", std::to_string(id)}}, count);
  family(out, "sallyport_table_entries", "gauge", "Entries of the policy tables in force.");
  for (auto [table, count] : {std::pair("endpoints", stats.endpoints),
                              {"cidrs", stats.cidrs},
                              {"programs", stats.programs},
                              {"pairs", stats.pairs},
                              {"pieces", stats.pieces}})
    sample(out, "sallyport_table_entries", {{"table", table}}, count);
  family(out, "sallyport_endpoints_limit", "gauge", "Addresses that the endpoint table can hold.");
  sample(out, "sallyport_endpoints_limit", {}, stats.endpoints_limit);

  latency.write(out);
  uint64_t ready = 0;
  for (const auto& [key, record] : pods.records()) ready += record.state.ready();
  family(out, "sallyport_pods", "gauge", "Pods of the node.");
  sample(out, "sallyport_pods", {}, pods.records().size());
  family(out, "sallyport_pods_ready", "gauge", "Pods of the node that are ready.");
  sample(out, "sallyport_pods_ready", {}, ready);
  return out;
}

}  // namespace sallyport::standalone
