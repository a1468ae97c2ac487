// JSON Web Tokens: parsing of key sets (RFC 7517) and verification of signed tokens (RFC 7515,
// 7519) with RS256/384/512, PS256/384/512, ES256/384/512 and EdDSA (Ed25519). Never `none`, never
// HMAC, and never a key of another type than the algorithm names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "codec/value.h"

namespace sallyport::jwt {

class KeySet {
 public:
  // kInvalid where the text is no JWKS or holds no usable key; unknown key types and uses are
  // passed over. `has_private_keys` tells a careless author.
  static Result<std::shared_ptr<const KeySet>> parse(std::string_view json);
  virtual ~KeySet() = default;
  [[nodiscard]] virtual size_t size() const = 0;
  [[nodiscard]] virtual bool has_private_keys() const = 0;
};

enum class Failure : uint8_t {
  kMalformed,  // not three base64url parts of JSON, too large, too deep, duplicate keys
  kAlgorithm,  // none, unknown, or not the key's
  kNoKey,      // no key of that kid and type
  kSignature,
  kExpired,
  kNotYet,
  kIssuer,
  kAudience,
};
std::string_view to_string(Failure failure);  // Istio's words: "Jwt is expired", ...

struct Token {
  std::shared_ptr<const codec::Value> claims;
  std::string issuer, subject;
};

// Reads issuer without verifying, to find the rule that the token is for. Empty: none or malformed.
std::string unverified_issuer(std::string_view token);

struct Expectation {
  std::string_view issuer;                              // empty: any
  const std::vector<std::string>* audiences = nullptr;  // null or empty: not checked; else any of
  std::chrono::seconds leeway{60};
};
std::expected<Token, Failure> verify(std::string_view token, const KeySet& keys,
                                     const Expectation& expectation, WallTime now);

}  // namespace sallyport::jwt
