// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::codec {

inline constexpr uint32_t kInvalidCodePoint = 0xffffffff;

// The code point that starts at `pos`, which moves past it. At an invalid byte: kInvalidCodePoint,
// and `pos` moves by one byte. Precondition: pos < text.size().
uint32_t next_code_point(std::string_view text, size_t& pos);

void append_utf8(std::string& out, uint32_t code_point);

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace sallyport::codec
