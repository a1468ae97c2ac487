// The documentation of what the standalone node does with each field of a pod and of the objects
// around it, made from the tables of schema.h.
#pragma once

#include <string>
#include <vector>

#include "k8s/schema.h"

namespace sallyport::k8s {

// docs/reference/pod-fields.md, whole.
std::string pod_fields_markdown();

// The tables that can be reached from `root` by fields that are applied, `root` first.
std::vector<const TypeSchema*> applied_types(std::string_view root);

}  // namespace sallyport::k8s
