#include "dns/zone_builder.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

namespace sallyport::dns {
namespace {

std::string dashed(const Ip& ip) {
  std::string text = ip.to_string();
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  // "fd00::" would end, and "::1" begin, with a dash.
  if (text.starts_with('-')) text.insert(0, "0");
  if (text.ends_with('-')) text += '0';
  return text;
}

bool is_label(std::string_view text) {
  return valid_name(text) && text.find('.') == std::string_view::npos;
}

class Builder {
 public:
  explicit Builder(const world::World& world) : world_(world) {}

  void add(const k8s::Service& service, const ClusterIps& cluster_ips) {
    const std::string name = service.meta.name + "." + service.meta.ns + ".svc." + zone_.domain;
    if (!valid_name(name)) return;
    if (service.headless)
      headless(service, name);
    else
      cluster_address(service, name, cluster_ips(service));
  }

  Zone finish() {
    for (auto& [name, ips] : zone_.addresses) unique(ips);
    for (auto& [name, records] : zone_.services) unique(records);
    zone_.index();
    return std::move(zone_);
  }

 private:
  void cluster_address(const k8s::Service& service, const std::string& name,
                       const std::vector<Ip>& ips) {
    if (ips.empty()) return;
    for (const Ip& ip : ips) address(name, ip);
    for (const k8s::ServicePort& port : service.ports)
      srv(port, name, static_cast<uint16_t>(port.port), name);
  }

  void headless(const k8s::Service& service, const std::string& name) {
    if (service.selector.empty()) return;
    for (const world::Endpoint& endpoint : world_.endpoints) {
      if (!is_endpoint(endpoint, service)) continue;
      // A pod's name may have dots, which would be label borders here.
      std::string host = is_label(endpoint.name) ? endpoint.name + "." + name : "";
      if (!valid_name(host)) host.clear();
      for (const Ip& ip : endpoint.ips) {
        const std::string by_address = dashed(ip) + "." + name;
        zone_.addresses[name].push_back(ip);
        if (valid_name(by_address)) zone_.addresses[by_address].push_back(ip);
        if (!host.empty()) zone_.addresses[host].push_back(ip);
        const std::string& target = host.empty() ? by_address : host;
        if (!valid_name(target)) continue;
        zone_.pointers.try_emplace(reverse_name(ip), target);
        for (const k8s::ServicePort& port : service.ports) {
          const int number = target_port(port, endpoint);
          if (number > 0) srv(port, name, static_cast<uint16_t>(number), target);
        }
      }
    }
  }

  static bool is_endpoint(const world::Endpoint& endpoint, const k8s::Service& service) {
    if (endpoint.ns != service.meta.ns || endpoint.terminated) return false;
    if (!service.publish_not_ready && (!endpoint.ready || endpoint.terminating)) return false;
    return std::all_of(service.selector.begin(), service.selector.end(), [&](const auto& wanted) {
      auto label = endpoint.labels.find(wanted.first);
      return label != endpoint.labels.end() && label->second == wanted.second;
    });
  }

  // The endpoint's own port; 0 where it has none of that name.
  static int target_port(const k8s::ServicePort& port, const world::Endpoint& endpoint) {
    if (!port.target_port.is_name())
      return port.target_port.number != 0 ? port.target_port.number : port.port;
    for (const k8s::ContainerPort& candidate : endpoint.ports) {
      if (candidate.name == port.target_port.name && candidate.protocol == port.protocol)
        return candidate.port;
    }
    return 0;
  }

  void address(const std::string& name, const Ip& ip) {
    zone_.addresses[name].push_back(ip);
    zone_.pointers.insert_or_assign(reverse_name(ip), name);
  }

  void srv(const k8s::ServicePort& port, const std::string& service, uint16_t number,
           const std::string& target) {
    if (!is_label(port.name)) return;
    std::string protocol(k8s::to_string(port.protocol));
    std::transform(protocol.begin(), protocol.end(), protocol.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string name = "_" + port.name + "._" + protocol + "." + service;
    if (valid_name(name) && valid_name(target)) zone_.services[name].push_back({number, target});
  }

  template <class T>
  static void unique(std::vector<T>& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }

  const world::World& world_;
  Zone zone_;
};

}  // namespace

Zone build_zone(const world::World& world, const ClusterIps& cluster_ips) {
  Builder builder(world);
  for (const auto& service : world.services) builder.add(*service, cluster_ips);
  // The name server's own name, which SOA and NS records give.
  Zone zone = builder.finish();
  auto server = zone.addresses.find("kube-dns.kube-system.svc." + zone.domain);
  if (server != zone.addresses.end()) {
    const std::vector<Ip> ips = server->second;
    zone.addresses["ns.dns." + zone.domain] = ips;
    zone.index();
  }
  return zone;
}

}  // namespace sallyport::dns
