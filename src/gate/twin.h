// The packet decision in user space: the very code of the BPF program (bpf/decision.h) over plain
// containers. For unit tests, fuzzing and timing without a kernel, and for asking what the tables
// would say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "gate/gate.h"
#include "gate/tables.h"

namespace sallyport::gate {

// Where a packet is seen; what the kernel tells the program beside the bytes.
struct Arrival {
  uint32_t in = 0;  // ifindex
  uint32_t out = 0;
  Family family = Family::kV4;
  bool local = false;  // LOCAL_IN
  bool reply = false;  // LOCAL_IN: tracked by the kernel as an answer to the node
};

class Twin {
 public:
  struct Verdict {
    bool accept = false;
    uint8_t reason = 0;                                // sp_reason
    policy::RuleId egress_rule = 0, ingress_rule = 0;  // of a new or denied connection
  };

  Twin(uint64_t max_connections, uint64_t max_per_endpoint);
  ~Twin();
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  // Puts the tables in force; returns their generation.
  uint64_t publish(Tables tables);

  // `packet` begins with the IP header.
  Verdict decide(std::span<const uint8_t> packet, const Arrival& arrival);

  void advance(uint64_t nanoseconds);  // lets time pass; the ticks that are due run
  void forget_endpoint(uint32_t endpoint_id);

  std::vector<FlowEvent> take_events();
  [[nodiscard]] std::vector<Connection> connections() const;
  [[nodiscard]] size_t connection_count() const;
  [[nodiscard]] uint64_t entries_of(uint32_t endpoint_id) const;
  [[nodiscard]] uint64_t overflows() const;
  [[nodiscard]] const std::unordered_map<uint8_t, uint64_t>& drops() const;
  [[nodiscard]] const std::unordered_map<policy::RuleId, GateStats::RuleCount>& rules() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::gate
