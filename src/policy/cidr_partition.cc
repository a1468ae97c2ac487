#include "policy/cidr_partition.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sallyport::policy {
namespace {

struct Order {
  bool operator()(const Cidr& a, const Cidr& b) const {
    return std::tuple(a.family(), a.base, a.bits) < std::tuple(b.family(), b.base, b.bits);
  }
};

// What changes where the walk enters a prefix.
struct Change {
  std::vector<uint32_t> enter, leave;
};

bool excepted(const AddressPeer& peer, const Cidr& cidr) {
  return std::any_of(peer.except.begin(), peer.except.end(),
                     [&](const Cidr& except) { return except.contains(cidr); });
}

// Whether the bytes of an IPv6 prefix hold those of all IPv4 addresses.
bool holds_mapped(const Cidr& cidr) {
  const Ip mapped = Ip::v4(0);
  for (int bit = 0; bit < cidr.bits; ++bit) {
    int shift = 7 - bit % 8;
    if (bit >= 96 || ((cidr.base.bytes[bit / 8] ^ mapped.bytes[bit / 8]) >> shift & 1))
      return false;
  }
  return true;
}

void sort_unique(std::vector<uint32_t>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace

CidrPartition::CidrPartition(const std::vector<AddressPeer>& peers) {
  std::map<Cidr, Change, Order> changes;
  for (const AddressPeer& peer : peers) {
    for (const Cidr& cidr : peer.include)
      // The API server asks that an exception is a strict part of the block; one that holds the
      // whole block leaves nothing of it.
      if (!excepted(peer, cidr)) changes[cidr].enter.push_back(peer.id);
    for (const Cidr& cidr : peer.except) changes[cidr].leave.push_back(peer.id);
  }

  // An IPv4 address is ::ffff:a.b.c.d in the kernel's table, where a short IPv6 prefix would hold
  // it too. An entry for all of IPv4 keeps the families apart.
  const Cidr everything_v4{Ip::v4(0), 0};
  for (const auto& [cidr, change] : changes) {
    if (cidr.family() == Family::kV6 && holds_mapped(cidr)) {
      changes[everything_v4];
      break;
    }
  }

  std::vector<int> holders;  // the chain of entries that hold the current one
  for (auto& [cidr, change] : changes) {
    while (!holders.empty() && !entries_[holders.back()].cidr.contains(cidr)) holders.pop_back();
    Entry entry;
    entry.cidr = cidr;
    if (!holders.empty()) {
      entry.parent = holders.back();
      entry.peers = entries_[entry.parent].peers;
    }
    entry.peers.insert(entry.peers.end(), change.enter.begin(), change.enter.end());
    sort_unique(entry.peers);
    sort_unique(change.leave);
    std::vector<uint32_t> left;
    std::set_difference(entry.peers.begin(), entry.peers.end(), change.leave.begin(),
                        change.leave.end(), std::back_inserter(left));
    entry.peers = std::move(left);
    holders.push_back(static_cast<int>(entries_.size()));
    entries_.push_back(std::move(entry));
  }
}

const std::vector<uint32_t>& CidrPartition::lookup(const Ip& ip) const {
  static const std::vector<uint32_t> kNone;
  auto after =
      std::upper_bound(entries_.begin(), entries_.end(), ip, [](const Ip& key, const Entry& entry) {
        return std::tuple(key.family(), key) < std::tuple(entry.cidr.family(), entry.cidr.base);
      });
  // The entry before is inside every entry that holds the address, or is one of them.
  for (int i = static_cast<int>(after - entries_.begin()) - 1; i >= 0; i = entries_[i].parent)
    if (entries_[i].cidr.contains(ip)) return entries_[i].peers;
  return kNone;
}

}  // namespace sallyport::policy
