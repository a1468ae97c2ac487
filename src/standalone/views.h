// Kubernetes objects for `sallyport get`: the manifests, with what the node knows filled in, so
// that `-o yaml` is a world again.
#pragma once

#include <string>
#include <vector>

#include "codec/value.h"
#include "node/network.h"
#include "standalone/pods.h"
#include "world/world.h"

namespace sallyport::standalone {

// `kind: List` of the resource ("pods", "services", "policies", "endpoints", "namespaces"), of one
// namespace or (empty) of all. kInvalid for another resource.
Result<codec::Value> list_resource(const std::string& resource, const std::string& ns,
                                   const std::vector<k8s::AnyObject>& objects, const Pods& pods,
                                   const world::World& world, node::NodeNetwork& network,
                                   WallTime now);

// Everything that a world needs, in one List: `get all -o yaml` feeds --world.
codec::Value pod_value(const PodRecord& record, const node::Ranges& ranges);

}  // namespace sallyport::standalone
