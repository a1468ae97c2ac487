// What gate 2 tells of itself: status, identities, metrics.
#include <algorithm>

#include "authz/peer_modes.h"
#include "codec/json.h"
#include "standalone/mesh.h"
#include "telemetry/exposition.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

constexpr auto kAnswerWait = std::chrono::milliseconds(500);

std::string_view mode_text(k8s::MutualTlsMode mode) {
  switch (mode) {
    case k8s::MutualTlsMode::kDisable:
      return "DISABLE";
    case k8s::MutualTlsMode::kStrict:
      return "STRICT";
    case k8s::MutualTlsMode::kUnset:
    case k8s::MutualTlsMode::kPermissive:
      break;
  }
  return "PERMISSIVE";
}

template <class Numbers>
Value number_list(const Numbers& numbers) {
  Value out = Value::list();
  for (auto number : numbers) out.push(Value::integer(number));
  return out;
}

template <class Texts>
Value text_list(const Texts& texts) {
  Value out = Value::list();
  for (const auto& text : texts) out.push(Value::string(text));
  return out;
}

Value proxy_value(const ProxyView& proxy) {
  Value out = Value::map();
  out.set("group", proxy.group);
  out.set("pid", Value::integer(proxy.pid));
  out.set("generation", Value::integer(static_cast<int64_t>(proxy.in_force)));
  out.set("wantedGeneration", Value::integer(static_cast<int64_t>(proxy.wanted)));
  out.set("restarts", Value::integer(static_cast<int64_t>(proxy.restarts)));
  if (!proxy.problem.empty()) out.set("problem", proxy.problem);
  return out;
}

// UDP ports of a pod whose default is STRICT: nothing encrypts them.
std::set<int> plain_udp_ports(const world::Endpoint& pod, const authz::PeerModes& modes) {
  std::set<int> out;
  for (const k8s::ContainerPort& port : pod.ports)
    if (port.protocol == k8s::Protocol::kUdp &&
        modes.at(static_cast<uint16_t>(port.port)).mode == k8s::MutualTlsMode::kStrict)
      out.insert(port.port);
  return out;
}

void add_modes(Value& row, const authz::PeerModes& modes) {
  row.set("mode", mode_text(modes.base.mode));
  if (!modes.base.policy.empty()) row.set("modePolicy", modes.base.policy);
  if (modes.ports.empty()) return;
  Value& ports = row.set("portModes", Value::map());
  for (const auto& [port, mode] : modes.ports)
    ports.set(std::to_string(port), mode_text(mode.mode));
}

std::string time_text(WallTime time) {
  return rfc3339(time);
}

}  // namespace

Value MeshControl::status(const world::World& world) {
  Value out = Value::map();
  out.set("trustDomain", world.mesh.trust_domain);
  out.set("isolation", to_string(options_.isolation));
  if (state_.access_log) out.set("accessLog", log_path_);
  std::vector<ProxyView> proxies;
  std::map<std::string, Value> answers;  // by group
  if (fleet_) {
    proxies = fleet_->proxies();
    for (auto& [group, text] : fleet_->status(kAnswerWait))
      if (auto parsed = codec::parse_json(text, 64 << 20)) answers[group] = std::move(*parsed);
  }
  Value& list = out.set("proxies", Value::list());
  for (const ProxyView& proxy : proxies) list.push(proxy_value(proxy));

  std::map<std::string, const Member*> members;
  std::vector<Member> all = mesh_members(world, options_.isolation);
  for (const Member& member : all) members[member.uid] = &member;
  Value& rows = out.set("pods", Value::list());
  for (const world::Endpoint& pod : world.endpoints) {
    Value row = Value::map();
    row.set("namespace", pod.ns);
    row.set("name", pod.name);
    auto found = members.find(pod.uid);
    row.set("meshed", Value::boolean(found != members.end()));
    if (found == members.end()) {
      rows.push(std::move(row));
      continue;
    }
    const Member& member = *found->second;
    row.set("identity", member.identity.to_string());
    row.set("proxy", member.group);
    for (const ProxyView& proxy : proxies)
      if (proxy.group == member.group)
        row.set("generation", Value::integer(static_cast<int64_t>(proxy.in_force)));
    authz::PeerModes modes = authz::peer_modes(world, pod);
    add_modes(row, modes);
    const Value& its = answers[member.group]["pods"][pod.uid];
    row.set("openConnections", Value::integer(its["inbound"].as_int() + its["outbound"].as_int()));
    const mesh::Membership& membership = member.membership;
    row.set("excludedInboundPorts", number_list(membership.exclude_inbound_ports));
    row.set("excludedOutboundPorts", number_list(membership.exclude_outbound_ports));
    if (!membership.exclude_outbound_ranges.empty()) {
      std::vector<std::string> ranges;
      for (const Cidr& range : membership.exclude_outbound_ranges)
        ranges.push_back(range.to_string());
      row.set("excludedOutboundRanges", text_list(ranges));
    }
    if (auto udp = plain_udp_ports(pod, modes); !udp.empty())
      row.set("plaintextUdpPorts", number_list(udp));
    if (!membership.problems.empty()) row.set("warnings", text_list(membership.problems));
    if (auto captured = pods_.find(pod.uid); captured == pods_.end())
      row.set("problem", "its interception is not in place");
    else if (!captured->second.problem.empty())
      row.set("problem", captured->second.problem);
    rows.push(std::move(row));
  }
  return out;
}

