// For kernel tests: a lab with a gate, and the probes between its pods.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "gate/bpf/types.h"
#include "gate/compiled_builder.h"
#include "gate/gate.h"
#include "gate/test_lab.h"

namespace sallyport::gate {

// Pod 2 accepts TCP and UDP 8080 from pod 1 only; the others are not isolated.
inline CompiledBuilder one_way(const Lab& lab, policy::RuleId first_rule = 100) {
  CompiledBuilder b;
  const auto ingress = b.deny_set(policy::Direction::kIngress, first_rule);
  b.allow(ingress, 1, 6, 8080, 8080, first_rule + 1);
  b.allow(ingress, 1, 17, 8080, 8080, first_rule + 2);
  for (const auto& pod : lab.pods)
    b.endpoint(pod.id, {pod.v4, pod.v6}, 0, pod.id == 2 ? ingress : 0);
  return b;
}

inline CompiledBuilder nobody_isolated(const Lab& lab) {
  CompiledBuilder b;
  for (const auto& pod : lab.pods) b.endpoint(pod.id, {pod.v4, pod.v6}, 0, 0);
  return b;
}

// Pod 2 accepts nothing.
inline CompiledBuilder closed(const Lab& lab, policy::RuleId rule = 900) {
  CompiledBuilder b;
  const auto ingress = b.deny_set(policy::Direction::kIngress, rule);
  for (const auto& pod : lab.pods)
    b.endpoint(pod.id, {pod.v4, pod.v6}, 0, pod.id == 2 ? ingress : 0);
  return b;
}

class GateFixture : public ::testing::Test {
 protected:
  GateFixture() { open(lab.config()); }
  ~GateFixture() override {
    if (gate) EXPECT_TRUE(gate->remove());
  }
  void open(const GateConfig& config) {
    auto opened = open_gate(config);
    if (!opened) throw std::runtime_error(opened.error().message);
    gate = std::move(*opened);
  }
  void publish(const CompiledBuilder& builder) {
    const auto generation = gate->publish(builder.get(), lab.ports());
    ASSERT_TRUE(generation) << generation.error().message;
  }
  static Probe udp(const Lab::Pod& from, const Lab::Pod& to, uint16_t port, bool v6,
                   int timeout_ms = 150) {
    return probe_udp(from.netns.get(), v6 ? from.v6 : from.v4, to.netns.get(), v6 ? to.v6 : to.v4,
                     port, timeout_ms);
  }
  static bool tcp(const Lab::Pod& from, const Lab::Pod& to, uint16_t port, bool v6,
                  int timeout_ms = 250) {
    return probe_tcp(from.netns.get(), v6 ? from.v6 : from.v4, to.netns.get(), v6 ? to.v6 : to.v4,
                     port, timeout_ms);
  }
  bool tcp_to_node(const Lab::Pod& from, uint16_t port, bool v6) {
    return probe_tcp(from.netns.get(), v6 ? from.v6 : from.v4, lab.node.get(),
                     v6 ? lab.node6 : lab.node4, port, 250);
  }
  std::vector<FlowEvent> events() {
    std::vector<FlowEvent> out;
    gate->drain_events([&](const FlowEvent& event) { out.push_back(event); });
    return out;
  }
  uint64_t drops(uint8_t reason) {
    const auto stats = gate->stats();
    EXPECT_TRUE(stats);
    const auto at = stats->drops.find(reason);
    return at == stats->drops.end() ? 0 : at->second;
  }

  Lab lab{3};
  std::unique_ptr<Gate> gate;
};

}  // namespace sallyport::gate
