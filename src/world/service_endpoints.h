// The pods behind a Service port, as EndpointSlices would list them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "k8s/objects.h"
#include "world/world.h"

namespace sallyport::world {

struct ServiceEndpoint {
  Ip ip;
  uint16_t port = 0;
  auto operator<=>(const ServiceEndpoint&) const = default;
};

// Every label that is wanted, with its value; an empty selector selects everything here.
[[nodiscard]] bool selects(const k8s::Labels& selector, const k8s::Labels& labels);
// The number of a Service's target port in this pod; 0 where the pod has no port of that name.
[[nodiscard]] int target_port(const k8s::ServicePort& port, const Endpoint& pod);

// The pods of the Service's namespace that its selector names, that have an address of the family,
// run, and are ready (or the Service publishes those that are not); in the order of the world. A
// named target port is looked up in each pod, by name and protocol; a pod without it is no endpoint
// of this port. A Service without a selector has none.
std::vector<ServiceEndpoint> service_endpoints(const World& world, const k8s::Service& service,
                                               const k8s::ServicePort& port, Family family);

}  // namespace sallyport::world
