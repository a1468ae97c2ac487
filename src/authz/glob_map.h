// Many globs (patterns.h) at once: which of them match a text, in time that depends on the text and
// on how many lengths the prefixes and suffixes have, not on how many globs there are. Each glob
// carries numbers in ascending order (rules). Lookups allocate nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "authz/patterns.h"

namespace sallyport::authz {

// Texts to look up: as it is, or in two pieces of which the letters count in lower case (the map's
// own keys are then given in lower case).
struct PlainText {
  std::string_view text;
  [[nodiscard]] size_t size() const { return text.size(); }
  char operator[](size_t i) const { return text[i]; }
};
struct FoldedText {
  std::string_view first, second;
  [[nodiscard]] size_t size() const { return first.size() + second.size(); }
  char operator[](size_t i) const {
    return lower(i < first.size() ? first[i] : second[i - first.size()]);
  }
};

class GlobMap {
 public:
  using Ids = std::vector<uint32_t>;

  // Ids are added in ascending order; one that the glob has already is passed over.
  void add(const Glob& glob, uint32_t id = 0);
  [[nodiscard]] bool empty() const {
    return present_.empty() && exact_.empty() && prefix_.empty() && suffix_.empty();
  }

  // visit(ids) for each glob that matches, until one answers true; whether one did.
  template <class Text, class Visit>
  bool find(const Text& text, Visit&& visit) const {
    if (text.size() == 0) return false;
    if (!present_.empty() && visit(present_)) return true;
    if (!exact_.empty() && exact_.has_length(text.size())) {
      const Ids* ids = exact_.find(hash_all(text), text, 0, text.size());
      if (ids != nullptr && visit(*ids)) return true;
    }
    uint64_t hash = kBasis;
    size_t done = 0;
    for (uint32_t length : prefix_.lengths()) {
      if (length > text.size()) break;
      for (; done < length; ++done) hash = step(hash, text[done]);
      const Ids* ids = prefix_.find(hash, text, 0, length);
      if (ids != nullptr && visit(*ids)) return true;
    }
    hash = kBasis;
    done = 0;
    for (uint32_t length : suffix_.lengths()) {
      if (length > text.size()) break;
      for (; done < length; ++done) hash = step(hash, text[text.size() - 1 - done]);
      const Ids* ids = suffix_.find(hash, text, text.size() - length, length);
      if (ids != nullptr && visit(*ids)) return true;
    }
    return false;
  }

  template <class Text>
  [[nodiscard]] bool matches(const Text& text) const {
    return find(text, [](const Ids&) { return true; });
  }

 private:
  static constexpr uint64_t kBasis = 0xcbf29ce484222325ULL;
  static uint64_t step(uint64_t hash, char c) {
    return (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  template <class Text>
  static uint64_t hash_all(const Text& text) {
    uint64_t hash = kBasis;
    for (size_t i = 0; i < text.size(); ++i) hash = step(hash, text[i]);
    return hash;
  }

  // Open addressing with linear probing; at most half full.
  class Table {
   public:
    void add(uint64_t hash, std::string_view key, uint32_t id);
    [[nodiscard]] bool empty() const { return entries_.empty(); }
    [[nodiscard]] const std::vector<uint32_t>& lengths() const { return lengths_; }  // ascending
    [[nodiscard]] bool has_length(size_t length) const {
      return std::binary_search(lengths_.begin(), lengths_.end(), length);
    }
    template <class Text>
    [[nodiscard]] const Ids* find(uint64_t hash, const Text& text, size_t from,
                                  size_t length) const {
      for (size_t at = place(hash);; at = (at + 1) & (slots_.size() - 1)) {
        if (slots_[at] == 0) return nullptr;
        const Entry& entry = entries_[slots_[at] - 1];
        if (entry.hash == hash && entry.key.size() == length && same(entry.key, text, from))
          return &entry.ids;
      }
    }

   private:
    struct Entry {
      uint64_t hash;
      std::string key;
      Ids ids;
    };
    [[nodiscard]] size_t place(uint64_t hash) const {
      return (hash ^ hash >> 32) & (slots_.size() - 1);
    }
    template <class Text>
    static bool same(const std::string& key, const Text& text, size_t from) {
      for (size_t i = 0; i < key.size(); ++i)
        if (key[i] != text[from + i]) return false;
      return true;
    }
    void grow();
    std::vector<uint32_t> slots_;  // index of an entry plus one; 0: free
    std::vector<Entry> entries_;
    std::vector<uint32_t> lengths_;
  };

  Ids present_;
  Table exact_, prefix_, suffix_;
};

}  // namespace sallyport::authz
