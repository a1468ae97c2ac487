// The pod addresses that are in use. A pod's IPv4 and IPv6 address have the same offset in their
// ranges. Addresses are given in order, so that one comes back as late as possible.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "node/network.h"
#include "node/ranges.h"

namespace sallyport::node {

// How long a released address stays unused: connections and caches of the pod that had it must not
// reach the next one.
constexpr std::chrono::seconds kAddressRest{60};

class AddressPool {
 public:
  // `first`: the offset to begin with; where a node died, the one that it would have given next,
  // because nobody knows when it released the addresses below.
  explicit AddressPool(const Ranges& ranges, uint32_t first = 1);

  Result<PodAddresses> allocate(Monotonic now);  // kExhausted: none is free
  Status claim(const PodAddresses& addresses);   // kInvalid, or kConflict where it is taken
  void release(const PodAddresses& addresses, Monotonic now);  // one that is not in use: ignored

  [[nodiscard]] uint32_t next_offset() const { return next_; }
  [[nodiscard]] size_t in_use() const { return in_use_; }

 private:
  enum class State : uint8_t { kFree, kUsed, kResting };
  struct Resting {
    Monotonic since;
    uint32_t offset;
  };
  Result<uint32_t> offset_of(const PodAddresses& addresses) const;

  Cidr range4_, range6_;
  std::vector<State> states_;  // by offset
  std::deque<Resting> resting_;
  uint32_t next_;
  size_t in_use_ = 0;
};

}  // namespace sallyport::node
