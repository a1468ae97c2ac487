// One line of `sallyport explain --batch`: the question, decoded and checked.
#pragma once

#include "analysis/mesh_query.h"
#include "base/result.h"
#include "codec/value.h"
#include "policy/verdict.h"

namespace sallyport::analysis {

struct BatchQuery {
  policy::Query network;  // points into the world that it was decoded for
  MeshQuery mesh;
};

// kInvalid or kNotFound; the message names the field. An unknown field is an error: a misspelt one
// would silently ask something else.
//
// `family` defaults to that of an address that is given, else 4; `protocol` to TCP.
Result<BatchQuery> decode_batch_query(const world::World& world, const codec::Value& line);

}  // namespace sallyport::analysis
