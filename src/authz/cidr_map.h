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
    const auto where = lower(level, cidr.base);
    if (where == level.blocks.end() || where->first != cidr.base) {
      level.blocks.insert(where, {cidr.base, {id}});
    } else if (where->second.back() != id) {
      where->second.push_back(id);
    }
  }
  [[nodiscard]] bool empty() const { return levels_.empty(); }

  template <class Visit>
  bool find(const Ip& ip, Visit&& visit) const {
    const Family family = ip.family();
    for (const Level& level : levels_) {
      if (level.family != family) continue;
      const Ip base = masked(ip, level.mapped_bits);
      const auto where = lower(level, base);
      if (where != level.blocks.end() && where->first == base && visit(where->second)) return true;
    }
    return false;
  }
  [[nodiscard]] bool matches(const Ip& ip) const {
    return find(ip, [](const Ids&) { return true; });
  }

 private:
  struct Level {
    Family family;
    int mapped_bits;
    std::vector<std::pair<Ip, Ids>> blocks;  // by address
  };

  static Ip masked(const Ip& ip, int bits) {
    Ip out = ip;
    for (int byte = 0; byte < 16; ++byte) {
      const int keep = std::clamp(bits - byte * 8, 0, 8);
      out.bytes[static_cast<size_t>(byte)] &= static_cast<uint8_t>(0xFF00 >> keep);
    }
    return out;
  }
  template <class L>
  static auto lower(L& level, const Ip& base) {
    return std::lower_bound(level.blocks.begin(), level.blocks.end(), base,
                            [](const auto& block, const Ip& key) { return block.first < key; });
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
