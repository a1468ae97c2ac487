// The fields of a head in the order they came, names in lower case, duplicates kept. All text lies
// in one arena that clear() keeps: a warm list allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::http {

struct Field {
  std::string_view name, value;
};

class HeaderList {
 public:
  void clear() {
    text_.clear();
    fields_.clear();
  }
  [[nodiscard]] size_t size() const { return fields_.size(); }
  [[nodiscard]] bool empty() const { return fields_.empty(); }
  // Views into the arena: valid until the list is changed.
  [[nodiscard]] Field operator[](size_t index) const;
  // Names and values together, removed fields included.
  [[nodiscard]] size_t bytes() const { return text_.size(); }

  // `name` in lower case, valid as a field name; a value without control bytes. Neither is checked
  // here (syntax.h does): input is checked by the codecs, and what the proxy adds it makes itself.
  // Neither view may point into this list.
  void add(std::string_view name, std::string_view value);
  // A copy of a field of another list, or of this one.
  void add(Field field) { add(field.name, field.value); }
  void set(std::string_view name, std::string_view value);  // one field instead of all of the name
  size_t remove(std::string_view name);                     // how many there were
  size_t remove_prefix(std::string_view prefix);
  // Keeps the fields for which `keep(Field)` is true.
  template <class Keep>
  size_t remove_unless(Keep keep) {
    size_t out = 0;
    for (size_t i = 0; i < fields_.size(); ++i)
      if (keep((*this)[i])) fields_[out++] = fields_[i];
    const size_t removed = fields_.size() - out;
    fields_.resize(out);
    return removed;
  }

  [[nodiscard]] bool has(std::string_view name) const { return index_of(name) < fields_.size(); }
  // The first value of a name; `found` tells an empty value from none.
  [[nodiscard]] std::string_view get(std::string_view name, bool* found = nullptr) const;
  [[nodiscard]] size_t count(std::string_view name) const;
  // The index of the first field of a name at or after `from`; size() where there is none.
  [[nodiscard]] size_t index_of(std::string_view name, size_t from = 0) const;

  // For parsers: room for `count` bytes at the end of the arena, and a field over bytes written
  // there.
  char* reserve_text(size_t count);
  void add_reserved(size_t name_bytes, size_t value_bytes);

 private:
  struct Slot {
    uint32_t offset = 0;  // of the name; the value follows it
    uint32_t name = 0, value = 0;
  };
  std::string text_;
  std::vector<Slot> fields_;
};

}  // namespace sallyport::http
