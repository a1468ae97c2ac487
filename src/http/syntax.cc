#include "http/syntax.h"

#include <algorithm>

namespace sallyport::http {
namespace {

constexpr std::array<char, 256> make_token_table() {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<uint8_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<uint8_t>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<uint8_t>(c)] = static_cast<char>(c + 32);
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = c;
  return table;
}

bool is_host_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-._~!$&'()*+,;=").contains(c);
}

bool is_hex_or_dot(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
         c == '.';
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  return value <= 65535;
}

}  // namespace

const std::array<char, 256> kTokenLower = make_token_table();

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return token_lower(c) != 0; });
}

bool is_lower_token(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c != 0 && token_lower(c) == c; });
}

bool is_method(std::string_view text) {
  return is_token(text) && std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_text(std::string_view text) {
  // Without an early end, so that the compiler can look at many bytes at once.
  unsigned bad = 0;
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    bad |= static_cast<unsigned>((u < 0x20) & (u != '\t')) | static_cast<unsigned>(u == 0x7f);
  }
  return bad == 0;
}

bool is_value(std::string_view text) {
  if (text.empty()) return true;
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  return !blank(text.front()) && !blank(text.back()) && is_text(text);
}

bool is_target(std::string_view text) {
  if (text.empty()) return false;
  unsigned bad = 0;
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    bad |= static_cast<unsigned>(u <= 0x20) | static_cast<unsigned>(u >= 0x7f) |
           static_cast<unsigned>(u == '#');
  }
  return bad == 0 && (text.front() == '/' || text == "*");
}

bool is_authority(std::string_view text) {
  if (text.empty() || text.size() > 300) return false;
  if (text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    if (!std::ranges::all_of(text.substr(1, close - 1), is_hex_or_dot)) return false;
    const std::string_view rest = text.substr(close + 1);
    return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
  }
  const size_t colon = text.find(':');
  const std::string_view host = text.substr(0, colon);
  if (host.empty() || !std::ranges::all_of(host, is_host_byte)) return false;
  return colon == std::string_view::npos || is_port(text.substr(colon + 1));
}

std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equal_fold(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() &&
         std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return name == "te";
    case 7:
      return name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "http2-settings";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

bool is_forbidden_trailer(std::string_view name) {
  return is_hop_by_hop(name) || name == "content-length" || name == "host" || name == "trailer" ||
         name == "authorization" || name == "cookie" || name == "expect" ||
         name == "content-encoding" || name == "content-type" || name == "set-cookie" ||
         name == "x-request-id" || name.starts_with("x-forwarded-") || name.starts_with("x-envoy-");
}

}  // namespace sallyport::http
