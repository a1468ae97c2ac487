// The signature algorithms of RFC 7518 and RFC 8037 that are accepted; for this module.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::jwt {

// What a key is; an algorithm names exactly one of these.
enum class KeyType : uint8_t { kRsa, kP256, kP384, kP521, kEd25519 };

struct Algorithm {
  std::string_view name;
  KeyType key;
  bool pss;                   // RSA with PSS instead of PKCS#1 v1.5
  const EVP_MD* (*digest)();  // null for EdDSA
};

// Null for everything else: `none`, HMAC, unknown names, other spellings.
const Algorithm* find_algorithm(std::string_view name);

// `key` must be of algorithm.key. ECDSA signatures are r and s, each of the curve's size.
bool verify_signature(const Algorithm& algorithm, EVP_PKEY* key, std::string_view signed_text,
                      std::string_view signature);

}  // namespace sallyport::jwt
