#include "codec/utf8.h"

namespace sallyport::codec {

uint32_t next_code_point(std::string_view text, size_t& pos) {
  auto byte = [&](size_t i) -> uint8_t { return static_cast<uint8_t>(text[i]); };
  uint8_t first = byte(pos);
  if (first < 0x80) {
    ++pos;
    return first;
  }
  size_t length = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || pos + length > text.size()) {
    ++pos;
    return kInvalidCodePoint;
  }
  uint32_t code = first & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(pos + i) & 0xc0) != 0x80) {
      ++pos;
      return kInvalidCodePoint;
    }
    code = code << 6 | (byte(pos + i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    ++pos;
    return kInvalidCodePoint;
  }
  pos += length;
  return code;
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

bool is_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();)
    if (next_code_point(text, pos) == kInvalidCodePoint) return false;
  return true;
}

}  // namespace sallyport::codec
