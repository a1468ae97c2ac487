// What a valid manifest asks for and the standalone node does not do. `check` accepts it, `up` must
// not start as if it were done.
#pragma once

#include <vector>

#include "k8s/manifest.h"

namespace sallyport::k8s {

// Errors for what is refused (fields such as hostNetwork: true, Service types, and objects of
// policy groups that are not enforced), warnings for what is ignored (fields without effect, kinds
// that are not read). With `allow_unenforced` the objects of policy groups become warnings too. In
// the order of the objects and of the places in them.
std::vector<Diagnostic> unsupported_by_node(const Manifest& manifest,
                                            bool allow_unenforced = false);

}  // namespace sallyport::k8s
