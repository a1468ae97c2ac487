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

// `kind: List` of the resource ("pods", "services", "policies", "endpoints", "namespaces" or
// "all": what a world needs, for --world), of one namespace or (empty) of all. kInvalid for another
// resource.
Result<codec::Value> list_resource(const std::string& resource, const std::string& ns,
                                   const std::vector<k8s::AnyObject>& objects, const Pods& pods,
                                   const world::World& world, const node::Ranges& ranges);

codec::Value pod_value(const PodRecord& record, const node::Ranges& ranges);

}  // namespace sallyport::standalone
