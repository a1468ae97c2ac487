// The one canonical form of a request path: what policy, log and the forwarded request use.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "k8s/mesh_settings.h"

namespace sallyport::authz {

struct PathOptions {
  k8s::PathNormalization mode = k8s::PathNormalization::kMergeSlashes;
  // %2F (and %5C) inside a segment stay as they are and are passed on; without this they are
  // refused.
  bool allow_escaped_slashes = false;
};

// `target` is origin-form with an optional query (":path", or the request target after
// absolute-form has been split). On success `out` holds the canonical path and query, and
// `path_length` how much of it is the path. kInvalid: no canonical form exists (answer 400); the
// message says why. `out` is reused: no allocation where its capacity suffices.
Status canonicalize(std::string_view target, const PathOptions& options, std::string& out,
                    size_t& path_length);

}  // namespace sallyport::authz
