#include "jwt/signature.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>

namespace sallyport::jwt {
namespace {

constexpr Algorithm kAlgorithms[] = {
    {"RS256", KeyType::kRsa, false, EVP_sha256},  {"RS384", KeyType::kRsa, false, EVP_sha384},
    {"RS512", KeyType::kRsa, false, EVP_sha512},  {"PS256", KeyType::kRsa, true, EVP_sha256},
    {"PS384", KeyType::kRsa, true, EVP_sha384},   {"PS512", KeyType::kRsa, true, EVP_sha512},
    {"ES256", KeyType::kP256, false, EVP_sha256}, {"ES384", KeyType::kP384, false, EVP_sha384},
    {"ES512", KeyType::kP521, false, EVP_sha512}, {"EdDSA", KeyType::kEd25519, false, nullptr}};

const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

size_t coordinate_bytes(KeyType type) {
  return type == KeyType::kP256 ? 32 : type == KeyType::kP384 ? 48 : 66;
}

bool verify_ecdsa(const Algorithm& algorithm, EVP_PKEY* key, std::string_view text,
                  std::string_view signature) {
  const size_t half = coordinate_bytes(algorithm.key);
  if (signature.size() != 2 * half) return false;
  bssl::UniquePtr<BIGNUM> r(BN_bin2bn(bytes_of(signature), half, nullptr));
  bssl::UniquePtr<BIGNUM> s(BN_bin2bn(bytes_of(signature) + half, half, nullptr));
  bssl::UniquePtr<ECDSA_SIG> pair(ECDSA_SIG_new());
  if (!r || !s || !pair || !ECDSA_SIG_set0(pair.get(), r.get(), s.get())) return false;
  (void)r.release();
  (void)s.release();
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return EVP_Digest(text.data(), text.size(), digest, &size, algorithm.digest(), nullptr) == 1 &&
         ECDSA_do_verify(digest, size, pair.get(), EVP_PKEY_get0_EC_KEY(key)) == 1;
}

bool verify_other(const Algorithm& algorithm, EVP_PKEY* key, std::string_view text,
                  std::string_view signature) {
  bssl::ScopedEVP_MD_CTX context;
  EVP_PKEY_CTX* parameters = nullptr;  // belongs to `context`
  const EVP_MD* digest = algorithm.digest ? algorithm.digest() : nullptr;
  if (EVP_DigestVerifyInit(context.get(), &parameters, digest, nullptr, key) != 1) return false;
  if (algorithm.pss) {
    constexpr int kSaltAsLongAsDigest = -1;  // RFC 7518 section 3.5
    if (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, kSaltAsLongAsDigest) != 1)
      return false;
  }
  return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text),
                          text.size()) == 1;
}

}  // namespace

const Algorithm* find_algorithm(std::string_view name) {
  for (const Algorithm& algorithm : kAlgorithms)
    if (algorithm.name == name) return &algorithm;
  return nullptr;
}

bool verify_signature(const Algorithm& algorithm, EVP_PKEY* key, std::string_view signed_text,
                      std::string_view signature) {
  const bool ecdsa = algorithm.key == KeyType::kP256 || algorithm.key == KeyType::kP384 ||
                     algorithm.key == KeyType::kP521;
  const bool good = ecdsa ? verify_ecdsa(algorithm, key, signed_text, signature)
                          : verify_other(algorithm, key, signed_text, signature);
  ERR_clear_error();
  return good;
}

}  // namespace sallyport::jwt
