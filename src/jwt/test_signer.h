// Tokens and key sets for tests, signed here. Not part of the product.
#pragma once

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/base64.h"

namespace sallyport::jwt::testing {

inline void must(bool holds) {
  if (!holds) std::abort();
}

inline std::string base64url(std::string_view bytes) {
  std::string text = codec::encode_base64(bytes);
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (text.ends_with('=')) text.pop_back();
  return text;
}

inline std::string number_bytes(const BIGNUM* number, size_t size = 0) {
  std::string bytes(size != 0 ? size : BN_num_bytes(number), '\0');
  must(BN_bn2bin_padded(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), number));
  return bytes;
}

inline const uint8_t* data_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// A key pair with its public half as members of a JWK.
class Signer {
 public:
  static Signer rsa(int bits = 2048) {
    bssl::UniquePtr<RSA> rsa(RSA_new());
    bssl::UniquePtr<BIGNUM> e(BN_new());
    must(BN_set_word(e.get(), RSA_F4) && RSA_generate_key_ex(rsa.get(), bits, e.get(), nullptr));
    Signer made;
    must(EVP_PKEY_set1_RSA(made.key_.get(), rsa.get()));
    made.jwk_ = R"("kty":"RSA","n":")" + base64url(number_bytes(RSA_get0_n(rsa.get()))) +
                R"(","e":")" + base64url(number_bytes(RSA_get0_e(rsa.get()))) + "\"";
    return made;
  }
  static Signer ec(int nid, std::string_view curve, size_t size) {
    bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(nid));
    bssl::UniquePtr<BIGNUM> x(BN_new()), y(BN_new());
    must(EC_KEY_generate_key(ec.get()) &&
         EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(ec.get()),
                                             EC_KEY_get0_public_key(ec.get()), x.get(), y.get(),
                                             nullptr));
    Signer made;
    made.size_ = size;
    must(EVP_PKEY_set1_EC_KEY(made.key_.get(), ec.get()));
    made.jwk_ = R"("kty":"EC","crv":")" + std::string(curve) + R"(","x":")" +
                base64url(number_bytes(x.get(), size)) + R"(","y":")" +
                base64url(number_bytes(y.get(), size)) + "\"";
    return made;
  }
  static Signer p256() { return ec(NID_X9_62_prime256v1, "P-256", 32); }
  static Signer p384() { return ec(NID_secp384r1, "P-384", 48); }
  static Signer p521() { return ec(NID_secp521r1, "P-521", 66); }
  static Signer ed25519() {
    Signer made;
    bssl::UniquePtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
    EVP_PKEY* key = nullptr;
    must(EVP_PKEY_keygen_init(context.get()) && EVP_PKEY_keygen(context.get(), &key));
    made.key_.reset(key);
    uint8_t raw[32];
    size_t size = sizeof raw;
    must(EVP_PKEY_get_raw_public_key(key, raw, &size));
    made.jwk_ = R"("kty":"OKP","crv":"Ed25519","x":")" +
                base64url({reinterpret_cast<const char*>(raw), size}) + "\"";
    return made;
  }

  // The public key as a JWK, with more members ("\"kid\":\"a\"").
  [[nodiscard]] std::string jwk(const std::string& more = "") const {
    return "{" + jwk_ + (more.empty() ? "" : "," + more) + "}";
  }

  [[nodiscard]] std::string sign(std::string_view text, const EVP_MD* digest,
                                 bool pss = false) const {
    bssl::ScopedEVP_MD_CTX context;
    EVP_PKEY_CTX* parameters = nullptr;
    must(EVP_DigestSignInit(context.get(), &parameters, digest, nullptr, key_.get()));
    if (pss)
      must(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, -1));
    std::string signature(1024, '\0');
    size_t size = signature.size();
    must(EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()), &size,
                        data_of(text), text.size()));
    signature.resize(size);
    return size_ == 0 ? signature : raw(signature);
  }

  // HEADER.CLAIMS.SIGNATURE of the two JSON texts.
  [[nodiscard]] std::string token(std::string_view header, std::string_view claims,
                                  const EVP_MD* digest = EVP_sha256(), bool pss = false) const {
    const std::string text = base64url(header) + "." + base64url(claims);
    return text + "." + base64url(sign(text, digest, pss));
  }

 private:
  Signer() : key_(EVP_PKEY_new()) {}

  // r and s at full length, from the DER that the library makes.
  [[nodiscard]] std::string raw(const std::string& der) const {
    bssl::UniquePtr<ECDSA_SIG> pair(ECDSA_SIG_from_bytes(data_of(der), der.size()));
    must(pair != nullptr);
    return number_bytes(ECDSA_SIG_get0_r(pair.get()), size_) +
           number_bytes(ECDSA_SIG_get0_s(pair.get()), size_);
  }

  bssl::UniquePtr<EVP_PKEY> key_;
  std::string jwk_;
  size_t size_ = 0;  // of an ECDSA coordinate
};

inline std::string hmac_token(std::string_view header, std::string_view claims,
                              std::string_view secret) {
  const std::string text = base64url(header) + "." + base64url(claims);
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  must(HMAC(EVP_sha256(), secret.data(), secret.size(), data_of(text), text.size(), mac, &size));
  return text + "." + base64url({reinterpret_cast<const char*>(mac), size});
}

}  // namespace sallyport::jwt::testing
