// The BPF program under BPF_PROG_TEST_RUN: the kernel's own verdict and time per packet without a
// network. A test run has no interfaces, so the object is the variant that takes them from a map.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "gate/object.h"
#include "gate/tables.h"
#include "gate/twin.h"

namespace sallyport::gate {

class TestRun {
 public:
  static Result<TestRun> open(uint32_t max_connections, uint32_t max_per_endpoint);

  // Puts the tables in force, in every slot, so that bump() can follow.
  Status publish(const Tables& tables);
  Status bump();  // the next generation, with the same tables
  Status set_arrival(const Arrival& arrival);

  struct Outcome {
    bool accept = false;
    uint32_t nanoseconds = 0;  // per packet
  };
  // `packet` begins with the IP header.
  Result<Outcome> run(std::span<const uint8_t> packet, uint32_t repeat = 1);

  [[nodiscard]] const MapSet& maps() const { return loaded_.maps; }

 private:
  explicit TestRun(LoadedObject loaded) : loaded_(std::move(loaded)) {}
  LoadedObject loaded_;
  uint64_t generation_ = 0;
};

}  // namespace sallyport::gate
