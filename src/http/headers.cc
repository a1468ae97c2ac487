#include "http/headers.h"

#include <cstring>

namespace sallyport::http {

Field HeaderList::operator[](size_t index) const {
  const Slot& slot = fields_[index];
  const std::string_view text = text_;
  return {text.substr(slot.offset, slot.name), text.substr(slot.offset + slot.name, slot.value)};
}

char* HeaderList::reserve_text(size_t count) {
  const size_t at = text_.size();
  text_.resize(at + count);
  return text_.data() + at;
}

void HeaderList::add_reserved(size_t name_bytes, size_t value_bytes) {
  fields_.push_back({static_cast<uint32_t>(text_.size() - name_bytes - value_bytes),
                     static_cast<uint32_t>(name_bytes), static_cast<uint32_t>(value_bytes)});
}

void HeaderList::add(std::string_view name, std::string_view value) {
  text_.append(name).append(value);
  add_reserved(name.size(), value.size());
}

void HeaderList::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

size_t HeaderList::remove(std::string_view name) {
  return remove_unless([&](Field field) { return field.name != name; });
}

size_t HeaderList::remove_prefix(std::string_view prefix) {
  return remove_unless([&](Field field) { return !field.name.starts_with(prefix); });
}

size_t HeaderList::index_of(std::string_view name, size_t from) const {
  for (size_t i = from; i < fields_.size(); ++i) {
    const Slot& slot = fields_[i];
    if (slot.name == name.size() &&
        std::memcmp(text_.data() + slot.offset, name.data(), name.size()) == 0)
      return i;
  }
  return fields_.size();
}

std::string_view HeaderList::get(std::string_view name, bool* found) const {
  const size_t index = index_of(name);
  if (found != nullptr) *found = index < fields_.size();
  return index < fields_.size() ? (*this)[index].value : std::string_view();
}

size_t HeaderList::count(std::string_view name) const {
  size_t n = 0;
  for (size_t i = index_of(name); i < fields_.size(); i = index_of(name, i + 1)) ++n;
  return n;
}

}  // namespace sallyport::http
