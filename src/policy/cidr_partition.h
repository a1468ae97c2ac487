// Address peers (ipBlock, networks, nodes) as a partition of the address space: for each prefix
// that any of them mentions, the exact set of peers that match there. One longest-prefix match then
// answers all of them at once, with their exceptions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"

namespace sallyport::policy {

// Matches an address in one of `include` and in none of `except`.
struct AddressPeer {
  uint32_t id = 0;
  std::vector<Cidr> include;
  std::vector<Cidr> except;
};

class CidrPartition {
 public:
  struct Entry {
    Cidr cidr;
    std::vector<uint32_t> peers;  // ids, sorted: what matches in `cidr` outside longer entries
    int parent = -1;              // the next shorter entry that holds this one
  };

  explicit CidrPartition(const std::vector<AddressPeer>& peers);

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] const std::vector<uint32_t>& lookup(const Ip& ip) const;

 private:
  std::vector<Entry> entries_;  // by (family, base, bits): a holder comes before what it holds
};

}  // namespace sallyport::policy
