#include "standalone/enforcement.h"

#include <algorithm>

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

}  // namespace

Result<bool> Enforcement::apply(world::WorldPtr world, const Pods& pods,
                                const std::function<void()>& persist) {
  std::vector<gate::EndpointPort> ports;
  for (const auto& [key, record] : pods.records())
    ports.push_back({record.endpoint_id, record.link.ifindex});
  auto compiled = std::make_shared<policy::Compiled>(policy::compile(*world, rules_));
  bool same = compiled_ && same_tables(*compiled_, *compiled) && same_ports(ports_, ports);
  if (!same) {
    if (persist && rules_.next() != persisted_) {
      persist();
      persisted_ = rules_.next();
    }
    SP_TRY(generation_, gate_.publish(*compiled, ports));
    compiled_ = std::move(compiled);
    ports_ = std::move(ports);
  }
  world_ = std::move(world);
  return !same;
}

}  // namespace sallyport::standalone
