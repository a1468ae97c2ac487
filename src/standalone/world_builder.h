// From objects and running pods to the world that policy sees.
#pragma once

#include <vector>

#include "standalone/pods.h"
#include "world/world.h"

namespace sallyport::standalone {

// Endpoints are the pods that have addresses, whatever the manifests say; everything else comes
// from `objects`.
world::World build_world(const std::vector<k8s::AnyObject>& objects, const Pods& pods,
                         uint64_t revision);

}  // namespace sallyport::standalone
