#include "mesh/config_objects.h"

#include <algorithm>
#include <array>

namespace sallyport::mesh {
namespace {

using codec::Value;

// What a client of the API server leaves in annotations: the object a second time.
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

constexpr std::array<std::pair<std::string_view, k8s::PathNormalization>, 4> kNormalizations{
    {{"NONE", k8s::PathNormalization::kNone},
     {"BASE", k8s::PathNormalization::kBase},
     {"MERGE_SLASHES", k8s::PathNormalization::kMergeSlashes},
     {"DECODE_AND_MERGE_SLASHES", k8s::PathNormalization::kDecodeAndMergeSlashes}}};

constexpr std::array<k8s::Protocol, 4> kProtocols{k8s::Protocol::kTcp, k8s::Protocol::kUdp,
                                                  k8s::Protocol::kSctp, k8s::Protocol::kIcmp};

Value text_map(const std::map<std::string, std::string>& texts) {
  Value out = Value::map();
  for (const auto& [key, text] : texts)
    if (key != kLastApplied) out.set(key, text);
  return out;
}

Value header(std::string_view api_version, std::string_view kind, const std::string& ns,
             const std::string& name) {
  Value out = Value::map();
  out.set("apiVersion", api_version);
  out.set("kind", kind);
  Value& meta = out.set("metadata", Value::map());
  meta.set("name", name);
  if (!ns.empty()) meta.set("namespace", ns);
  return out;
}

Value ip_list(const std::vector<Ip>& ips) {
  Value out = Value::list();
  for (const Ip& ip : ips) out.push(Value::string(ip.to_string()));
  return out;
}

Value namespace_object(const std::string& name, const k8s::Labels& labels) {
  Value out = header("v1", "Namespace", "", name);
  out.find("metadata")->set("labels", text_map(labels));
  return out;
}

Value node_object(const world::NodeInfo& node) {
  Value out = header("v1", "Node", "", node.name);
  out.find("metadata")->set("labels", text_map(node.labels));
  Value& list = out.set("status", Value::map()).set("addresses", Value::list());
  for (const Ip& ip : node.addresses) {
    Value entry = Value::map();
    entry.set("type", "InternalIP");
    entry.set("address", ip.to_string());
    list.push(std::move(entry));
  }
  return out;
}

// From the typed Service, not from its manifest: the node has assigned the addresses.
Value service_object(const k8s::Service& service) {
  Value out = header("v1", "Service", service.meta.ns, service.meta.name);
  Value& meta = *out.find("metadata");
  if (!service.meta.labels.empty()) meta.set("labels", text_map(service.meta.labels));
  if (!service.meta.annotations.empty())
    meta.set("annotations", text_map(service.meta.annotations));
  if (!service.meta.creation_timestamp.empty())
    meta.set("creationTimestamp", service.meta.creation_timestamp);
  Value& spec = out.set("spec", Value::map());
  if (!service.selector.empty()) spec.set("selector", text_map(service.selector));
  if (service.headless) {
    spec.set("clusterIP", "None");
  } else if (!service.cluster_ips.empty()) {
    spec.set("clusterIP", service.cluster_ips.front().to_string());
    spec.set("clusterIPs", ip_list(service.cluster_ips));
  }
  Value& ports = spec.set("ports", Value::list());
  for (const k8s::ServicePort& port : service.ports) {
    Value entry = Value::map();
    if (!port.name.empty()) entry.set("name", port.name);
    entry.set("protocol", k8s::to_string(port.protocol));
    entry.set("port", Value::integer(port.port));
    if (port.target_port.is_name())
      entry.set("targetPort", port.target_port.name);
    else
      entry.set("targetPort", Value::integer(port.target_port.number));
    if (!port.app_protocol.empty()) entry.set("appProtocol", port.app_protocol);
    ports.push(std::move(entry));
  }
  if (service.session_affinity) {
    spec.set("sessionAffinity", "ClientIP");
    spec.set("sessionAffinityConfig", Value::map())
        .set("clientIP", Value::map())
        .set("timeoutSeconds", Value::integer(service.session_affinity_seconds));
  }
  if (service.publish_not_ready) spec.set("publishNotReadyAddresses", Value::boolean(true));
  return out;
}

// A policy as it was written. One without a manifest (made by code) cannot be written: what stands
// in its place is refused by every reader, rather than read as a policy that says nothing.
Value policy_object(const k8s::Object& policy) {
  if (!policy.raw) {
    Value out = header(policy.api_version, policy.kind, policy.meta.ns, policy.meta.name);
    out.set("spec", "this policy has no manifest");
    return out;
  }
  Value out = *policy.raw;
  Value* meta = out.find("metadata");
  if (!meta) return out;
  meta->erase("managedFields");
  if (Value* annotations = meta->find("annotations")) annotations->erase(kLastApplied);
  return out;
}

Value port_value(const k8s::ContainerPort& port) {
  Value out = Value::map();
  if (!port.name.empty()) out.set("name", port.name);
  out.set("port", Value::integer(port.port));
  out.set("protocol", k8s::to_string(port.protocol));
  return out;
}

Status decode_port(const ConfigReader& in, k8s::ContainerPort& out) {
  SP_CHECK_OK(in.only({"name", "port", "protocol"}));
  if (!in["name"].value().is_null()) {
    SP_TRY(out.name, in["name"].text());
  }
  SP_TRY(int64_t number, in["port"].number(0, 65535));
  out.port = static_cast<int>(number);
  SP_TRY(std::string name, in["protocol"].text());
  const auto* found = std::ranges::find_if(
      kProtocols, [&](k8s::Protocol protocol) { return k8s::to_string(protocol) == name; });
  if (found == kProtocols.end()) return in["protocol"].wrong("expected TCP, UDP or SCTP");
  out.protocol = *found;
  return {};
}

}  // namespace

Status ConfigReader::only(std::initializer_list<std::string_view> known) const {
  if (!value_->is_map()) return wrong("expected a map, got " + std::string(value_->type_name()));
  for (const Value::Member& member : value_->members())
    if (std::ranges::find(known, member.key) == known.end())
      return wrong("unknown member \"" + member.key + "\"");
  return {};
}

Result<int64_t> ConfigReader::number(int64_t least, int64_t most) const {
  if (value_->type() != Value::Type::kInt || value_->as_int() < least || value_->as_int() > most)
    return wrong("expected a whole number from " + std::to_string(least) + " to " +
                 std::to_string(most));
  return value_->as_int();
}

Result<bool> ConfigReader::boolean() const {
  if (value_->type() != Value::Type::kBool) return wrong("expected true or false");
  return value_->as_bool();
}

Result<std::string> ConfigReader::text() const {
  if (!value_->is_string()) return wrong("expected a string");
  return value_->as_string();
}

Result<const std::vector<Value>*> ConfigReader::items() const {
  if (!value_->is_list()) return wrong("expected a list");
  return &value_->items();
}

Result<std::map<std::string, std::string>> ConfigReader::text_map() const {
  std::map<std::string, std::string> out;
  if (!value_->is_map()) return wrong("expected a map");
  for (const Value::Member& member : value_->members()) {
    if (!member.value.is_string()) return wrong("expected strings");
    out[member.key] = member.value.as_string();
  }
  return out;
}

Value encode_settings(const k8s::MeshSettings& settings) {
  Value out = Value::map();
  out.set("trustDomain", settings.trust_domain);
  out.set("rootNamespace", settings.root_namespace);
  for (const auto& [name, mode] : kNormalizations)
    if (mode == settings.path_normalization) out.set("pathNormalization", name);
  out.set("accessLogFile", settings.access_log_file);
  out.set("accessLogJson", Value::boolean(settings.access_log_json));
  out.set("accessLogFormat", settings.access_log_format);
  out.set("trustedProxies", Value::integer(settings.trusted_proxies));
  return out;
}

Status decode_settings(const ConfigReader& in, k8s::MeshSettings& out) {
  SP_CHECK_OK(in.only({"trustDomain", "rootNamespace", "pathNormalization", "accessLogFile",
                       "accessLogJson", "accessLogFormat", "trustedProxies"}));
  SP_TRY(out.trust_domain, in["trustDomain"].text());
  SP_TRY(out.root_namespace, in["rootNamespace"].text());
  SP_TRY(std::string mode, in["pathNormalization"].text());
  const auto* found =
      std::ranges::find_if(kNormalizations, [&](const auto& entry) { return entry.first == mode; });
  if (found == kNormalizations.end())
    return in["pathNormalization"].wrong("\"" + mode + "\" is not a mode");
  out.path_normalization = found->second;
  SP_TRY(out.access_log_file, in["accessLogFile"].text());
  SP_TRY(out.access_log_json, in["accessLogJson"].boolean());
  SP_TRY(out.access_log_format, in["accessLogFormat"].text());
  SP_TRY(int64_t proxies, in["trustedProxies"].number(0, INT32_MAX));
  out.trusted_proxies = static_cast<int>(proxies);
  return {};
}

Value encode_pod(const world::Endpoint& pod) {
  Value out = Value::map();
  out.set("id", Value::integer(pod.id));
  out.set("namespace", pod.ns);
  out.set("name", pod.name);
  out.set("uid", pod.uid);
  out.set("labels", text_map(pod.labels));
  out.set("annotations", text_map(pod.annotations));
  out.set("ips", ip_list(pod.ips));
  Value& ports = out.set("ports", Value::list());
  for (const k8s::ContainerPort& port : pod.ports) ports.push(port_value(port));
  out.set("node", pod.node);
  out.set("serviceAccount", pod.service_account);
  Value& flags = out.set("is", Value::list());
  for (auto [name, set] : {std::pair("hostNetwork", pod.host_network),
                           {"terminated", pod.terminated},
                           {"ready", pod.ready},
                           {"terminating", pod.terminating}})
    if (set) flags.push(Value::string(name));
  return out;
}

Status decode_pod(const ConfigReader& in, world::Endpoint& out) {
  SP_CHECK_OK(in.only({"id", "namespace", "name", "uid", "labels", "annotations", "ips", "ports",
                       "node", "serviceAccount", "is"}));
  SP_TRY(int64_t id, in["id"].number(0, UINT32_MAX));
  out.id = static_cast<uint32_t>(id);
  for (auto [key, text] : {std::pair("namespace", &out.ns),
                           {"name", &out.name},
                           {"uid", &out.uid},
                           {"node", &out.node},
                           {"serviceAccount", &out.service_account}}) {
    SP_TRY(*text, in[key].text());
  }
  SP_TRY(out.labels, in["labels"].text_map());
  SP_TRY(out.annotations, in["annotations"].text_map());
  SP_TRY(const std::vector<Value>* ips, in["ips"].items());
  for (const Value& item : *ips) {
    auto ip = Ip::parse(item.as_string());
    if (!ip) return in["ips"].wrong(ip.error().message);
    out.ips.push_back(*ip);
  }
  SP_TRY(const std::vector<Value>* ports, in["ports"].items());
  for (const Value& item : *ports)
    SP_CHECK_OK(
        decode_port(ConfigReader(item, "configuration.pods.ports"), out.ports.emplace_back()));
  SP_TRY(const std::vector<Value>* flags, in["is"].items());
  for (const Value& flag : *flags) {
    const std::string& name = flag.as_string();
    if (name == "hostNetwork")
      out.host_network = true;
    else if (name == "terminated")
      out.terminated = true;
    else if (name == "ready")
      out.ready = true;
    else if (name == "terminating")
      out.terminating = true;
    else
      return in["is"].wrong("\"" + name + "\" is not known");
  }
  return {};
}

Value encode_objects(const world::World& world) {
  Value out = Value::list();
  for (const auto& [name, labels] : world.namespaces)
    if (std::ranges::find(world.implied_namespaces, name) == world.implied_namespaces.end())
      out.push(namespace_object(name, labels));
  for (const world::NodeInfo& node : world.nodes) out.push(node_object(node));
  for (const auto& service : world.services)
    // A name for something outside: nothing is dialled by it.
    if (service->headless || !service->ports.empty()) out.push(service_object(*service));
  for (const auto& policy : world.network_policies) out.push(policy_object(*policy));
  for (const auto& policy : world.cluster_policies) out.push(policy_object(*policy));
  for (const auto& policy : world.authorization_policies) out.push(policy_object(*policy));
  for (const auto& policy : world.peer_authentications) out.push(policy_object(*policy));
  for (const auto& policy : world.request_authentications) out.push(policy_object(*policy));
  return out;
}

bool belongs_in_config(const k8s::AnyObject& object) {
  return std::holds_alternative<k8s::Namespace>(object) ||
         std::holds_alternative<k8s::Node>(object) ||
         std::holds_alternative<k8s::Service>(object) ||
         std::holds_alternative<k8s::NetworkPolicy>(object) ||
         std::holds_alternative<k8s::ClusterNetworkPolicy>(object) ||
         std::holds_alternative<k8s::AuthorizationPolicy>(object) ||
         std::holds_alternative<k8s::PeerAuthentication>(object) ||
         std::holds_alternative<k8s::RequestAuthentication>(object);
}

}  // namespace sallyport::mesh
