// Peer classes: addresses that exactly the same peers match, and whose named ports are the same.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "policy/compiled.h"
#include "policy/lower.h"

namespace sallyport::policy {

// FNV-1a over the words; for tables whose keys are lists of small numbers.
struct WordsHash {
  size_t operator()(const std::vector<uint32_t>& words) const noexcept;
};

class ClassTable {
 public:
  struct Class {
    std::vector<PeerId> peers;  // sorted, unique
    NamedPorts names;           // that egress rules use
  };

  explicit ClassTable(uint32_t peer_count) : with_peer_(peer_count) { intern({}, {}); }

  ClassId intern(std::vector<PeerId> peers, const NamedPorts& names);
  [[nodiscard]] ClassId size() const { return static_cast<ClassId>(classes_.size()); }
  [[nodiscard]] const Class& at(ClassId id) const { return classes_[id]; }
  [[nodiscard]] const std::vector<ClassId>& with_peer(PeerId peer) const {
    return with_peer_[peer];
  }
  [[nodiscard]] const std::vector<ClassId>& with_names() const { return with_names_; }
  // Equal where the named ports of two classes are equal.
  [[nodiscard]] uint32_t names_id(ClassId id) const { return names_ids_[id]; }

 private:
  std::vector<Class> classes_;
  std::vector<uint32_t> names_ids_;
  std::vector<std::vector<ClassId>> with_peer_;
  std::vector<ClassId> with_names_;
  std::unordered_map<std::vector<uint32_t>, ClassId, WordsHash> by_key_;
  std::map<std::vector<uint32_t>, uint32_t> by_names_;
};

// Named ports as words of a key.
void append_key(std::vector<uint32_t>& key, const NamedPorts& names);

}  // namespace sallyport::policy
