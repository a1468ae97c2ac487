#include <gtest/gtest.h>
#include <unistd.h>

#include "gate/bpf/types.h"
#include "gate/compiled_builder.h"
#include "gate/gate.h"
#include "gate/test_lab.h"

namespace sallyport::gate {

namespace {

using policy::Direction;

// Pod 2 accepts TCP and UDP 8080 from pod 1 only; pod 1 may send anywhere.
CompiledBuilder one_way(const Lab& lab) {
  CompiledBuilder b;
  const auto ingress = b.deny_set(Direction::kIngress, 100);
  b.allow(ingress, 1, 6, 8080, 8080, 101);
  b.allow(ingress, 1, 17, 8080, 8080, 102);
  for (const auto& pod : lab.pods)
    b.endpoint(pod.id, {pod.v4, pod.v6}, 0, pod.id == 2 ? ingress : 0);
  return b;
}

std::vector<FlowEvent> events_of(Gate& gate) {
  std::vector<FlowEvent> events;
  gate.drain_events([&](const FlowEvent& event) { events.push_back(event); });
  return events;
}

class KernelGate : public ::testing::Test {
 protected:
  KernelGate() {
    auto opened = open_gate(lab.config());
    if (!opened) throw std::runtime_error(opened.error().message);
    gate = std::move(*opened);
  }
  ~KernelGate() override {
    if (gate) EXPECT_TRUE(gate->remove());
  }
  void publish(const CompiledBuilder& builder) {
    const auto generation = gate->publish(builder.get(), lab.ports());
    ASSERT_TRUE(generation) << generation.error().message;
  }
  Probe udp(const Lab::Pod& from, const Lab::Pod& to, uint16_t port, bool v6) {
    return probe_udp(from.netns.get(), v6 ? from.v6 : from.v4, to.netns.get(), v6 ? to.v6 : to.v4,
                     port);
  }
  bool tcp(const Lab::Pod& from, const Lab::Pod& to, uint16_t port, bool v6) {
    return probe_tcp(from.netns.get(), v6 ? from.v6 : from.v4, to.netns.get(), v6 ? to.v6 : to.v4,
                     port);
  }

  Lab lab{3};
  std::unique_ptr<Gate> gate;
};

TEST_F(KernelGate, AllowsWhatPolicyAllowsAndNothingElse) {
  publish(one_way(lab));
  for (const bool v6 : {false, true}) {
    const auto good = udp(lab.pods[0], lab.pods[1], 8080, v6);
    EXPECT_TRUE(good.arrived && good.answered);
    EXPECT_TRUE(tcp(lab.pods[0], lab.pods[1], 8080, v6));
    EXPECT_FALSE(udp(lab.pods[0], lab.pods[1], 8081, v6).arrived);
    EXPECT_FALSE(tcp(lab.pods[0], lab.pods[1], 8081, v6));
    EXPECT_FALSE(udp(lab.pods[2], lab.pods[1], 8080, v6).arrived);
    EXPECT_FALSE(tcp(lab.pods[2], lab.pods[1], 8080, v6));
    EXPECT_FALSE(tcp(lab.outside, lab.pods[1], 8080, v6));
    EXPECT_TRUE(tcp(lab.outside, lab.pods[0], 8080, v6));
  }
  int allowed = 0, denied = 0;
  for (const auto& event : events_of(*gate)) {
    if (event.kind == FlowEvent::Kind::kNew && event.ingress_rule == 101) ++allowed;
    if (event.kind == FlowEvent::Kind::kDenied && event.ingress_rule == 100) {
      EXPECT_EQ(event.reason, SP_DENY_POLICY);
      EXPECT_EQ(event.destination_endpoint, 2u);
      ++denied;
    }
  }
  EXPECT_EQ(allowed, 2);
  EXPECT_GE(denied, 10);
  ASSERT_TRUE(gate->detach());
  EXPECT_TRUE(tcp(lab.pods[2], lab.pods[1], 8080, false));
  EXPECT_TRUE(tcp(lab.pods[2], lab.pods[1], 8080, true));
  ASSERT_TRUE(gate->attach());
  EXPECT_FALSE(tcp(lab.pods[2], lab.pods[1], 8080, false));
}

}  // namespace

}  // namespace sallyport::gate
