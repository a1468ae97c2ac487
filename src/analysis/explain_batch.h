// `sallyport explain --batch FILE`: one JSON question a line, one JSON answer a line, in order.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "analysis/mesh_gate.h"
#include "codec/value.h"
#include "policy/verdict.h"
#include "world/world.h"

namespace sallyport::analysis {

// The answer to one question, without its id: {"verdict","gate","network":{"egress":{...},
// "ingress":{...}},"mesh":{...}|null}; `gate` is the first gate that refuses.
codec::Value answer_value(const policy::Verdict& network, const std::optional<MeshVerdict>& mesh);

// One direction: {"verdict","policy","rule","reason","isolatedBy","nearest"}.
codec::Value direction_value(const policy::DirectionVerdict& verdict);

struct BatchSummary {
  size_t answered = 0;
  size_t failed = 0;  // lines that got {"id","error"}; the command then exits with 2
};

// Empty lines are passed over. `sink` gets each answer without a newline, as soon as it is known.
BatchSummary explain_batch(const world::World& world, std::string_view input,
                           const std::function<void(std::string_view)>& sink,
                           mesh::UnlabelledPods unlabelled = mesh::UnlabelledPods::kOut);

// The answer to one line; `ok` is false where it is an error.
std::string explain_batch_line(const world::World& world, std::string_view line, bool& ok,
                               mesh::UnlabelledPods unlabelled = mesh::UnlabelledPods::kOut);

}  // namespace sallyport::analysis
