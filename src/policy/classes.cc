#include "policy/classes.h"

namespace sallyport::policy {

size_t WordsHash::operator()(const std::vector<uint32_t>& words) const noexcept {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (uint32_t word : words) hash = (hash ^ word) * 0x100000001b3ULL;
  return hash ^ hash >> 29;
}

void append_key(std::vector<uint32_t>& key, const NamedPorts& names) {
  for (const NamedPort& named : names) {
    key.push_back(named.name);
    key.push_back(static_cast<uint32_t>(named.port.protocol) << 16 | named.port.first);
  }
}

ClassId ClassTable::intern(std::vector<PeerId> peers, const NamedPorts& names) {
  std::vector<uint32_t> names_key;
  append_key(names_key, names);
  auto names_id =
      by_names_.try_emplace(std::move(names_key), static_cast<uint32_t>(by_names_.size()))
          .first->second;
  std::vector<uint32_t> key = peers;
  key.push_back(names_id);
  auto [slot, fresh] = by_key_.try_emplace(std::move(key), static_cast<ClassId>(classes_.size()));
  if (!fresh) return slot->second;
  ClassId id = slot->second;
  for (PeerId peer : peers) with_peer_[peer].push_back(id);
  if (!names.empty()) with_names_.push_back(id);
  classes_.push_back({std::move(peers), names});
  names_ids_.push_back(names_id);
  return id;
}

}  // namespace sallyport::policy
