// Numbers for the names of PeerAuthentications: the kernel's tables and events carry the number.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>

namespace sallyport::gate {

class TlsNames {
 public:
  static constexpr size_t kMostBytes = 319;  // of a name
  static constexpr size_t kMost = 4096;      // names at once; the map `tls_names` has that room

  // The number of a name, from 1; a new one where it has none.
  uint32_t id_of(const std::string& name);
  void restore(uint32_t id, std::string name);
  // "" where the number has no name (any more).
  [[nodiscard]] const std::string& name_of(uint32_t id) const;
  [[nodiscard]] const std::map<uint32_t, std::string>& all() const { return names_; }
  // Forgets every name but these. Numbers are not given again.
  void keep(const std::unordered_set<uint32_t>& used);

 private:
  std::map<uint32_t, std::string> names_;
  std::map<std::string, uint32_t, std::less<>> ids_;
  uint32_t next_ = 1;
};

}  // namespace sallyport::gate
