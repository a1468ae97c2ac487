#include "standalone/world_builder.h"

#include "standalone/builtin.h"

namespace sallyport::standalone {
namespace {

world::Endpoint endpoint_of(const PodRecord& record) {
  const k8s::Pod& pod = *record.pod;
  world::Endpoint endpoint;
  endpoint.id = record.endpoint_id;
  endpoint.ns = pod.meta.ns;
  endpoint.name = pod.meta.name;
  endpoint.uid = pod.meta.uid;
  endpoint.labels = pod.meta.labels;
  endpoint.annotations = pod.meta.annotations;
  endpoint.ips = {record.addresses.v4, record.addresses.v6};
  for (const k8s::Container& container : pod.spec.containers)
    endpoint.ports.insert(endpoint.ports.end(), container.ports.begin(), container.ports.end());
  endpoint.node = kNodeName;
  endpoint.service_account = pod.spec.service_account;
  endpoint.terminated = record.terminated();
  endpoint.terminating = record.stage == PodRecord::Stage::kStopping;
  endpoint.ready = record.stage == PodRecord::Stage::kStarted && record.state.ready();
  return endpoint;
}

}  // namespace

world::World build_world(const std::vector<k8s::AnyObject>& objects, const Pods& pods,
                         uint64_t revision) {
  std::vector<k8s::AnyObject> without_pods;
  for (const k8s::AnyObject& object : objects)
    if (!std::holds_alternative<k8s::Pod>(object)) without_pods.push_back(object);
  world::World world = world::from_objects(without_pods);
  for (const auto& [key, record] : pods.records()) world.endpoints.push_back(endpoint_of(record));
  world.revision = revision;
  world.finish();
  return world;
}

}  // namespace sallyport::standalone
