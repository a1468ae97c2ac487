#include "standalone/flow_log.h"

#include <algorithm>

#include "policy/evaluator.h"
#include "policy/explain.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

constexpr size_t kMaxNames = 20000;

std::string_view kind_name(gate::FlowEvent::Kind kind) {
  switch (kind) {
    case gate::FlowEvent::Kind::kNew:
      return "new";
    case gate::FlowEvent::Kind::kDenied:
      return "denied";
    case gate::FlowEvent::Kind::kClosed:
      return "closed";
    case gate::FlowEvent::Kind::kRevoked:
      return "revoked";
  }
  return "unknown";
}

std::string protocol_name(uint8_t protocol) {
  switch (protocol) {
    case 1:
      return "ICMP";
    case 6:
      return "TCP";
    case 17:
      return "UDP";
    case 58:
      return "ICMPv6";
    case 132:
      return "SCTP";
    default:
      return std::to_string(protocol);
  }
}

bool side_matches(const Value& side, const std::string& want) {
  if (want.empty()) return true;
  std::string pod = side["namespace"].as_string() + "/" + side["pod"].as_string();
  if (want.back() == '/') return pod.starts_with(want);
  return want.find('/') != std::string::npos ? pod == want : side["address"].as_string() == want;
}

// What a rule id says, without the world.
Value direction_value(const policy::RuleRegistry& rules, policy::RuleId id) {
  Value out = Value::map();
  const policy::RuleInfo* info = rules.find(id);
  if (!info) {
    out.set("verdict", "allow");
    out.set("policy", Value());
    out.set("rule", Value());
    out.set("reason", id == 0 ? "not isolated" : "a rule that is no longer known");
    return out;
  }
  out.set("verdict", info->action == policy::Action::kAllow ? "allow" : "deny");
  out.set("policy", info->policy.empty() ? Value() : Value::string(info->policy));
  out.set("rule", info->rule < 0 ? Value() : Value::integer(info->rule));
  out.set("reason", policy::to_string(info->reason));
  if (!info->isolated_by.empty()) {
    Value& names = out.set("isolatedBy", Value::list());
    for (const std::string& name : info->isolated_by) names.push(Value::string(name));
  }
  return out;
}

// The nearest rule of an implicit deny needs the labels, so the evaluator is asked.
void add_nearest(Value& out, const policy::DirectionVerdict& verdict) {
  if (!verdict.nearest || verdict.reason != policy::Reason::kImplicitDeny) return;
  Value nearest = Value::map();
  nearest.set("policy", verdict.nearest->policy);
  nearest.set("rule", Value::integer(verdict.nearest->rule));
  nearest.set("why", verdict.nearest->why);
  out.set("nearest", std::move(nearest));
}

}  // namespace

bool FlowFilter::matches(const Value& record, WallTime time) const {
  return time >= since && (verdict.empty() || record["verdict"].as_string() == verdict) &&
         side_matches(record["source"], from) && side_matches(record["destination"], to);
}

void FlowLog::learn(const world::World& world) {
  for (const world::Endpoint& endpoint : world.endpoints) {
    if (!names_.try_emplace(endpoint.id, Name{endpoint.ns, endpoint.name}).second) continue;
    name_order_.push_back(endpoint.id);
    if (name_order_.size() > kMaxNames) {
      names_.erase(name_order_.front());
      name_order_.pop_front();
    }
  }
}

std::string FlowLog::pod_of(uint32_t endpoint_id) const {
  auto found = names_.find(endpoint_id);
  return found == names_.end() ? "" : found->second.ns + "/" + found->second.name;
}

Value FlowLog::side(const Ip& ip, uint16_t port, uint32_t endpoint_id, bool has_port) const {
  Value out = Value::map();
  out.set("address", ip.to_string());
  if (has_port) out.set("port", Value::integer(port));
  if (auto found = names_.find(endpoint_id); found != names_.end()) {
    out.set("namespace", found->second.ns);
    out.set("pod", found->second.name);
  }
  return out;
}

