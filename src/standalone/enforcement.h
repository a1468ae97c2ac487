// From the world to the kernel: compiles policies and the ports that demand TLS, and publishes
// where the tables have changed.
#pragma once

#include <functional>
#include <memory>

#include "gate/gate.h"
#include "policy/compiled.h"
#include "standalone/pods.h"
#include "world/world.h"

namespace sallyport::standalone {

class Enforcement {
 public:
  explicit Enforcement(gate::Gate& gate) : gate_(gate) {}

  // True where a new generation was published. On error the old one stays in force. Just before
  // the kernel gets rule ids that it has never had, `persist` writes the registry down: after
  // kill -9 the next node must neither misread nor reuse them.
  Result<bool> apply(world::WorldPtr world, const Pods& pods,
                     const std::function<void()>& persist = {});

  [[nodiscard]] const policy::RuleRegistry& rules() const { return rules_; }
  policy::RuleRegistry& rules() { return rules_; }
  // The world whose tables are in force; null before the first apply().
  [[nodiscard]] const world::WorldPtr& world() const { return world_; }
  [[nodiscard]] uint64_t generation() const { return generation_; }

 private:
  gate::Gate& gate_;
  policy::RuleRegistry rules_;
  world::WorldPtr world_;
  policy::CompiledPtr compiled_;
  std::vector<gate::EndpointPort> ports_;
  std::vector<gate::TlsDemand> demands_;
  uint64_t generation_ = 0;
  policy::RuleId persisted_ = 0;  // RuleRegistry::next() when it was last written down
};

}  // namespace sallyport::standalone
