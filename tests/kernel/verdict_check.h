// Comparing what the kernel did with what the evaluator says.
#pragma once

#include <string>

#include "kernel/prober.h"
#include "policy/compiled.h"
#include "policy/evaluator.h"

namespace sallyport::kernel_test {

// Empty where outcome and event agree with the verdict; otherwise what differs.
[[nodiscard]] std::string differences(const Probe& probe, const Outcome& outcome,
                                      const policy::Verdict& verdict,
                                      const policy::RuleRegistry& rules, uint64_t generation);

}  // namespace sallyport::kernel_test
