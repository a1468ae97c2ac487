// What a valid manifest asks for and the standalone node does not do. `check` accepts it, `up` must
// not start as if it were done.
#pragma once

#include <vector>

#include "k8s/manifest.h"

namespace sallyport::k8s {

// Errors for what is refused (fields such as hostNetwork: true, Service types, and objects of
// policy groups, or parts of Istio's kinds, that are not enforced), warnings for what is ignored
// (fields without effect, kinds that are not read). With `allow_unenforced` what is not enforced of
// policies becomes warnings too. In the order of the objects and of the places in them; then what
// is wrong with the mesh's settings (mesh_settings.h).
std::vector<Diagnostic> unsupported_by_node(const Manifest& manifest,
                                            bool allow_unenforced = false);

}  // namespace sallyport::k8s
