#include "codec/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "codec/base64.h"
#include "codec/utf8.h"

namespace sallyport::codec {
namespace {

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";
constexpr double kInf = std::numeric_limits<double>::infinity();

constexpr std::array<std::string_view, 11> kTrue{"y",    "Y",    "yes", "Yes", "YES", "true",
                                                 "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse{"n",     "N",     "no",  "No",  "NO", "false",
                                                  "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 3> kNan{".nan", ".NaN", ".NAN"};
constexpr std::array<std::string_view, 3> kInfinity{".inf", ".Inf", ".INF"};

template <size_t N>
bool one_of(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// [-+]? (.digits | digits (.digits?)?) ([eE] [-+]? digits)?
bool is_float_syntax(std::string_view text) {
  size_t pos = 0;
  auto digits = [&] {
    size_t start = pos;
    while (pos < text.size() && is_digit(text[pos])) ++pos;
    return pos - start;
  };
  if (pos < text.size() && (text[pos] == '-' || text[pos] == '+')) ++pos;
  size_t whole = digits();
  if (pos < text.size() && text[pos] == '.') {
    ++pos;
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (pos < text.size() && (text[pos] == 'e' || text[pos] == 'E')) {
    ++pos;
    if (pos < text.size() && (text[pos] == '-' || text[pos] == '+')) ++pos;
    if (digits() == 0) return false;
  }
  return pos == text.size();
}

// Values that a double cannot hold are not numbers, as in Go.
std::optional<double> parse_double(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  double value = 0;
  auto [ptr, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ptr != text.data() + text.size()) return std::nullopt;
  if (err == std::errc::result_out_of_range) {
    // from_chars does not say whether it was too large or too small; strtod-like zero is right for
    // the latter.
    return text.find("e-") != std::string_view::npos || text.find("E-") != std::string_view::npos
               ? std::optional(0.0)
               : std::nullopt;
  }
  return err == std::errc() ? std::optional(value) : std::nullopt;
}

// A whole number in Go's base-0 notation: sign, then 0x, 0b, 0o, a leading 0 (octal) or decimal.
std::optional<Value> parse_integer(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  int base = 10;
  if (rest.size() > 1 && rest[0] == '0') {
    char kind = rest[1];
    base = kind == 'x' || kind == 'X' ? 16 : kind == 'b' || kind == 'B' ? 2 : 8;
    rest.remove_prefix(is_digit(kind) ? 1 : 2);
    if (base == 8 && !is_digit(kind) && kind != 'o' && kind != 'O') return std::nullopt;
  }
  uint64_t magnitude = 0;
  auto [ptr, err] = std::from_chars(rest.data(), rest.data() + rest.size(), magnitude, base);
  if (rest.empty() || ptr != rest.data() + rest.size()) return std::nullopt;
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (err == std::errc() && magnitude <= kMost)
    return Value::integer(negative ? -static_cast<int64_t>(magnitude)
                                   : static_cast<int64_t>(magnitude));
  if (err == std::errc() && negative && magnitude == kMost + 1)
    return Value::integer(std::numeric_limits<int64_t>::min());
  // Larger than 64 bits: a number, though not one that any field of Kubernetes takes.
  double approximate = err == std::errc() ? static_cast<double>(magnitude) : 0x1p64;
  return Value::floating(negative ? -approximate : approximate);
}

// YYYY-M-D, perhaps with a time: a timestamp, which stays text.
bool is_timestamp_like(std::string_view text) {
  return text.size() >= 8 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2]) &&
         is_digit(text[3]) && text[4] == '-';
}

}  // namespace

Value resolve_plain(std::string_view text) {
  if (one_of(kNull, text)) return {};
  if (one_of(kTrue, text)) return Value::boolean(true);
  if (one_of(kFalse, text)) return Value::boolean(false);
  char first = text[0];
  if (first == '.' || first == '+' || first == '-') {
    if (one_of(kNan, text)) return Value::floating(std::numeric_limits<double>::quiet_NaN());
    std::string_view magnitude = first == '.' ? text : text.substr(1);
    if (one_of(kInfinity, magnitude)) return Value::floating(first == '-' ? -kInf : kInf);
  }
  if (first == '.' && is_float_syntax(text)) {
    if (auto number = parse_double(text)) return Value::floating(*number);
  }
  if ((is_digit(first) || first == '+' || first == '-') && !is_timestamp_like(text)) {
    std::string plain(text);
    std::erase(plain, '_');
    if (auto number = parse_integer(plain)) return *number;
    if (is_float_syntax(plain))
      if (auto number = parse_double(plain)) return Value::floating(*number);
  }
  return Value::string(text);
}

std::expected<Value, std::string> resolve_tagged(std::string_view tag, std::string_view text) {
  if (!tag.starts_with(kTagPrefix)) return Value::string(text);
  std::string_view name = tag.substr(kTagPrefix.size());
  if (name == "str") return Value::string(text);
  if (name == "binary") {
    auto data = decode_base64(text);
    if (!data) return std::unexpected("!!binary data that is not valid base64");
    if (!is_utf8(*data)) return std::unexpected("!!binary data that is not UTF-8 text");
    return Value::string(*data);
  }
  Value value = resolve_plain(text);
  using Type = Value::Type;
  bool fits = (name == "int" && value.type() == Type::kInt) ||
              (name == "bool" && value.type() == Type::kBool) ||
              (name == "null" && value.type() == Type::kNull) ||
              (name == "float" && (value.type() == Type::kFloat || value.type() == Type::kInt)) ||
              (name == "timestamp" && is_timestamp_like(text));
  if (fits) return name == "float" ? Value::floating(value.as_double()) : value;
  if (name != "int" && name != "bool" && name != "null" && name != "float" && name != "timestamp")
    return Value::string(text);
  return std::unexpected("!!" + std::string(name) + " on a value that is a " +
                         std::string(value.type_name()));
}

bool is_safe_plain(std::string_view text) {
  if (text.empty() || resolve_plain(text).type() != Value::Type::kString) return false;
  if (is_timestamp_like(text) || text == "<<" || text == "=") return false;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@` \t";
  // Digits and signs start numbers in some YAML reader or other (base 60, for one).
  if (kIndicators.find(text[0]) != std::string_view::npos || is_digit(text[0]) || text[0] == '+' ||
      text[0] == '.')
    return false;
  if (text.back() == ' ' || text.back() == ':') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c > 0x7e) return false;
    if (c == ':' && text[i + 1] == ' ') return false;
    if (c == '#' && text[i - 1] == ' ') return false;
    if (c == ',' || c == '[' || c == ']' || c == '{' || c == '}') return false;
  }
  return true;
}

}  // namespace sallyport::codec
