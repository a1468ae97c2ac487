// One line of `sallyport explain --batch`: the question, decoded and checked. The fields of the
// mesh gate are checked as the others are; gate 1 does not use them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "codec/value.h"
#include "policy/verdict.h"

namespace sallyport::analysis {

struct HttpQuery {
  std::string method, path, host;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<codec::Value> jwt;  // the claims of a token; none: no token
};

struct BatchQuery {
  policy::Query network;  // points into the world that it was decoded for
  std::optional<bool> mtls;
  std::optional<std::string> principal;
  std::optional<std::string> sni;
  std::optional<HttpQuery> http;
};

// kInvalid or kNotFound; the message names the field. An unknown field is an error: a misspelt one
// would silently ask something else.
//
// `family` defaults to that of an address that is given, else 4; `protocol` to TCP.
Result<BatchQuery> decode_batch_query(const world::World& world, const codec::Value& line);

}  // namespace sallyport::analysis
