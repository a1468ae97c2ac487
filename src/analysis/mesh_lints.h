// What valid mesh policies do otherwise than their author may think. Only warnings, and only where
// the manifests at hand show it: a policy whose workloads are elsewhere is not judged by them.
#pragma once

#include <vector>

#include "k8s/manifest.h"
#include "k8s/objects.h"

namespace sallyport::analysis {

// In the order of the objects. `objects` as read; workloads need not be expanded.
std::vector<k8s::Diagnostic> mesh_lints(const std::vector<k8s::AnyObject>& objects);

}  // namespace sallyport::analysis
