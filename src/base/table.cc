#include "base/table.h"

#include <algorithm>

namespace sallyport {
namespace {

constexpr std::string_view kGap = "   ";

// Characters of UTF-8 text: bytes that do not continue one.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string shown(std::string_view cell) {
  std::string result(cell);
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return result;
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  row.resize(header_.size());
  for (std::string& cell : row) cell = shown(cell);
  rows_.push_back(std::move(row));
}

std::string Table::to_string(bool with_header) const {
  std::vector<size_t> widths(header_.size());
  auto measure = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  };
  if (with_header) measure(header_);
  for (const auto& row : rows_) measure(row);

  std::string text;
  auto write = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]), ' ').append(kGap);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  if (with_header) write(header_);
  for (const auto& row : rows_) write(row);
  return text;
}

std::string short_duration(int64_t seconds) {
  seconds = std::max<int64_t>(seconds, 0);
  const int64_t minutes = seconds / 60;
  const int64_t hours = minutes / 60;
  const int64_t days = hours / 24;
  auto both = [](int64_t big, const char* unit, int64_t small, const char* rest) {
    return std::to_string(big) + unit + (small == 0 ? "" : std::to_string(small) + rest);
  };
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (minutes < 10) return both(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return std::to_string(minutes) + "m";
  if (hours < 8) return both(hours, "h", minutes % 60, "m");
  if (hours < 48) return std::to_string(hours) + "h";
  if (days < 8) return both(days, "d", hours % 24, "h");
  return std::to_string(days) + "d";
}

}  // namespace sallyport
