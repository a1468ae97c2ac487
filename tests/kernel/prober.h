// Probes of a test world: real packets from sockets in the source's namespace, thousands at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gate/gate.h"
#include "k8s/objects.h"
#include "kernel/world_net.h"

namespace sallyport::kernel_test {

struct Probe {
  const Host* from = nullptr;
  const Host* to = nullptr;
  Family family = Family::kV4;
  k8s::Protocol protocol = k8s::Protocol::kTcp;
  uint16_t port = 0;  // 0 for ICMP
  // How long to wait follows from it: for an answer generously, for a deny until the gate's event
  // and a moment longer. The outcome does not.
  bool expect_allow = true;

  [[nodiscard]] std::string to_string() const;
};

struct Outcome {
  bool reached = false;                  // anything came back, also a reset or an ICMP error
  bool answered = false;                 // the server's answer came back
  std::optional<gate::FlowEvent> event;  // new or denied, of this probe's own tuple
};

class Prober {
 public:
  explicit Prober(WorldNet& world) : world_(world) {}

  // All probes in flight together. Every probe has a source port (ICMP: an id) that its host has
  // not used before. `enforced`: wait for the gate's events too.
  Result<std::vector<Outcome>> run(const std::vector<Probe>& probes, bool enforced);

 private:
  WorldNet& world_;
  std::map<const Host*, uint16_t> next_port_;
};

}  // namespace sallyport::kernel_test
