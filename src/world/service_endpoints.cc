#include "world/service_endpoints.h"

#include <algorithm>
#include <string_view>

namespace sallyport::world {

bool selects(const k8s::Labels& selector, const k8s::Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    auto it = labels.find(wanted.first);
    return it != labels.end() && it->second == wanted.second;
  });
}

int target_port(const k8s::ServicePort& port, const Endpoint& pod) {
  if (!port.target_port.is_name())
    return port.target_port.number != 0 ? port.target_port.number : port.port;
  for (const k8s::ContainerPort& offered : pod.ports)
    if (offered.name == port.target_port.name && offered.protocol == port.protocol)
      return offered.port;
  return 0;
}

namespace {

// The world's endpoints are sorted by namespace, so those of one are a range.
struct ByNamespace {
  bool operator()(const Endpoint& pod, std::string_view ns) const { return pod.ns < ns; }
  bool operator()(std::string_view ns, const Endpoint& pod) const { return ns < pod.ns; }
};

}  // namespace

std::vector<ServiceEndpoint> service_endpoints(const World& world, const k8s::Service& service,
                                               const k8s::ServicePort& port, Family family) {
  std::vector<ServiceEndpoint> found;
  if (service.selector.empty()) return found;
  auto [first, last] = std::equal_range(world.endpoints.begin(), world.endpoints.end(),
                                        std::string_view(service.meta.ns), ByNamespace{});
  for (auto pod = first; pod != last; ++pod) {
    if (pod->terminated || pod->terminating || !(pod->ready || service.publish_not_ready) ||
        !selects(service.selector, pod->labels))
      continue;
    int number = target_port(port, *pod);
    auto ip = std::find_if(pod->ips.begin(), pod->ips.end(),
                           [&](const Ip& each) { return each.family() == family; });
    if (number < 1 || number > 65535 || ip == pod->ips.end()) continue;
    found.push_back({*ip, static_cast<uint16_t>(number)});
  }
  return found;
}

}  // namespace sallyport::world
