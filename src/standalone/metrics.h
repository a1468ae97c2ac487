// The node's metrics in the Prometheus text format (exposition format 0.0.4).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "gate/gate.h"
#include "policy/compiled.h"
#include "standalone/flow_log.h"
#include "standalone/pods.h"

namespace sallyport::standalone {

// From a change seen in a file to the new generation in force.
class ProgrammingLatency {
 public:
  void observe(double seconds);
  void write(std::string& out) const;

 private:
  static constexpr std::array<double, 10> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025,
                                                  0.05,  0.1,    0.25,  0.5,  1};
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  uint64_t total_ = 0;
  double sum_ = 0;
};

std::string write_metrics(const gate::GateStats& stats, const policy::RuleRegistry& rules,
                          const FlowLog& flows, const Pods& pods,
                          const ProgrammingLatency& latency);

}  // namespace sallyport::standalone