void FlowLog::add(const gate::FlowEvent& event, WallTime time, const world::World* world,
                  const policy::RuleRegistry& rules) {
  bool icmp = event.protocol == 1 || event.protocol == 58;
  Value record = Value::map();
  record.set("schema", kFlowSchema);
  record.set("time", rfc3339(time, true));
  record.set("kind", kind_name(event.kind));
  record.set("verdict", event.allow ? "allowed" : "denied");
  record.set("reason", gate::reason_text(event.reason));
  record.set("protocol", protocol_name(event.protocol));
  record.set("source", side(event.source, event.source_port, event.source_endpoint, !icmp));
  record.set("destination",
             side(event.destination, event.destination_port, event.destination_endpoint, !icmp));
  if (icmp) {
    record.set("icmpType", Value::integer(event.destination_port >> 8));
    record.set("icmpCode", Value::integer(event.destination_port & 0xff));
  }
  if (event.local) record.set("toNode", Value::boolean(true));

  Value egress = direction_value(rules, event.egress_rule);
  Value ingress = direction_value(rules, event.ingress_rule);
  bool implicit =
      egress["reason"].as_string() == policy::to_string(policy::Reason::kImplicitDeny) ||
      ingress["reason"].as_string() == policy::to_string(policy::Reason::kImplicitDeny);
  if (!event.allow && world && implicit) {
    policy::Query query;
    query.from = event.source;
    query.to = event.destination;
    query.from_pod = world->find_ip(event.source);
    query.to_pod = world->find_ip(event.destination);
    query.family = event.source.family();
    query.protocol = icmp ? k8s::Protocol::kIcmp : static_cast<k8s::Protocol>(event.protocol);
    query.port = icmp ? 0 : event.destination_port;
    policy::Verdict verdict = policy::evaluate(*world, query);
    add_nearest(egress, verdict.egress);
    add_nearest(ingress, verdict.ingress);
  }
  // A side that is no pod has nothing to say.
  if (event.source_endpoint) record.set("egress", std::move(egress));
  if (event.destination_endpoint) record.set("ingress", std::move(ingress));
  record.set("generation", Value::integer(static_cast<int64_t>(event.generation)));
  if (event.kind == gate::FlowEvent::Kind::kClosed) {
    for (auto [name, counters] : {std::pair("packets", event.packets), {"bytes", event.bytes}}) {
      Value both = Value::map();
      both.set("sent", Value::integer(static_cast<int64_t>(counters[0])));
      both.set("received", Value::integer(static_cast<int64_t>(counters[1])));
      record.set(name, std::move(both));
    }
  }
  if (event.repeats > 1) record.set("repeats", Value::integer(event.repeats));
  if (event.tls != gate::TlsState::kUnknown) record.set("tls", gate::tls_text(event.tls));
  if (!event.tls_policy.empty()) record.set("peerAuthentication", event.tls_policy);

  ++counts_.by_kind[std::string(kind_name(event.kind))];
  keep({time, std::make_shared<const Value>(std::move(record)), nullptr});
}

void FlowLog::add_mesh(const telemetry::FlowRecord& record, const world::World* world) {
  auto flow = std::make_shared<MeshFlow>(mesh_flow(record, world));
  WallTime time = flow->time();
  ++counts_.by_kind["mesh-" + std::string(flow->kind())];
  keep({time, nullptr, std::move(flow)});
}

void FlowLog::keep(Entry entry) {
  if (!followers_.empty()) {
    if (!entry.record)
      entry.record = std::make_shared<const Value>(entry.mesh->to_value(kFlowSchema));
    for (auto& [id, sink] : followers_) sink(*entry.record, entry.time);
  }
  entries_.push_back(std::move(entry));
  if (entries_.size() > keep_) entries_.pop_front();
}

std::vector<FlowLog::RecordPtr> FlowLog::last(const FlowFilter& filter, size_t last) const {
  std::vector<RecordPtr> out;
  for (auto it = entries_.rbegin(); it != entries_.rend() && out.size() < last; ++it) {
    // The records of proxies come a moment late: an older one may stand before a newer.
    if (it->time < filter.since) continue;
    if (!it->record) {
      it->record = std::make_shared<const Value>(it->mesh->to_value(kFlowSchema));
      it->mesh.reset();
    }
    if (filter.matches(*it->record, it->time)) out.push_back(it->record);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

uint64_t FlowLog::follow(std::function<void(const Value&, WallTime)> sink) {
  followers_.emplace(next_follower_, std::move(sink));
  return next_follower_++;
}

}  // namespace sallyport::standalone
