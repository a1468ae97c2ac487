#include "authz/glob_map.h"

namespace sallyport::authz {

void GlobMap::add(const Glob& glob, uint32_t id) {
  const PlainText text{glob.text};
  switch (glob.kind) {
    case GlobKind::kPresent:
      if (present_.empty() || present_.back() != id) present_.push_back(id);
      break;
    case GlobKind::kExact:
      exact_.add(hash_all(text), glob.text, id);
      break;
    case GlobKind::kPrefix:
      prefix_.add(hash_all(text), glob.text, id);
      break;
    case GlobKind::kSuffix: {
      uint64_t hash = kBasis;
      for (size_t i = glob.text.size(); i > 0; --i) hash = step(hash, glob.text[i - 1]);
      suffix_.add(hash, glob.text, id);
      break;
    }
  }
}

void GlobMap::Table::grow() {
  slots_.assign(std::max<size_t>(4, slots_.size() * 2), 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = place(entries_[i].hash);
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

void GlobMap::Table::add(uint64_t hash, std::string_view key, uint32_t id) {
  if ((entries_.size() + 1) * 2 > slots_.size()) grow();
  size_t at = place(hash);
  for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
    Entry& entry = entries_[slots_[at] - 1];
    if (entry.hash != hash || entry.key != key) continue;
    if (entry.ids.back() != id) entry.ids.push_back(id);
    return;
  }
  entries_.push_back({hash, std::string(key), {id}});
  slots_[at] = static_cast<uint32_t>(entries_.size());
  const auto length = static_cast<uint32_t>(key.size());
  const auto where = std::lower_bound(lengths_.begin(), lengths_.end(), length);
  if (where == lengths_.end() || *where != length) lengths_.insert(where, length);
}

}  // namespace sallyport::authz
