// The character rules of RFC 9110, byte by byte and without locale.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::http {

// The lower-case form of a token character (RFC 9110 section 5.6.2); 0 for any other byte.
extern const std::array<char, 256> kTokenLower;

inline char token_lower(char c) {
  return kTokenLower[static_cast<uint8_t>(c)];
}

bool is_token(std::string_view text);        // not empty
bool is_lower_token(std::string_view text);  // ... and without upper-case letters
// A method: a token without lower-case letters, so that no spelling escapes a rule.
bool is_method(std::string_view text);
// A field's value: no control bytes but tab, no space or tab at the ends. Bytes above 127 pass.
bool is_value(std::string_view text);
// The same without the rule on the ends.
bool is_text(std::string_view text);
// An origin-form target or "*": visible ASCII only, no fragment.
bool is_target(std::string_view text);
// host[:port] of a URI: no user part, no percent-encoding, IPv6 in brackets.
bool is_authority(std::string_view text);

std::string_view trim_ows(std::string_view text);
bool equal_fold(std::string_view a, std::string_view b);  // ASCII only

// Fields that are about one connection and never forwarded, as `name` in lower case.
bool is_hop_by_hop(std::string_view name);
// Fields that may not come as trailers: framing, routing, and what a decision was based on.
bool is_forbidden_trailer(std::string_view name);

}  // namespace sallyport::http
