// Aligned text tables as kubectl prints them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

// Columns are as wide as their widest cell (in characters, not bytes) and three spaces apart; the
// last one is not padded. Control characters in cells are shown as '?', so that names or messages
// from elsewhere cannot move a terminal's cursor.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  // A row may be shorter than the header; further cells are cut off.
  void add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string to_string(bool with_header = true) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// "45s", "3m12s", "5h", "12d": ages as kubectl shows them.
std::string short_duration(int64_t seconds);

}  // namespace sallyport
