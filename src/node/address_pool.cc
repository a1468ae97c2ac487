#include "node/address_pool.h"

#include <algorithm>
#include <string>

namespace sallyport::node {

AddressPool::AddressPool(const Ranges& ranges, uint32_t first)
    : range4_(ranges.pods4), range6_(ranges.pods6), next_(first) {
  // The first and the last address of an IPv4 range are the network and its broadcast address.
  int host_bits = std::min(32 - range4_.bits, 24);
  states_.resize(size_t{1} << host_bits, State::kFree);
  states_.front() = states_.back() = State::kUsed;
  if (next_ == 0 || next_ + 1 >= states_.size()) next_ = 1;
}

Result<PodAddresses> AddressPool::allocate(Monotonic now) {
  while (!resting_.empty() && now - resting_.front().since >= kAddressRest) {
    states_[resting_.front().offset] = State::kFree;
    resting_.pop_front();
  }
  for (size_t tries = 0; tries < states_.size(); ++tries) {
    uint32_t offset = next_;
    next_ = next_ + 2 < states_.size() ? next_ + 1 : 1;  // the last is never given
    if (states_[offset] != State::kFree) continue;
    states_[offset] = State::kUsed;
    ++in_use_;
    return PodAddresses{offset_ip(range4_.base, offset), offset_ip(range6_.base, offset)};
  }
  return fail(Code::kExhausted, "no pod address of " + range4_.to_string() +
                                    " is free: " + std::to_string(in_use_) + " are in use and " +
                                    std::to_string(resting_.size()) +
                                    " were released less than 60 s ago");
}

Result<uint32_t> AddressPool::offset_of(const PodAddresses& addresses) const {
  const auto& [v4, v6] = addresses;
  if (!range4_.contains(v4) || !range6_.contains(v6))
    return fail(Code::kInvalid, v4.to_string() + " and " + v6.to_string() +
                                    " are no pod addresses: expected them in " +
                                    range4_.to_string() + " and " + range6_.to_string());
  uint32_t offset = v4.v4_host_order() - range4_.base.v4_host_order();
  if (offset_ip(range6_.base, offset) != v6 || offset == 0 || offset + 1 >= states_.size())
    return fail(Code::kInvalid, v4.to_string() + " and " + v6.to_string() +
                                    " are not the two addresses of one pod");
  return offset;
}

Status AddressPool::claim(const PodAddresses& addresses) {
  SP_TRY(uint32_t offset, offset_of(addresses));
  if (states_[offset] != State::kFree)
    return fail(Code::kConflict, addresses.v4.to_string() + " is taken already");
  states_[offset] = State::kUsed;
  ++in_use_;
  return {};
}

void AddressPool::release(const PodAddresses& addresses, Monotonic now) {
  auto offset = offset_of(addresses);
  if (!offset || states_[*offset] != State::kUsed) return;
  states_[*offset] = State::kResting;
  --in_use_;
  resting_.push_back({now, *offset});
}

}  // namespace sallyport::node
