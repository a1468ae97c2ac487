#include "standalone/enforcement.h"

#include <algorithm>

#include "standalone/mesh_members.h"

namespace sallyport::standalone {
namespace {

// Readiness and the like change the world but not the tables; a new generation would only make
// every connection be judged again.
bool same_tables(const policy::Compiled& a, const policy::Compiled& b) {
  auto same_endpoint = [](const policy::EndpointEntry& x, const policy::EndpointEntry& y) {
    return x.address == y.address && x.endpoint_id == y.endpoint_id &&
           x.peer_class == y.peer_class && x.egress_set == y.egress_set &&
           x.ingress_set == y.ingress_set;
  };
  auto same_cidr = [](const policy::CidrEntry& x, const policy::CidrEntry& y) {
    return x.cidr == y.cidr && x.peer_class == y.peer_class;
  };
  auto same_set = [](const policy::RuleSet& x, const policy::RuleSet& y) {
    return x.id == y.id && x.direction == y.direction && x.default_program == y.default_program;
  };
  return std::ranges::equal(a.endpoints, b.endpoints, same_endpoint) &&
         std::ranges::equal(a.cidrs, b.cidrs, same_cidr) &&
         std::ranges::equal(a.sets, b.sets, same_set) && a.programs == b.programs &&
         a.programs_of == b.programs_of;
}

bool same_ports(const std::vector<gate::EndpointPort>& a,
                const std::vector<gate::EndpointPort>& b) {
  return std::ranges::equal(a, b, [](const gate::EndpointPort& x, const gate::EndpointPort& y) {
    return x.endpoint_id == y.endpoint_id && x.ifindex == y.ifindex;
  });
}

bool same_demands(const std::vector<gate::TlsDemand>& a, const std::vector<gate::TlsDemand>& b) {
  return std::ranges::equal(a, b, [](const gate::TlsDemand& x, const gate::TlsDemand& y) {
    return x.endpoint_id == y.endpoint_id && x.port == y.port && x.demanded == y.demanded &&
           x.policy == y.policy;
  });
}

}  // namespace

Result<bool> Enforcement::apply(world::WorldPtr world, const Pods& pods,
                                const std::function<void()>& persist) {
  std::vector<gate::EndpointPort> ports;
  for (const auto& [key, record] : pods.records())
    ports.push_back({record.endpoint_id, record.link.ifindex});
  auto compiled = std::make_shared<policy::Compiled>(policy::compile(*world, rules_));
  std::vector<gate::TlsDemand> demands = tls_demands(*world);
  bool same = compiled_ && same_tables(*compiled_, *compiled) && same_ports(ports_, ports) &&
              same_demands(demands_, demands);
  if (!same) {
    if (persist && rules_.next() != persisted_) {
      persist();
      persisted_ = rules_.next();
    }
    SP_TRY(generation_, gate_.publish(*compiled, ports, demands));
    compiled_ = std::move(compiled);
    ports_ = std::move(ports);
    demands_ = std::move(demands);
  }
  world_ = std::move(world);
  return !same;
}

}  // namespace sallyport::standalone
