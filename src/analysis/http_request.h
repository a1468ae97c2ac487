// A question's HTTP request as the proxy would take it: checked by the rules of its codec, in
// canonical form, without the fields that never reach a decision.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "analysis/mesh_query.h"
#include "authz/path.h"
#include "base/result.h"

namespace sallyport::analysis {

struct CanonicalRequest {
  std::string method;
  std::string target;  // canonical, with the query
  size_t path_length = 0;
  std::string host;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

// kInvalid: the proxy answers 400 (or 405 for CONNECT) without asking any policy; the message says
// why.
Result<CanonicalRequest> canonical_request(const HttpQuery& query,
                                           const authz::PathOptions& options);

}  // namespace sallyport::analysis
