// ECDSA P-256 keys, for this module.
#pragma once

#include <openssl/evp.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::identity {

Result<bssl::UniquePtr<EVP_PKEY>> generate_key();

// PKCS#8 in DER, unencrypted.
Result<std::string> key_der(const EVP_PKEY* key);
Result<bssl::UniquePtr<EVP_PKEY>> parse_key(std::string_view der);

}  // namespace sallyport::identity
