#include "policy/peers.h"

#include "k8s/selector.h"

namespace sallyport::policy {

PeerId PeerTable::pods(const PodSet& pods) {
  auto [slot, fresh] = pods_.try_emplace(pods, next_);
  if (fresh) selectors_.add(next_++, pods);
  return slot->second;
}

PeerId PeerTable::block(const k8s::IpBlock& block) {
  auto [slot, fresh] = blocks_.try_emplace(block, next_);
  if (fresh) addresses_.push_back({next_++, {block.cidr}, block.except});
  return slot->second;
}

PeerId PeerTable::nodes(const k8s::LabelSelector& selector) {
  auto [slot, fresh] = nodes_.try_emplace(selector, next_);
  if (!fresh) return slot->second;
  AddressPeer peer{next_++, {}, {}};
  for (const world::NodeInfo& node : world_.nodes) {
    if (!k8s::matches(selector, node.labels)) continue;
    for (const Ip& ip : node.addresses)
      peer.include.push_back({ip, ip.family() == Family::kV4 ? 32 : 128});
  }
  addresses_.push_back(std::move(peer));
  return slot->second;
}

}  // namespace sallyport::policy
