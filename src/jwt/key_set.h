// The keys behind a KeySet; for this module.
#pragma once

#include <openssl/evp.h>

#include <string>
#include <vector>

#include "jwt/jwt.h"
#include "jwt/signature.h"

namespace sallyport::jwt {

struct Key {
  std::string id;                   // `kid`; empty: none
  const Algorithm* only = nullptr;  // `alg`; null: every algorithm of the type
  KeyType type = KeyType::kRsa;
  bssl::UniquePtr<EVP_PKEY> key;
};

class ParsedKeySet : public KeySet {
 public:
  [[nodiscard]] size_t size() const override { return keys.size(); }
  [[nodiscard]] bool has_private_keys() const override { return private_keys; }

  std::vector<Key> keys;
  bool private_keys = false;
};

}  // namespace sallyport::jwt
