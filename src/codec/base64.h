// RFC 4648 base64 with the standard alphabet.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sallyport::codec {

// Strict: padding is required, line breaks (CR, LF) are skipped as Go's decoder does.
std::optional<std::string> decode_base64(std::string_view text);

std::string encode_base64(std::string_view data);

}  // namespace sallyport::codec
