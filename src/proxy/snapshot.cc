#include "proxy/snapshot.h"

#include <algorithm>

#include "base/strings.h"
#include "policy/verdict.h"
#include "world/service_endpoints.h"

namespace sallyport::proxy {
namespace {

// The workload that made a pod, as Istio names it: the owner, read back from the labels that each
// kind of owner puts on its pods.
std::string workload_of(const world::Endpoint& pod) {
  auto label = [&pod](const char* name) -> std::string_view {
    auto found = pod.labels.find(name);
    return found == pod.labels.end() ? std::string_view{} : std::string_view(found->second);
  };
  if (auto hash = label("pod-template-hash"); !hash.empty()) {
    const std::string middle = "-" + std::string(hash) + "-";
    if (size_t at = pod.name.rfind(middle); at != std::string::npos && at > 0)
      return pod.name.substr(0, at);
  }
  if (label("statefulset.kubernetes.io/pod-name") == pod.name)
    if (size_t dash = pod.name.rfind('-'); dash != std::string::npos && dash > 0)
      return pod.name.substr(0, dash);
  if (auto job = label("job-name"); !job.empty()) return std::string(job);
  return pod.name;
}

uint64_t hash_of(const telemetry::Party& party) {
  uint64_t hash = fnv1a(party.workload);
  for (const std::string* part :
       {&party.ns, &party.principal, &party.app, &party.version, &party.canonical_service,
        &party.canonical_revision, &party.cluster})
    hash = fnv1a(*part, hash * 31 + 7);
  return hash;
}

}  // namespace

Result<std::shared_ptr<const Snapshot>> Snapshot::build(mesh::ProxyConfig config) {
  std::shared_ptr<Snapshot> out(new Snapshot());
  out->config_ = std::move(config);
  if (auto good = identity::check_trust_domain(out->config_.world.mesh.trust_domain); !good)
    return fail_in("trustDomain", good.error());
  out->network_ = policy::compile(out->config_.world, out->rules_);
  out->add_pods();
  out->add_services();
  out->add_local_pods();
  for (const std::string& uid : out->config_.local_pods)
    if (!out->local_.contains(uid))
      return fail(Code::kInvalid,
                  "the pod " + uid + " is to be served here but is not in the world");
  return out;
}

void Snapshot::add_pods() {
  const world::World& world = config_.world;
  for (const world::Endpoint& endpoint : world.endpoints) {
    if (endpoint.terminated || endpoint.ips.empty()) continue;
    PodInfo& pod = pods_.emplace_back();
    const mesh::Membership member = mesh::membership(world, endpoint);
    pod.uid = endpoint.uid;
    pod.key = endpoint.key();
    pod.ips = endpoint.ips;
    pod.meshed = member.meshed;
    if (pod.meshed) {
      pod.id = identity::workload_id(
          world.mesh.trust_domain, endpoint.ns,
          endpoint.service_account.empty() ? "default" : endpoint.service_account);
      pod.spiffe = pod.id.to_string();
      pod.exclude_inbound = member.exclude_inbound_ports;
      pod.exclude_outbound = member.exclude_outbound_ports;
      pod.exclude_outbound_to = member.exclude_outbound_ranges;
      pod.modes = authz::peer_modes(world, endpoint);
    }
    pod.party =
        telemetry::make_party(endpoint.ns, workload_of(endpoint), pod.spiffe, endpoint.labels);
    pod.party.cluster = "Kubernetes";
    pod.party_hash = hash_of(pod.party);
    // Pods of the node's own network share its addresses and are never met as pods.
    if (!endpoint.host_network)
      for (const Ip& ip : endpoint.ips) by_ip_.emplace(ip, &pod);
  }
}

void Snapshot::add_services() {
  const world::World& world = config_.world;
  for (const auto& service : world.services) {
    for (const k8s::ServicePort& port : service->ports) {
      if (port.protocol != k8s::Protocol::kTcp) continue;
      ServiceInfo& info = service_infos_.emplace_back();
      info.name = service->meta.name;
      info.ns = service->meta.ns;
      info.host = info.name + "." + info.ns + ".svc.cluster.local";
      info.port = static_cast<uint16_t>(port.port);
      info.sni = "outbound_." + std::to_string(port.port) + "_._." + info.host;
      info.protocol = mesh::declared_protocol(port);
      info.affinity = service->session_affinity;
      info.hash = fnv1a(info.host, info.port);
      for (Family family : {Family::kV4, Family::kV6}) {
        ServiceEntry entry;
        entry.info = &info;
        for (const world::ServiceEndpoint& at :
             world::service_endpoints(world, *service, port, family)) {
          const PodInfo* backend = pod(at.ip);
          if (!backend) continue;
          const SocketAddress address{at.ip, at.port};
          entry.ready.push_back({address, backend});
          ports_.try_emplace(address, PortInfo{info.protocol, &info});
        }
        for (const Ip& ip : service->cluster_ips)
          if (ip.family() == family) services_[{ip, info.port}] = entry;
      }
    }
    for (const Ip& ip : service->cluster_ips) cluster_ips_.insert(ip);
  }
}

void Snapshot::add_local_pods() {
  const world::World& world = config_.world;
  const std::set<std::string> wanted(config_.local_pods.begin(), config_.local_pods.end());
  std::unordered_map<std::string, const PodInfo*> infos;
  for (const PodInfo& pod : pods_) infos[pod.uid] = &pod;
  for (const world::Endpoint& endpoint : world.endpoints) {
    if (!wanted.contains(endpoint.uid)) continue;
    auto info = infos.find(endpoint.uid);
    if (info == infos.end()) continue;
    LocalPod local;
    local.info = info->second;
    local.matcher = authz::compile(world, endpoint);
    local.tokens = authz::compile_tokens(world, endpoint);
    local.paths.mode = world.mesh.path_normalization;
    local.paths.allow_escaped_slashes = mesh::membership(world, endpoint).allow_escaped_slashes;
    local_.emplace(endpoint.uid, std::move(local));
    // A port that no ready endpoint stands behind is declared all the same.
    for (const auto& service : world.services) {
      if (service->meta.ns != endpoint.ns) continue;
      for (const k8s::ServicePort& port : service->ports) {
        if (port.protocol != k8s::Protocol::kTcp || port.target_port.is_name()) continue;
        const auto number = static_cast<uint16_t>(port.target_port.number);
        const mesh::AppProtocol protocol = mesh::inbound_protocol(world, endpoint, number);
        if (protocol == mesh::AppProtocol::kUndeclared) continue;
        for (const Ip& ip : endpoint.ips) {
          PortInfo& known = ports_[{ip, number}];
          known.protocol = protocol;
        }
      }
    }
    for (const k8s::ContainerPort& port : endpoint.ports) {
      const auto number = static_cast<uint16_t>(port.port);
      const mesh::AppProtocol protocol = mesh::inbound_protocol(world, endpoint, number);
      if (protocol == mesh::AppProtocol::kUndeclared) continue;
      for (const Ip& ip : endpoint.ips) ports_[{ip, number}].protocol = protocol;
    }
  }
}

const PodInfo* Snapshot::pod(const Ip& ip) const {
  auto found = by_ip_.find(ip);
  return found == by_ip_.end() ? nullptr : found->second;
}

const LocalPod* Snapshot::local(const std::string& uid) const {
  auto found = local_.find(uid);
  return found == local_.end() ? nullptr : &found->second;
}

const ServiceEntry* Snapshot::service(const SocketAddress& address) const {
  auto found = services_.find(address);
  return found == services_.end() ? nullptr : &found->second;
}

PortInfo Snapshot::port(const SocketAddress& pod_port) const {
  auto found = ports_.find(pod_port);
  return found == ports_.end() ? PortInfo{} : found->second;
}

bool Snapshot::in_pod_range(const Ip& ip) const {
  return std::ranges::any_of(config_.pod_ranges,
                             [&](const Cidr& range) { return range.contains(ip); });
}

bool Snapshot::in_service_range(const Ip& ip) const {
  return cluster_ips_.contains(ip) ||
         std::ranges::any_of(config_.service_ranges,
                             [&](const Cidr& range) { return range.contains(ip); });
}

Snapshot::NetworkAnswer Snapshot::network(const Ip& from, const Ip& to, uint16_t port) const {
  NetworkAnswer out;
  const auto answer = network_.decide(from, to, static_cast<uint8_t>(k8s::Protocol::kTcp), port);
  out.allow = answer.allow;
  if (out.allow) return out;
  for (policy::RuleId id : {answer.egress_rule, answer.ingress_rule}) {
    const policy::RuleInfo* rule = rules_.find(id);
    if (!rule || rule->action == policy::Action::kAllow) continue;
    out.policy = rule->policy;
    out.rule = rule->rule;
    out.reason = policy::to_string(rule->reason);
    break;
  }
  return out;
}

}  // namespace sallyport::proxy
