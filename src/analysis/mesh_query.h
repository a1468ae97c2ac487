// What a question says of the mesh gate: who speaks, and what is asked for.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "codec/value.h"

namespace sallyport::analysis {

struct HttpQuery {
  std::string method = "GET";
  std::string path = "/";  // as sent: with query, in any spelling, also in absolute form
  std::string host;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<codec::Value> jwt;  // the claims of a token; none: no token
};

struct MeshQuery {
  std::optional<bool> mtls;              // none: where both sides would use it
  std::optional<std::string> principal;  // a SPIFFE ID; none: the caller's service account
  std::optional<std::string> sni;
  std::optional<HttpQuery> http;  // none: opaque TCP
};

// The members "mtls", "principal", "sni" and "http" of a map; null is an empty question. Other
// members are the caller's business. kInvalid names the field.
Result<MeshQuery> decode_mesh_query(const codec::Value& map);

// Fails on members that are not known: a misspelt one would silently ask something else.
Status known_fields(const codec::Value& map, const std::string& field,
                    std::initializer_list<std::string_view> known);

}  // namespace sallyport::analysis
