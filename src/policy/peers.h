// Every distinct peer of all policies gets a number; peers with the same number match the same.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "k8s/objects.h"
#include "policy/cidr_partition.h"
#include "policy/selector_index.h"
#include "world/world.h"

namespace sallyport::policy {

using PeerId = uint32_t;

class PeerTable {
 public:
  explicit PeerTable(const world::World& world) : world_(world) {}

  PeerId pods(const PodSet& pods);
  PeerId block(const k8s::IpBlock& block);
  PeerId nodes(const k8s::LabelSelector& selector);  // all addresses of these nodes

  [[nodiscard]] uint32_t size() const { return next_; }
  [[nodiscard]] const SelectorIndex& selectors() const { return selectors_; }
  [[nodiscard]] const std::vector<AddressPeer>& addresses() const { return addresses_; }

 private:
  const world::World& world_;
  uint32_t next_ = 0;
  std::map<PodSet, PeerId> pods_;
  std::map<k8s::IpBlock, PeerId> blocks_;
  std::map<k8s::LabelSelector, PeerId> nodes_;
  SelectorIndex selectors_;
  std::vector<AddressPeer> addresses_;
};

}  // namespace sallyport::policy
