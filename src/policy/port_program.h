// From an ordered list of steps to the pieces of a port program: at each port the first step that
// has it decides, and a Pass of the Admin tier goes on after that tier.
#pragma once

#include <cstdint>
#include <vector>

#include "policy/compiled.h"

namespace sallyport::policy {

enum class Effect : uint8_t { kDeny, kAllow, kPass };

struct PortRange {
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  uint16_t first = 0;
  uint16_t last = 65535;
  bool operator==(const PortRange&) const = default;
};

struct Step {
  Effect effect = Effect::kDeny;  // kPass: only in the Admin tier
  RuleId rule = 0;
  bool everything = false;  // every port of every protocol
  std::vector<PortRange> ports;
};

// The first `admin` steps are of the Admin tier. The last step has `everything` and is no Pass, so
// that every port is decided.
PortProgram build_program(const std::vector<Step>& steps, size_t admin);

}  // namespace sallyport::policy
