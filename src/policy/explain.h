// Verdicts in words, for `sallyport explain` and for flow events.
#pragma once

#include <string>

#include "codec/value.h"
#include "policy/verdict.h"

namespace sallyport::policy {

// Several lines: the verdict, then a line or more per direction with policy, rule and reason.
std::string explain_text(const world::World& world, const Query& query, const Verdict& verdict);

// One line for one direction: "denied by default: isolated by inference/default-deny-all; nearest
// inference/inference-ingress rule 0: peer pod label app: wants gateway, has attacker".
std::string explain_line(const DirectionVerdict& verdict, Direction direction);

}  // namespace sallyport::policy
