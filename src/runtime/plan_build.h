// From what the node asks for to what the shim runs. A container that cannot start (a missing
// reference, no command, root where runAsNonRoot) is planned with its error, which the shim then
// reports as StartError: the rest of the pod is not held up by it.
#pragma once

#include "base/result.h"
#include "runtime/plan.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {

struct PlanOptions {
  std::string state_dir;  // hidden from pods
  std::string self_exe;
  int backoff_ms = 10'000;
};

// kInvalid: the request itself is unusable (no pod, a uid or name that is no file name).
Result<Plan> make_plan(const PodRequest& request, const PlanOptions& options);

// One volume of the pod with its files; the error names what is missing.
Result<PlannedVolume> plan_volume(const PodRequest& request, const k8s::Volume& volume);

// runAsUser, runAsGroup, groups, capabilities of one container; kInvalid or kDenied as StartError.
Status plan_security(const k8s::PodSpec& pod, const k8s::Container& container,
                     PlannedContainer& planned);

}  // namespace sallyport::runtime
