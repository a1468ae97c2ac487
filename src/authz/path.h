// The one canonical form of a request path: what policy, log and the forwarded request use.
//
// Every mode: the target begins with a slash (origin-form: `*`, absolute-form and authority-form
// are the caller's business and are refused here), has no fragment, no space, no control byte, and
// its path no byte beyond ASCII; the query is kept as sent and is never looked at. Letters keep
// their case.
//
//   NONE              nothing else; the path stays as sent
//   BASE              escapes of unreserved bytes (letters, digits, -._~) are decoded once, all
//                     others stay, in upper case; a backslash is a slash; "." and ".." are resolved
//                     (at the root, ".." stays there)
//   MERGE_SLASHES     BASE, then runs of slashes become one (Istio's order: ".." goes up over an
//                     empty segment as over any other)
//   DECODE_AND_MERGE  %2F and %5C are slashes, then as above, whatever the option says
//
// But for NONE, these are refused because two readers may take them for different paths: an escape
// that is not two hexadecimal digits, %00, bytes that are no UTF-8 (overlong forms too), a segment
// of dots with parameters ("..;x", also written ..%3Bx), and an escaped slash; where the latter is
// allowed, still one beside nothing or beside dots ("..%2F", "%2F%2F", "/a%2F").
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
// message says why, and quotes nothing of the target. `out` is reused: no allocation where its
// capacity suffices (on success). It must not be what `target` points into.
Status canonicalize(std::string_view target, const PathOptions& options, std::string& out,
                    size_t& path_length);

}  // namespace sallyport::authz
