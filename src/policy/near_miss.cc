#include "policy/near_miss.h"

#include <algorithm>

#include "base/strings.h"
#include "k8s/selector.h"

namespace sallyport::policy {
namespace {

// How far one peer, one port or one rule was from matching.
struct Distance {
  int failed = 0;
  int held = 0;
  std::vector<std::string> why;

  void hold() { ++held; }
  void miss(std::string text, int weight = 1) {
    failed += weight;
    why.push_back(std::move(text));
  }
  void add(const Distance& other) {
    failed += other.failed;
    held += other.held;
    why.insert(why.end(), other.why.begin(), other.why.end());
  }
  [[nodiscard]] bool closer_than(const Distance& other) const {
    return failed != other.failed ? failed < other.failed : held > other.held;
  }
};

// A peer of another form than the remote side (a selector for an address outside, a block that
// does not hold the address) is further away than a label that differs.
constexpr int kWrongForm = 3;

std::string one_of(const std::vector<std::string>& values) {
  return values.size() == 1 ? values[0] : "one of " + join(values, ", ");
}

void compare(const k8s::LabelSelector& selector, const k8s::Labels& labels, const std::string& what,
             Distance& distance) {
  auto has = [&](const std::string& key) {
    auto found = labels.find(key);
    if (found == labels.end()) return std::string("has none");
    return "has " + (found->second.empty() ? "an empty value" : found->second);
  };
  auto miss = [&](const std::string& key, const std::string& wants) {
    distance.miss("peer " + what + " label " + key + ": wants " + wants + ", " + has(key));
  };
  for (const auto& [key, value] : selector.match_labels) {
    auto found = labels.find(key);
    if (found != labels.end() && found->second == value)
      distance.hold();
    else
      miss(key, value.empty() ? "an empty value" : value);
  }
  using Op = k8s::LabelRequirement::Op;
  for (const k8s::LabelRequirement& requirement : selector.match_expressions) {
    if (k8s::matches(requirement, labels)) {
      distance.hold();
      continue;
    }
    switch (requirement.op) {
      case Op::kIn:
        miss(requirement.key, one_of(requirement.values));
        break;
      case Op::kNotIn:
        miss(requirement.key, "anything but " + join(requirement.values, ", "));
        break;
      case Op::kExists:
        miss(requirement.key, "any value");
        break;
      case Op::kDoesNotExist:
        miss(requirement.key, "none");
        break;
    }
  }
}

std::string describe(const Side& side) {
  std::string address = side.ip ? side.ip->to_string() : "it";
  if (side.host_pod != nullptr)
    return address + " is the address of host-network pod " + side.host_pod->key();
  return address + " belongs to no pod";
}

Distance peer_distance(const Scene& scene, const std::string& policy_ns,
                       const k8s::NetworkPolicyPeer& peer) {
  Distance distance;
  if (peer.ip_block) {
    std::string block = peer.ip_block->cidr.to_string();
    if (!scene.remote.ip) {
      distance.miss("peer address: wants " + block + ", has none", kWrongForm);
    } else if (!peer.ip_block->cidr.contains(*scene.remote.ip)) {
      distance.miss("peer address: wants " + block + ", has " + scene.remote.ip->to_string(),
                    kWrongForm);
    } else {
      distance.hold();
      for (const Cidr& except : peer.ip_block->except) {
        if (!except.contains(*scene.remote.ip)) continue;
        distance.miss("peer address: " + scene.remote.ip->to_string() + " is in " + block +
                      " but excepted by " + except.to_string());
        break;
      }
    }
    return distance;
  }
  const world::Endpoint* pod = scene.remote.pod;
  if (pod == nullptr) {
    distance.miss("peer: wants a pod, " + describe(scene.remote), kWrongForm);
    return distance;
  }
  if (peer.namespace_selector) {
    compare(*peer.namespace_selector, scene.world->namespace_labels(pod->ns), "namespace",
            distance);
  } else if (pod->ns == policy_ns) {
    distance.hold();
  } else {
    distance.miss("peer namespace: wants " + policy_ns + ", has " + pod->ns);
  }
  if (peer.pod_selector) compare(*peer.pod_selector, pod->labels, "pod", distance);
  return distance;
}

std::string describe(const k8s::NetworkPolicyPort& port) {
  std::string protocol(k8s::to_string(port.protocol));
  if (!port.port) return "any " + protocol + " port";
  if (port.port->is_name()) return port.port->name + "/" + protocol;
  std::string number = std::to_string(port.port->number);
  if (port.end_port && *port.end_port != port.port->number)
    number += "-" + std::to_string(*port.end_port);
  return number + "/" + protocol;
}

// Why a named port did not help: the destination has no such port, another protocol, or number.
std::string named_port_note(const Scene& scene, const std::string& name) {
  const world::Endpoint* pod = scene.destination();
  if (pod == nullptr) return name + " is a name, and only pods have named ports";
  std::vector<std::string> found;
  for (const k8s::ContainerPort& port : pod->ports)
    if (port.name == name)
      found.push_back(std::to_string(port.port) + "/" + std::string(k8s::to_string(port.protocol)));
  if (found.empty()) return "pod " + pod->key() + " names no port " + name;
  return name + " of pod " + pod->key() + " is " + join(found, ", ");
}

Distance ports_distance(const Scene& scene, const std::vector<k8s::NetworkPolicyPort>& ports) {
  Distance distance;
  if (ports.empty() || std::any_of(ports.begin(), ports.end(),
                                   [&](const auto& port) { return port_matches(scene, port); })) {
    distance.hold();
    return distance;
  }
  constexpr size_t kMostShown = 6;
  bool protocol_held = false;
  std::vector<std::string> wants, notes;
  for (const k8s::NetworkPolicyPort& port : ports) {
    protocol_held |= port.protocol == scene.protocol;
    if (wants.size() == kMostShown) continue;
    wants.push_back(describe(port));
    if (port.port && port.port->is_name()) notes.push_back(named_port_note(scene, port.port->name));
  }
  std::string shown = join(wants, " or ");
  if (ports.size() > kMostShown)
    shown += " or " + std::to_string(ports.size() - kMostShown) + " more";
  std::string protocol(k8s::to_string(scene.protocol));
  bool has_ports = scene.protocol != k8s::Protocol::kIcmp;
  std::string has = has_ports ? std::to_string(scene.port) + "/" + protocol : protocol;
  std::string text = (protocol_held ? "port: wants " : "protocol: wants ") + shown + ", has " + has;
  if (!notes.empty()) text += " (" + join(notes, "; ") + ")";
  distance.miss(std::move(text), protocol_held ? 1 : 2);
  if (protocol_held) distance.hold();
  return distance;
}

Distance rule_distance(const Scene& scene, const std::string& policy_ns,
                       const k8s::NetworkPolicyRule& rule) {
  Distance best;
  if (rule.peers.empty()) {
    best.hold();
  } else {
    best = peer_distance(scene, policy_ns, rule.peers[0]);
    for (size_t i = 1; i < rule.peers.size(); ++i) {
      Distance next = peer_distance(scene, policy_ns, rule.peers[i]);
      if (next.closer_than(best)) best = std::move(next);
    }
  }
  best.add(ports_distance(scene, rule.ports));
  return best;
}

}  // namespace

std::optional<NearMiss> nearest_miss(const Scene& scene,
                                     const std::vector<const k8s::NetworkPolicy*>& policies) {
  std::optional<NearMiss> nearest;
  Distance best;
  for (const k8s::NetworkPolicy* policy : policies) {
    const auto& rules = scene.direction == Direction::kEgress ? policy->egress : policy->ingress;
    for (size_t i = 0; i < rules.size(); ++i) {
      Distance distance = rule_distance(scene, policy->meta.ns, rules[i]);
      if (nearest && !distance.closer_than(best)) continue;
      nearest = NearMiss{policy->meta.ns + "/" + policy->meta.name, static_cast<int>(i),
                         distance.held, join(distance.why, "; ")};
      best = std::move(distance);
    }
  }
  return nearest;
}

}  // namespace sallyport::policy
