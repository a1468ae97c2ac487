// A world from manifests alone, for `explain --world` and `check`: nothing runs.
#pragma once

#include <vector>

#include "base/result.h"
#include "k8s/objects.h"
#include "world/world.h"

namespace sallyport::workload {

// The manifests with workloads expanded to their pods, and synthetic addresses given to pods that
// have none (unique, from 198.18.0.0/16 and fd00:5a11::/64, in order of namespace and name), so
// that every pod can be asked about. Pods that have ended and host-network pods get none.
//
// A dump of a cluster may hold a workload together with its pods: a workload of which at least one
// pod is there is not expanded again. kConflict as for expand().
Result<std::vector<k8s::AnyObject>> offline_objects(const std::vector<k8s::AnyObject>& objects);

// world::from_objects() of them.
Result<world::World> world_from_manifests(const std::vector<k8s::AnyObject>& objects);

}  // namespace sallyport::workload
