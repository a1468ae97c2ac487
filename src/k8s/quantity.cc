#include "k8s/quantity.h"

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "base/strings.h"

namespace sallyport::k8s {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
using Wide = unsigned __int128;

struct Suffix {
  int binary = 0;   // power of 2
  int decimal = 0;  // power of 10
};

std::optional<Suffix> parse_suffix(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Suffix>, 16> kSuffixes{{
      {"", {0, 0}},
      {"n", {0, -9}},
      {"u", {0, -6}},
      {"m", {0, -3}},
      {"k", {0, 3}},
      {"M", {0, 6}},
      {"G", {0, 9}},
      {"T", {0, 12}},
      {"P", {0, 15}},
      {"E", {0, 18}},
      {"Ki", {10, 0}},
      {"Mi", {20, 0}},
      {"Gi", {30, 0}},
      {"Ti", {40, 0}},
      {"Pi", {50, 0}},
      {"Ei", {60, 0}},
  }};
  for (const auto& [name, suffix] : kSuffixes)
    if (name == text) return suffix;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  std::string_view digits = text.substr(1);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  auto power = parse_number<int>(digits);
  if (!power || *power < -100 || *power > 100) return std::nullopt;
  return Suffix{0, *power};
}

// number * 10^scale, rounded up, saturated.
int64_t scale(Wide number, int power, bool negative) {
  constexpr Wide kCap = Wide{1} << 100;
  for (; power > 0 && number < kCap; --power) number *= 10;
  bool inexact = false;
  for (; power < 0; ++power) {
    inexact = inexact || number % 10 != 0;
    number /= 10;
  }
  if (inexact && !negative) ++number;
  int64_t result = number > static_cast<Wide>(kMost) ? kMost : static_cast<int64_t>(number);
  return negative ? -result : result;
}

std::optional<int64_t> parse(std::string_view text, int extra_power) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  constexpr Wide kCap = Wide{1} << 60;
  Wide number = 0;
  int power = 0;
  size_t digits = 0;
  bool fraction = false;
  size_t pos = 0;
  for (; pos < text.size(); ++pos) {
    char c = text[pos];
    if (c == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    ++digits;
    // Digits beyond what 64 bits hold only scale the number.
    if (number < kCap) {
      number = number * 10 + static_cast<unsigned>(c - '0');
      if (fraction) --power;
    } else if (!fraction) {
      ++power;
    }
  }
  if (digits == 0) return std::nullopt;
  auto suffix = parse_suffix(text.substr(pos));
  if (!suffix) return std::nullopt;
  number <<= suffix->binary;
  return scale(number, power + suffix->decimal + extra_power, negative);
}

}  // namespace

std::optional<int64_t> parse_quantity_milli(std::string_view text) {
  return parse(text, 3);
}

std::optional<int64_t> parse_quantity(std::string_view text) {
  return parse(text, 0);
}

}  // namespace sallyport::k8s
