// The reference evaluator: NetworkPolicy and ClusterNetworkPolicy written straight from their
// specifications, slow and plain. `explain` uses it, and tests hold the compiler equal to it.
//
// Choices where the specifications leave room:
//  - a pod reaches itself always; so does its node reach it: a connection is the node's where its
//    source is an address of the Node that the pod runs on (spec.nodeName; a pod without one runs
//    on the only node of a one-node world) or is a host-network pod of that node. In the kernel the
//    path decides: what the node itself sends never passes the gate;
//  - a pod to its node is judged by the pod's egress policies;
//  - a host-network pod is neither subject nor peer of a selector, and has no named ports; its
//    address is the node's, which an ipBlock may hold;
//  - a pod in phase Succeeded or Failed is no pod: its address may be another's by now;
//  - a rule with ports is for these protocols only, a rule without ports is for every protocol;
//  - a Service is not modelled: ask about the pod and port that stand behind it.
#pragma once

#include "policy/verdict.h"

namespace sallyport::policy {

// Tier order: Admin ClusterNetworkPolicies by (priority, name, rule), then NetworkPolicies, then
// Baseline, then allow; per direction. Reasons and near misses are filled in.
//
// A side is given as pod, as address, or as both; an all-zero address means that it is not given
// and is then the pod's address of `family`, if it has one.
[[nodiscard]] Verdict evaluate(const world::World& world, const Query& query);

}  // namespace sallyport::policy
