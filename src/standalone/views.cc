#include "standalone/views.h"

#include <algorithm>

#include "standalone/builtin.h"

namespace sallyport::standalone {
namespace {

using codec::Value;
using runtime::ContainerState;

Value time_value(int64_t ms) {
  return Value::string(rfc3339(WallTime(std::chrono::milliseconds(ms))));
}

Value container_state(const ContainerState& container) {
  Value state = Value::map();
  switch (container.phase) {
    case ContainerState::Phase::kWaiting:
      state.set("waiting", Value::map())
          .set("reason", container.reason.empty() ? "ContainerCreating" : container.reason);
      break;
    case ContainerState::Phase::kRunning:
      state.set("running", Value::map()).set("startedAt", time_value(container.started_ms));
      break;
    case ContainerState::Phase::kTerminated: {
      Value& ended = state.set("terminated", Value::map());
      ended.set("exitCode", Value::integer(container.exit_code));
      if (container.signal) ended.set("signal", Value::integer(container.signal));
      ended.set("reason", container.reason);
      ended.set("finishedAt", time_value(container.finished_ms));
      break;
    }
  }
  return state;
}

Value addresses(std::string_view key, const std::vector<Ip>& ips) {
  Value list = Value::list();
  for (const Ip& ip : ips) list.push(Value::map()).set(key, ip.to_string());
  return list;
}

Value condition(std::string_view type, bool status) {
  Value out = Value::map();
  out.set("type", type);
  out.set("status", status ? "True" : "False");
  return out;
}

Value pod_status(const PodRecord& record, const node::Ranges& ranges) {
  Value status = Value::map();
  status.set("phase", record.state.phase.empty() ? "Pending" : record.state.phase);
  bool ready = record.stage == PodRecord::Stage::kStarted && record.state.ready();
  Value& conditions = status.set("conditions", Value::list());
  conditions.push(condition("Ready", ready));
  status.set("hostIP", ranges.node4.to_string());
  status.set("hostIPs", addresses("ip", {ranges.node4, ranges.node6}));
  status.set("podIP", record.addresses.v4.to_string());
  status.set("podIPs", addresses("ip", {record.addresses.v4, record.addresses.v6}));
  status.set("startTime", rfc3339(record.created));
  Value init = Value::list(), ordinary = Value::list();
  for (const ContainerState& container : record.state.containers) {
    Value entry = Value::map();
    entry.set("name", container.name);
    entry.set("ready", Value::boolean(container.ready));
    entry.set("started", Value::boolean(container.started));
    entry.set("restartCount", Value::integer(container.restarts));
    entry.set("state", container_state(container));
    (container.init ? init : ordinary).push(std::move(entry));
  }
  if (!init.items().empty()) status.set("initContainerStatuses", std::move(init));
  status.set("containerStatuses", std::move(ordinary));
  return status;
}

// The world's Services have their assigned addresses.
Value service_value(const k8s::Service& service) {
  Value out = service.raw ? *service.raw : Value::map();
  const std::vector<Ip>& ips = service.cluster_ips;
  if (service.headless || ips.empty()) return out;
  Value* spec = out.find("spec");
  if (!spec) spec = &out.set("spec", Value::map());
  spec->set("clusterIP", ips.front().to_string());
  Value list = Value::list();
  for (const Ip& ip : ips) list.push(Value::string(ip.to_string()));
  spec->set("clusterIPs", std::move(list));
  return out;
}

// EndpointSlice (discovery.k8s.io/v1) of one Service and family.
Value endpoint_slice(const k8s::Service& service, const world::World& world, Family family) {
  Value out = Value::map();
  out.set("apiVersion", "discovery.k8s.io/v1");
  out.set("kind", "EndpointSlice");
  Value& meta = out.set("metadata", Value::map());
  meta.set("name", service.meta.name + (family == Family::kV4 ? "-ipv4" : "-ipv6"));
  meta.set("namespace", service.meta.ns);
  meta.set("labels", Value::map()).set("kubernetes.io/service-name", service.meta.name);
  out.set("addressType", family == Family::kV4 ? "IPv4" : "IPv6");
  Value& endpoints = out.set("endpoints", Value::list());
  for (const world::Endpoint& endpoint : world.endpoints) {
    if (endpoint.ns != service.meta.ns || service.selector.empty() || endpoint.terminated) continue;
    bool selected = std::ranges::all_of(service.selector, [&](const auto& want) {
      auto found = endpoint.labels.find(want.first);
      return found != endpoint.labels.end() && found->second == want.second;
    });
    if (!selected) continue;
    Value entry = Value::map();
    Value& list = entry.set("addresses", Value::list());
    for (const Ip& ip : endpoint.ips)
      if (ip.family() == family) list.push(Value::string(ip.to_string()));
    Value& conditions = entry.set("conditions", Value::map());
    conditions.set("ready", Value::boolean(endpoint.ready || service.publish_not_ready));
    conditions.set("terminating", Value::boolean(endpoint.terminating));
    Value& target = entry.set("targetRef", Value::map());
    target.set("kind", "Pod");
    target.set("namespace", endpoint.ns);
    target.set("name", endpoint.name);
    endpoints.push(std::move(entry));
  }
  Value& ports = out.set("ports", Value::list());
  for (const k8s::ServicePort& port : service.ports) {
    Value entry = Value::map();
    entry.set("name", port.name);
    if (!port.target_port.is_name()) entry.set("port", Value::integer(port.target_port.number));
    entry.set("protocol", k8s::to_string(port.protocol));
    ports.push(std::move(entry));
  }
  return out;
}

bool is_policy(const k8s::Object& object) {
  return object.kind == "NetworkPolicy" || object.kind == "ClusterNetworkPolicy" ||
         object.kind == "AuthorizationPolicy" || object.kind == "PeerAuthentication" ||
         object.kind == "RequestAuthentication";
}

}  // namespace

Value pod_value(const PodRecord& record, const node::Ranges& ranges) {
  Value out = record.pod->raw ? *record.pod->raw : Value::map();
  Value* meta = out.find("metadata");
  if (!meta) meta = &out.set("metadata", Value::map());
  meta->set("name", record.pod->meta.name);
  meta->set("namespace", record.pod->meta.ns);
  meta->set("uid", record.pod->meta.uid);
  meta->set("creationTimestamp", rfc3339(record.created));
  if (record.stage == PodRecord::Stage::kStopping)
    meta->set("deletionTimestamp", rfc3339(record.created));
  if (Value* spec = out.find("spec"); spec && spec->is_map()) spec->set("nodeName", kNodeName);
  out.set("status", pod_status(record, ranges));
  return out;
}

Result<Value> list_resource(const std::string& resource, const std::string& ns,
                            const std::vector<k8s::AnyObject>& objects, const Pods& pods,
                            const world::World& world, const node::Ranges& ranges) {
  Value list = Value::map();
  list.set("apiVersion", "v1");
  list.set("kind", "List");
  Value& items = list.set("items", Value::list());
  bool all = resource == "all";
  auto wanted = [&](const k8s::Object& object) {
    return ns.empty() || object.meta.ns == ns || (object.meta.ns.empty() && all);
  };
  bool known = all;
  auto is = [&](std::string_view name) {
    bool hit = resource == name;
    known = known || hit;
    return hit || all;
  };
  if (is("namespaces"))
    for (const auto& [name, labels] : world.namespaces) {
      if (!ns.empty() && name != ns) continue;
      Value entry = Value::map();
      entry.set("apiVersion", "v1");
      entry.set("kind", "Namespace");
      Value& meta = entry.set("metadata", Value::map());
      meta.set("name", name);
      Value& out = meta.set("labels", Value::map());
      for (const auto& [key, value] : labels) out.set(key, value);
      items.push(std::move(entry));
    }
  if (all)
    for (const k8s::AnyObject& any : objects)
      if (std::holds_alternative<k8s::Node>(any)) items.push(*k8s::base_of(any).raw);
  if (is("pods"))
    for (const auto& [key, record] : pods.records())
      if (wanted(*record.pod)) items.push(pod_value(record, ranges));
  if (is("services"))
    for (const auto& service : world.services)
      if (wanted(*service)) items.push(service_value(*service));
  if (is("policies"))
    for (const k8s::AnyObject& any : objects)
      if (const k8s::Object& object = k8s::base_of(any); is_policy(object) && wanted(object))
        items.push(*object.raw);
  // A world needs no slices: they are derived. So `all` leaves them out.
  if (is("endpoints") && !all)
    for (const auto& service : world.services)
      if (wanted(*service))
        for (Family family : {Family::kV4, Family::kV6})
          items.push(endpoint_slice(*service, world, family));
  if (!known)
    return fail(Code::kInvalid, "\"" + resource +
                                    "\" is not a resource; expected pods, services, policies, "
                                    "endpoints, namespaces, identities or all");
  return list;
}

}  // namespace sallyport::standalone
