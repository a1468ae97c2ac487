#include "k8s/formats.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <utility>

#include "base/strings.h"

namespace sallyport::k8s {
namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower_alnum(char c) {
  return is_lower(c) || is_digit(c);
}
bool is_alnum(char c) {
  return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool is_label_form(std::string_view text) {
  return !text.empty() && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_qualified_form(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

FormatError too_long(std::string_view text, size_t most) {
  if (text.size() <= most) return std::nullopt;
  return "is " + std::to_string(text.size()) + " characters long, expected at most " +
         std::to_string(most);
}

}  // namespace

FormatError check_dns_label(std::string_view text) {
  if (!is_label_form(text))
    return "expected lower-case letters, digits and \"-\", with a letter or digit at both ends";
  return too_long(text, 63);
}

FormatError check_dns1035_label(std::string_view text) {
  if (!is_label_form(text) || !is_lower(text.front()))
    return "expected lower-case letters, digits and \"-\", with a letter first and a letter or "
           "digit last";
  return too_long(text, 63);
}

FormatError check_dns_subdomain(std::string_view text) {
  for (const std::string& part : split(text, '.'))
    if (!is_label_form(part))
      return "expected lower-case letters, digits, \"-\" and \".\", with a letter or digit at both "
             "ends of each part";
  return too_long(text, 253);
}

FormatError check_label_key(std::string_view text) {
  size_t slash = text.find('/');
  std::string_view name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  if (slash != std::string_view::npos && check_dns_subdomain(text.substr(0, slash)))
    return "expected [PREFIX/]NAME with a DNS name as prefix";
  if (!is_qualified_form(name))
    return "expected letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends, "
           "and perhaps a DNS name and \"/\" before";
  return too_long(name, 63);
}

FormatError check_label_value(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (!is_qualified_form(text))
    return "expected letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends";
  return too_long(text, 63);
}

FormatError check_port_name(std::string_view text) {
  bool chars =
      std::all_of(text.begin(), text.end(), [](char c) { return is_lower_alnum(c) || c == '-'; });
  bool letter = std::any_of(text.begin(), text.end(), is_lower);
  if (text.empty() || !chars || !letter || text.front() == '-' || text.back() == '-' ||
      text.find("--") != std::string_view::npos)
    return "expected a port name: lower-case letters, digits and single \"-\" between them, with "
           "at least one letter";
  return too_long(text, 15);
}

FormatError check_config_key(std::string_view text) {
  bool chars = std::all_of(text.begin(), text.end(),
                           [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
  if (text.empty() || !chars) return "expected letters, digits, \"-\", \"_\" and \".\"";
  if (text == "." || text.starts_with(".."))
    return "expected a file name that is not \".\" or \"..\"";
  return too_long(text, 253);
}

FormatError check_env_name(std::string_view text) {
  bool chars = std::all_of(text.begin(), text.end(),
                           [](char c) { return c >= 0x20 && c < 0x7f && c != '='; });
  if (text.empty() || !chars) return "expected printable ASCII characters other than \"=\"";
  return std::nullopt;
}

FormatError check_relative_path(std::string_view text) {
  if (text.starts_with('/')) return "expected a relative path";
  for (const std::string& part : split(text, '/'))
    if (part == "..") return "expected a path without \"..\"";
  return std::nullopt;
}

FormatError check_absolute_path(std::string_view text) {
  if (!text.starts_with('/')) return "expected an absolute path";
  return std::nullopt;
}

FormatError check_header_name(std::string_view text) {
  constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  bool chars = std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alnum(c) || kOther.find(c) != std::string_view::npos;
  });
  if (text.empty() || !chars) return "expected a header name: letters, digits and \"-\"";
  return std::nullopt;
}

FormatError check_rfc3339(std::string_view text) {
  FormatError error = "expected a time such as 2026-01-02T03:04:05Z";
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < kForm.size() + 1) return error;
  for (size_t i = 0; i < kForm.size(); ++i)
    if (kForm[i] == 'd' ? !is_digit(text[i]) : text[i] != kForm[i]) return error;
  auto number = [&](size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
  if (number(5) < 1 || number(5) > 12 || number(8) < 1 || number(8) > 31 || number(11) > 23 ||
      number(14) > 59 || number(17) > 59)
    return error;
  std::string_view rest = text.substr(kForm.size());
  if (rest[0] == '.') {
    size_t digits = 1;
    while (digits < rest.size() && is_digit(rest[digits])) ++digits;
    if (digits == 1) return error;
    rest.remove_prefix(digits);
  }
  if (rest == "Z") return std::nullopt;
  bool offset = rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && is_digit(rest[1]) &&
                is_digit(rest[2]) && rest[3] == ':' && is_digit(rest[4]) && is_digit(rest[5]);
  return offset ? std::nullopt : error;
}

std::string normal_rfc3339(std::string_view text) {
  if (check_rfc3339(text)) return "";
  auto number = [&](size_t at, size_t digits) {
    return parse_number<int>(text.substr(at, digits)).value_or(0);
  };
  using namespace std::chrono;  // NOLINT: the calendar's words
  // Day 31 of a shorter month is counted on into the next one.
  sys_seconds time = sys_days{year{number(0, 4)} / month(static_cast<unsigned>(number(5, 2))) / 1} +
                     days{number(8, 2) - 1} + hours{number(11, 2)} + minutes{number(14, 2)} +
                     seconds{number(17, 2)};
  if (!text.ends_with('Z')) {
    size_t at = text.size() - 6;
    minutes offset = hours{number(at + 1, 2)} + minutes{number(at + 4, 2)};
    time += text[at] == '+' ? -offset : offset;
  }
  auto day = floor<days>(time);
  year_month_day date{day};
  hh_mm_ss clock{time - day};
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return out;
}

FormatError check_duration(std::string_view text) {
  constexpr std::array<std::string_view, 6> kUnits{"ms", "us", "ns", "h", "m", "s"};
  FormatError error = "expected a time span such as 5s or 1m30s, longer than 0";
  bool any = false;
  bool more_than_zero = false;
  while (!text.empty()) {
    size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    std::string_view number = text.substr(0, digits);
    bool sound = std::any_of(number.begin(), number.end(), is_digit) &&
                 std::count(number.begin(), number.end(), '.') <= 1 && number.size() <= 18;
    if (!sound) return error;
    text.remove_prefix(digits);
    auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                             [&](std::string_view u) { return text.starts_with(u); });
    if (unit == kUnits.end()) return error;
    text.remove_prefix(unit->size());
    any = true;
    more_than_zero = more_than_zero || number.find_first_of("123456789") != std::string_view::npos;
  }
  return any && more_than_zero ? std::nullopt : error;
}

FormatError check_domain_pattern(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (rest.find('.') == std::string_view::npos || check_dns_subdomain(rest))
    return "expected a domain name such as example.com or *.example.com";
  return std::nullopt;
}

std::string nearest_word(std::string_view text, const std::vector<std::string_view>& words) {
  if (text.size() > 64) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(1, text.size() / 3) + 1;
  for (std::string_view word : words) {
    // Levenshtein distance, letter case not counted.
    std::vector<size_t> row(word.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (size_t i = 0; i < text.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i + 1);
      for (size_t j = 0; j < word.size(); ++j) {
        size_t substitute = diagonal + ((text[i] | 0x20) != (word[j] | 0x20));
        diagonal = row[j + 1];
        row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substitute});
      }
    }
    // "topology" for "topologyKey" is a slip too.
    size_t distance = text.size() >= 4 && word.starts_with(text) ? 1 : row.back();
    if (distance < best_distance) {
      best_distance = distance;
      best = word;
    }
  }
  return best;
}

}  // namespace sallyport::k8s
