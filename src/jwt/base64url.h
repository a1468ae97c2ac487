// RFC 4648 section 5 without padding, as RFC 7515 uses it; for this module.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sallyport::jwt {

// Strict: no padding, no white space, and unused bits of the last character are zero, so that no
// two texts mean the same bytes.
std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace sallyport::jwt
