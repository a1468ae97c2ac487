#include <algorithm>
#include <unordered_map>

#include "policy/classes.h"
#include "policy/compiled.h"
#include "policy/lower.h"
#include "policy/peers.h"
#include "policy/sets.h"

namespace sallyport::policy {
namespace {

// What all pods with one namespace and the same labels have in common.
struct Identity {
  Selected selected;
  std::vector<PeerId> peers;
};

// Finds the policies of a pod and the selector peers that match it.
class Identities {
 public:
  Identities(const world::World& world, const Lowered& lowered, const PeerTable& peers)
      : world_(world), lowered_(lowered), peers_(peers) {
    uint32_t id = 0;
    for (const auto* tier : {&lowered.network, &lowered.admin, &lowered.baseline})
      for (const LoweredPolicy& policy : *tier) subjects_.add(id++, policy.subject);
  }

  const Identity& of(const world::Endpoint& pod) {
    std::string key = pod.ns;
    for (const auto& [name, value] : pod.labels)
      key.append(1, '\n').append(name).append(1, '\n').append(value);
    auto [slot, fresh] = known_.try_emplace(std::move(key));
    if (fresh) fill(pod, slot->second);
    return slot->second;
  }

 private:
  struct Views {
    SelectorIndex::View subjects, peers;
  };

  void fill(const world::Endpoint& pod, Identity& identity) {
    auto [slot, fresh] = views_.try_emplace(pod.ns);
    if (fresh) {
      const k8s::Labels& labels = world_.namespace_labels(pod.ns);
      slot->second = {subjects_.in_namespace(pod.ns, labels),
                      peers_.selectors().in_namespace(pod.ns, labels)};
    }
    identity.peers = peers_.selectors().match(slot->second.peers, pod.labels);
    for (uint32_t id : subjects_.match(slot->second.subjects, pod.labels)) {
      if (id < lowered_.network.size()) {
        identity.selected.network.push_back(id);
        continue;
      }
      id -= static_cast<uint32_t>(lowered_.network.size());
      if (id < lowered_.admin.size())
        identity.selected.admin.push_back(id);
      else
        identity.selected.baseline.push_back(id - static_cast<uint32_t>(lowered_.admin.size()));
    }
  }

  const world::World& world_;
  const Lowered& lowered_;
  const PeerTable& peers_;
  SelectorIndex subjects_;
  std::unordered_map<std::string, Views> views_;
  std::unordered_map<std::string, Identity> known_;
};

std::vector<PeerId> merged(const std::vector<PeerId>& a, const std::vector<PeerId>& b) {
  std::vector<PeerId> out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

// Prefixes whose class is that of the prefix around them are left out: they answer nothing new.
void add_cidrs(const CidrPartition& partition, ClassTable& classes, Compiled& out) {
  std::vector<ClassId> ids;
  for (const CidrPartition::Entry& entry : partition.entries()) {
    ClassId id = classes.intern(entry.peers, {});
    ids.push_back(id);
    bool all_v4 = entry.cidr.family() == Family::kV4 && entry.cidr.bits == 0;
    ClassId around = entry.parent < 0 ? 0 : ids[entry.parent];
    if (id != around || all_v4) out.cidrs.push_back({entry.cidr, id});
  }
}

}  // namespace

Compiled compile(const world::World& world, RuleRegistry& rules, bool with_cluster_policies) {
  rules.begin();
  Compiled out;
  out.revision = world.revision;
  PeerTable peers(world);
  Lowered lowered = lower(world, with_cluster_policies, peers, rules);
  CidrPartition partition(peers.addresses());
  ClassTable classes(peers.size());
  SetCompiler sets(lowered, classes, rules);
  Identities identities(world, lowered, peers);

  add_cidrs(partition, classes, out);
  const PortNames& egress_names = lowered.names[static_cast<size_t>(Direction::kEgress)];
  for (const world::Endpoint& pod : world.endpoints) {
    if (!pod.selectable()) continue;
    const Identity& identity = identities.of(pod);
    EndpointEntry entry;
    entry.endpoint_id = pod.id;
    entry.egress_set = sets.set_of(Direction::kEgress, identity.selected, pod.ports);
    entry.ingress_set = sets.set_of(Direction::kIngress, identity.selected, pod.ports);
    NamedPorts names = named_ports_of(pod.ports, egress_names);
    for (const Ip& ip : pod.ips) {
      if (world.find_ip(ip) != &pod) continue;  // another pod holds the address
      entry.address = ip;
      entry.peer_class = classes.intern(merged(identity.peers, partition.lookup(ip)), names);
      out.endpoints.push_back(entry);
    }
  }
  auto by_address = [](const EndpointEntry& a, const EndpointEntry& b) {
    return a.address < b.address;
  };
  std::sort(out.endpoints.begin(), out.endpoints.end(), by_address);
  // A manifest may name one address twice in one pod.
  auto same = [](const EndpointEntry& a, const EndpointEntry& b) { return a.address == b.address; };
  out.endpoints.erase(std::unique(out.endpoints.begin(), out.endpoints.end(), same),
                      out.endpoints.end());
  sets.build(out);
  rules.trim();
  return out;
}

}  // namespace sallyport::policy
