// Small text helpers.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);

// The whole of `text` as a decimal number, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  auto [ptr, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc() || ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// 64-bit FNV-1a: stable across runs and machines, for content ids; not for hash tables of
// untrusted keys.
uint64_t fnv1a(std::string_view data, uint64_t seed = 0xcbf29ce484222325ULL);

std::string hex(uint64_t value);  // 16 digits

}  // namespace sallyport
