// Many address blocks at once: which of them contain an address, in time that depends on how many
// prefix lengths there are (one binary search for each). Numbers as in glob_map.h.
#pragma once

#include <algorithm>
#include <vector>

#include "authz/glob_map.h"
#include "base/ip.h"

namespace sallyport::authz {

class CidrMap {
 public:
  using Ids = GlobMap::Ids;

  void add(const Cidr& cidr, uint32_t id = 0) {
    Level& level = level_of(cidr);
    const size_t at = place(level, cidr.base);
    if (at == level.blocks.size() || level.blocks[at].base != cidr.base) {
      level.blocks.insert(level.blocks.begin() + static_cast<ptrdiff_t>(at),
                          Block{cidr.base, Ids(1, id)});
    } else if (level.blocks[at].ids.back() != id) {
      level.blocks[at].ids.push_back(id);
    }
  }
  [[nodiscard]] bool empty() const { return levels_.empty(); }

  template <class Visit>
  bool find(const Ip& ip, Visit&& visit) const {
    const Family family = ip.family();
    for (const Level& level : levels_) {
      if (level.family != family) continue;
      const Ip base = masked(ip, level.mapped_bits);
      const size_t at = place(level, base);
      if (at == level.blocks.size() || level.blocks[at].base != base) continue;
      if (visit(level.blocks[at].ids)) return true;
    }
    return false;
  }
  [[nodiscard]] bool matches(const Ip& ip) const {
    return find(ip, [](const Ids&) { return true; });
  }

 private:
  struct Block {
    Ip base;
    Ids ids;
  };
  struct Level {
    Family family;
    int mapped_bits;
    std::vector<Block> blocks;  // by address
  };

  static Ip masked(const Ip& ip, int bits) {
    Ip out = ip;
    for (int byte = 0; byte < 16; ++byte) {
      const int keep = std::clamp(bits - byte * 8, 0, 8);
      out.bytes[static_cast<size_t>(byte)] &= static_cast<uint8_t>(0xFF00 >> keep);
    }
    return out;
  }
  // Where the block is, or would be.
  static size_t place(const Level& level, const Ip& base) {
    const auto at =
        std::lower_bound(level.blocks.begin(), level.blocks.end(), base,
                         [](const Block& block, const Ip& key) { return block.base < key; });
    return static_cast<size_t>(at - level.blocks.begin());
  }
  Level& level_of(const Cidr& cidr) {
    for (Level& level : levels_)
      if (level.family == cidr.family() && level.mapped_bits == cidr.mapped_bits()) return level;
    levels_.push_back({cidr.family(), cidr.mapped_bits(), {}});
    return levels_.back();
  }
  std::vector<Level> levels_;
};

// A value of ipBlocks that has been checked: an address or a block.
[[nodiscard]] inline Cidr block_of(std::string_view value) {
  if (value.find('/') != std::string_view::npos) return Cidr::parse(value).value();
  const Ip ip = Ip::parse(value).value();
  return {ip, ip.family() == Family::kV4 ? 32 : 128};
}

}  // namespace sallyport::authz
