// What gets through with the gate detached. A deny counts only where the same probe gets through
// then: otherwise the wiring, not the gate, may have swallowed it.
#pragma once

#include <set>
#include <tuple>

#include "kernel/prober.h"

namespace sallyport::kernel_test {

class Baseline {
 public:
  // Detaches, probes every pair of hosts on every port in both families and every protocol, and
  // attaches again. kInternal where a probe does not get through, with its name.
  Status measure(WorldNet& world, Prober& prober);
  [[nodiscard]] bool holds(const Probe& probe) const { return seen_.contains(key(probe)); }
  [[nodiscard]] size_t size() const { return seen_.size(); }

  // Every probe that a world admits: between different hosts of which one is a pod, to the
  // node only what it offers.
  static std::vector<Probe> all_probes(const WorldNet& world);

 private:
  using Key = std::tuple<const Host*, const Host*, Family, k8s::Protocol, uint16_t>;
  static Key key(const Probe& p) { return {p.from, p.to, p.family, p.protocol, p.port}; }
  std::set<Key> seen_;
};

}  // namespace sallyport::kernel_test
