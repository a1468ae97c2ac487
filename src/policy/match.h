// Whether one peer and one port of a policy match one side of a connection: the leaves of the
// reference evaluator and of the search for the nearest miss. Plain and slow on purpose; the
// compiler shares nothing with it but the label selectors.
#pragma once

#include <optional>
#include <string>

#include "k8s/objects.h"
#include "policy/verdict.h"
#include "world/world.h"

namespace sallyport::policy {

// One end of a connection. `pod` is a pod that selectors can see: never one of the host network,
// never a terminated one. `ip` is missing for a pod that has no address of the queried family.
struct Side {
  const world::Endpoint* pod = nullptr;
  const world::Endpoint* host_pod = nullptr;  // a pod of the host network, for messages only
  std::optional<Ip> ip;
};

// What one direction is judged by.
struct Scene {
  const world::World* world = nullptr;
  Direction direction = Direction::kEgress;
  Side subject;  // the pod whose policies are asked
  Side remote;
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  uint16_t port = 0;

  // Named ports are those of the destination, whichever side is asked.
  [[nodiscard]] const world::Endpoint* destination() const {
    return direction == Direction::kEgress ? remote.pod : subject.pod;
  }
};

// --- networking.k8s.io/v1 ---
bool peer_matches(const Scene& scene, const std::string& policy_ns,
                  const k8s::NetworkPolicyPeer& peer);
bool port_matches(const Scene& scene, const k8s::NetworkPolicyPort& port);
bool rule_matches(const Scene& scene, const std::string& policy_ns,
                  const k8s::NetworkPolicyRule& rule);

// --- policy.networking.k8s.io/v1alpha2 ---
bool pods_match(const world::World& world, const k8s::CnpPods& pods, const world::Endpoint* pod);
bool peer_matches(const Scene& scene, const k8s::CnpPeer& peer);
bool protocol_matches(const Scene& scene, const k8s::CnpProtocol& protocol);

// A rule with a peer or protocol of a form that this version does not know (a newer CRD), or with
// domain names where they are not defined. The API asks to fail closed: an Accept rule then matches
// nothing, a Deny or Pass rule denies everything.
bool has_unknown_form(const k8s::CnpRule& rule);
// For a rule without unknown forms. Domain names match nothing: names are not resolved.
bool rule_matches(const Scene& scene, const k8s::CnpRule& rule);

}  // namespace sallyport::policy
