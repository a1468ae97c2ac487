#include "codec/base64.h"

#include <cstdint>

namespace sallyport::codec {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  int digits = 0;
  int padding = 0;
  for (char c : text) {
    if (c == '\r' || c == '\n') continue;
    if (c == '=') {
      ++padding;
      if (digits < 2 || digits + padding > 4) return std::nullopt;
      continue;
    }
    int value = digit(c);
    if (value < 0 || padding != 0) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(value);
    if (++digits < 4) continue;
    for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(group >> shift & 0xff);
    group = 0;
    digits = 0;
  }
  if (digits == 0) return padding == 0 ? std::optional(out) : std::nullopt;
  if (digits == 1 || digits + padding != 4) return std::nullopt;
  group <<= 6 * (4 - digits);
  out += static_cast<char>(group >> 16 & 0xff);
  if (digits == 3) out += static_cast<char>(group >> 8 & 0xff);
  return out;
}

std::string encode_base64(std::string_view data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t i = 0; i < data.size(); i += 3) {
    size_t have = data.size() - i < 3 ? data.size() - i : 3;
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < have ? static_cast<uint8_t>(data[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= have ? kAlphabet[group >> (18 - 6 * k) & 0x3f] : '=';
  }
  return out;
}

}  // namespace sallyport::codec
