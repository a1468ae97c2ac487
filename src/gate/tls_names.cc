#include "gate/tls_names.h"

#include <algorithm>

namespace sallyport::gate {

uint32_t TlsNames::id_of(const std::string& name) {
  const auto [at, fresh] = ids_.try_emplace(name, next_);
  if (fresh) names_.emplace(next_++, name);
  return at->second;
}

void TlsNames::restore(uint32_t id, std::string name) {
  ids_[name] = id;
  names_[id] = std::move(name);
  next_ = std::max(next_, id + 1);
}

const std::string& TlsNames::name_of(uint32_t id) const {
  static const std::string none;
  const auto at = names_.find(id);
  return at == names_.end() ? none : at->second;
}

void TlsNames::keep(const std::unordered_set<uint32_t>& used) {
  for (auto at = names_.begin(); at != names_.end();) {
    if (used.contains(at->first)) {
      ++at;
      continue;
    }
    ids_.erase(at->second);
    at = names_.erase(at);
  }
}

}  // namespace sallyport::gate