Value MeshControl::identities(const world::World& world) {
  Value list = Value::map();
  list.set("apiVersion", "v1");
  list.set("kind", "List");
  Value& items = list.set("items", Value::list());
  if (!fleet_) return list;
  std::map<std::string, std::vector<std::string>> users;
  for (const Member& member : mesh_members(world, options_.isolation))
    users[member.identity.to_string()].push_back(member.key);
  for (const CertificateView& certificate : fleet_->certificates()) {
    Value item = Value::map();
    item.set("kind", "Identity");
    item.set("spiffeId", certificate.id);
    item.set("serial", certificate.serial);
    item.set("notBefore", time_text(certificate.not_before));
    item.set("notAfter", time_text(certificate.not_after));
    item.set("nextRenewal", time_text(certificate.renew_at));
    item.set("issued", Value::integer(static_cast<int64_t>(certificate.issued)));
    item.set("pods", text_list(users[certificate.id]));
    if (!certificate.problem.empty()) item.set("problem", certificate.problem);
    items.push(std::move(item));
  }
  return list;
}

std::string MeshControl::metrics_text() {
  if (!fleet_) return {};
  telemetry::Exposition all;
  using telemetry::MetricType;
  all.declare("sallyport_mesh_members", MetricType::kGauge, "Pods of the mesh.");
  all.declare("sallyport_mesh_proxies", MetricType::kGauge, "Proxy processes, by state.");
  all.declare("sallyport_mesh_proxy_restarts_total", MetricType::kCounter,
              "Proxy processes that ended and were started again.");
  all.declare("sallyport_mesh_certificates_issued_total", MetricType::kCounter,
              "Certificates that the node's authority has issued.");
  all.declare("sallyport_mesh_certificate_failures_total", MetricType::kCounter,
              "Certificates that could not be issued.");
  double running = 0, down = 0;
  for (const ProxyView& proxy : fleet_->proxies()) ++(proxy.pid > 0 ? running : down);
  all.add("sallyport_mesh_members", "", static_cast<double>(pods_.size()));
  all.add("sallyport_mesh_proxies", "state=\"running\"", running);
  all.add("sallyport_mesh_proxies", "state=\"down\"", down);
  ProxyFleet::Counts counts = fleet_->counts();
  all.add("sallyport_mesh_proxy_restarts_total", "", static_cast<double>(counts.restarts));
  all.add("sallyport_mesh_certificates_issued_total", "", static_cast<double>(counts.issued));
  all.add("sallyport_mesh_certificate_failures_total", "",
          static_cast<double>(counts.issue_failures));
  // A text that is no exposition counts for nothing; the proxy that sent it is not ours any more.
  for (const auto& [group, text] : fleet_->metrics(kAnswerWait)) (void)all.add_text(text);
  return all.text();
}

}  // namespace sallyport::standalone
