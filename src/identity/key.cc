#include "identity/key.h"

#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/mem.h>
#include <openssl/nid.h>

#include "identity/certificate.h"

namespace sallyport::identity {

Result<bssl::UniquePtr<EVP_PKEY>> generate_key() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (!ec || !key || !EC_KEY_generate_key(ec.get()) || !EVP_PKEY_set1_EC_KEY(key.get(), ec.get()))
    return fail(Code::kInternal, "cannot make a key: " + library_error());
  return key;
}

Result<std::string> key_der(const EVP_PKEY* key) {
  bssl::ScopedCBB builder;
  uint8_t* bytes = nullptr;
  size_t size = 0;
  if (!CBB_init(builder.get(), 256) || !EVP_marshal_private_key(builder.get(), key) ||
      !CBB_finish(builder.get(), &bytes, &size))
    return fail(Code::kInternal, "cannot encode a key: " + library_error());
  bssl::UniquePtr<uint8_t> owned(bytes);  // OPENSSL_free clears it
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

Result<bssl::UniquePtr<EVP_PKEY>> parse_key(std::string_view der) {
  CBS bytes;
  CBS_init(&bytes, reinterpret_cast<const uint8_t*>(der.data()), der.size());
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_private_key(&bytes));
  if (!key || CBS_len(&bytes) != 0)
    return fail(Code::kInvalid, "not a private key in PKCS#8: " + library_error());
  return key;
}

}  // namespace sallyport::identity
