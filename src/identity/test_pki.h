// Certificates for tests, good ones and ones with a single bad property. Not part of the product.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sallyport::identity::testing {

constexpr int64_t kNow = 1'800'000'000;

inline WallTime at(int64_t posix) {
  return WallTime(std::chrono::seconds(posix));
}

class FixedClock : public Clock {
 public:
  int64_t posix = kNow;
  [[nodiscard]] Monotonic now() const override { return Monotonic(std::chrono::seconds(posix)); }
  [[nodiscard]] WallTime wall() const override { return at(posix); }
};

inline void must(bool holds) {
  if (!holds) std::abort();
}

using Key = bssl::UniquePtr<EVP_PKEY>;

inline Key ec_key(int curve = NID_X9_62_prime256v1) {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
  Key key(EVP_PKEY_new());
  must(EC_KEY_generate_key(ec.get()) && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()));
  return key;
}

inline Key rsa_key(int bits) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> e(BN_new());
  Key key(EVP_PKEY_new());
  must(BN_set_word(e.get(), RSA_F4) && RSA_generate_key_ex(rsa.get(), bits, e.get(), nullptr) &&
       EVP_PKEY_set1_RSA(key.get(), rsa.get()));
  return key;
}

struct Certificate {
  bssl::UniquePtr<X509> x509;
  Key key;
  [[nodiscard]] std::string der() const {
    uint8_t* bytes = nullptr;
    const int size = i2d_X509(x509.get(), &bytes);
    must(size > 0);
    bssl::UniquePtr<uint8_t> owned(bytes);
    return {reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)};
  }
};

// Bits of the key usage as RFC 5280 numbers them.
constexpr int kDigitalSignature = 0, kKeyEncipherment = 2, kKeyCertSign = 5, kCrlSign = 6;

struct Spec {
  std::string name;                // common name; empty: no subject
  std::vector<std::string> uris;   // of the subject alternative name
  std::vector<std::string> hosts;  // DNS names in it
  bool second_alternative_name = false;
  std::optional<bool> ca;  // absent: no basic constraints
  int path_length = -1;
  std::vector<int> usage;         // empty: no key usage
  std::vector<int> extended;      // NIDs; empty: none
  int critical_extension = 0;     // NID of an extension that nobody knows, with rubbish in it
  std::string garbage_extension;  // raw DER of the subject alternative name, instead of `uris`
  int64_t not_before = kNow - 60, not_after = kNow + 3600;
  const EVP_MD* digest = EVP_sha256();
};

inline Spec leaf_spec(const std::string& uri = "spiffe://cluster.local/ns/a/sa/b") {
  Spec spec;
  spec.uris = {uri};
  spec.ca = false;
  spec.usage = {kDigitalSignature};
  spec.extended = {NID_server_auth, NID_client_auth};
  return spec;
}

inline Spec ca_spec(const std::string& name, const std::string& uri = "") {
  Spec spec;
  spec.name = name;
  if (!uri.empty()) spec.uris = {uri};
  spec.ca = true;
  spec.usage = {kKeyCertSign, kCrlSign};
  spec.not_after = kNow + 100 * 3600;
  return spec;
}

inline void add_names(X509* x509, const Spec& spec) {
  bssl::UniquePtr<GENERAL_NAMES> names(sk_GENERAL_NAME_new_null());
  const auto add = [&](const std::string& text, int type) {
    bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    must(ASN1_STRING_set(value, text.data(), static_cast<ossl_ssize_t>(text.size())));
    GENERAL_NAME_set0_value(name.get(), type, value);
    must(bssl::PushToStack(names.get(), std::move(name)));
  };
  for (const std::string& uri : spec.uris) add(uri, GEN_URI);
  for (const std::string& host : spec.hosts) add(host, GEN_DNS);
  must(X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), spec.name.empty(),
                         X509V3_ADD_APPEND) == 1);
}

inline void add_raw(X509* x509, int nid, bool critical, const std::string& content) {
  bssl::UniquePtr<ASN1_OCTET_STRING> data(ASN1_OCTET_STRING_new());
  must(ASN1_STRING_set(data.get(), content.data(), static_cast<ossl_ssize_t>(content.size())));
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_NID(nullptr, nid, critical, data.get()));
  must(X509_add_ext(x509, extension.get(), -1));
}

inline void add_extensions(X509* x509, const Spec& spec) {
  if (spec.ca) {
    bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
    constraints->ca = *spec.ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
    if (spec.path_length >= 0) {
      constraints->pathlen = ASN1_INTEGER_new();
      must(ASN1_INTEGER_set_uint64(constraints->pathlen, static_cast<uint64_t>(spec.path_length)));
    }
    must(X509_add1_ext_i2d(x509, NID_basic_constraints, constraints.get(), 1, 0) == 1);
  }
  if (!spec.usage.empty()) {
    bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
    for (int bit : spec.usage) must(ASN1_BIT_STRING_set_bit(usage.get(), bit, 1));
    must(X509_add1_ext_i2d(x509, NID_key_usage, usage.get(), 1, 0) == 1);
  }
  if (!spec.extended.empty()) {
    bssl::UniquePtr<EXTENDED_KEY_USAGE> uses(sk_ASN1_OBJECT_new_null());
    for (int nid : spec.extended)
      must(bssl::PushToStack(uses.get(), bssl::UniquePtr<ASN1_OBJECT>(OBJ_nid2obj(nid))));
    must(X509_add1_ext_i2d(x509, NID_ext_key_usage, uses.get(), 0, 0) == 1);
  }
  if (!spec.garbage_extension.empty())
    add_raw(x509, NID_subject_alt_name, true, spec.garbage_extension);
  else if (!spec.uris.empty() || !spec.hosts.empty())
    add_names(x509, spec);
  if (spec.second_alternative_name) add_names(x509, spec);
  if (spec.critical_extension != 0) add_raw(x509, spec.critical_extension, true, "\x05\x00");
}

// By SHA-1 of the key, as most authorities do.
inline bssl::UniquePtr<ASN1_OCTET_STRING> key_id(const X509* x509) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  must(X509_pubkey_digest(x509, EVP_sha1(), digest, &size));
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  must(ASN1_STRING_set(id.get(), digest, size));
  return id;
}

inline void add_key_ids(X509* x509, const X509* issuer) {
  must(X509_add1_ext_i2d(x509, NID_subject_key_identifier, key_id(x509).get(), 0, 0) == 1);
  bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  authority->keyid = key_id(issuer).release();
  must(X509_add1_ext_i2d(x509, NID_authority_key_identifier, authority.get(), 0, 0) == 1);
}

// Signed by `issuer`; null: by itself.
inline Certificate make(const Spec& spec, const Certificate* issuer = nullptr, Key key = nullptr) {
  Certificate made{bssl::UniquePtr<X509>(X509_new()), key ? std::move(key) : ec_key()};
  X509* x509 = made.x509.get();
  must(X509_set_version(x509, X509_VERSION_3));
  bssl::UniquePtr<BIGNUM> serial(BN_new());
  must(BN_rand(serial.get(), 100, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
       BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x509)));
  bssl::UniquePtr<ASN1_TIME> from(ASN1_TIME_set_posix(nullptr, spec.not_before));
  bssl::UniquePtr<ASN1_TIME> until(ASN1_TIME_set_posix(nullptr, spec.not_after));
  must(X509_set1_notBefore(x509, from.get()) && X509_set1_notAfter(x509, until.get()));
  if (!spec.name.empty())
    must(X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const uint8_t*>(spec.name.data()),
                                    static_cast<ossl_ssize_t>(spec.name.size()), -1, 0));
  must(X509_set_issuer_name(x509, X509_get_subject_name(issuer ? issuer->x509.get() : x509)));
  must(X509_set_pubkey(x509, made.key.get()));
  add_extensions(x509, spec);
  add_key_ids(x509, issuer ? issuer->x509.get() : x509);
  must(X509_sign(x509, issuer ? issuer->key.get() : made.key.get(), spec.digest) > 0);
  return made;
}

using Chain = bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)>;

inline Chain chain_of(const std::vector<std::string>& ders) {
  Chain chain(sk_CRYPTO_BUFFER_new_null());
  for (const std::string& der : ders) {
    bssl::UniquePtr<CRYPTO_BUFFER> one(
        CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr));
    must(bssl::PushToStack(chain.get(), std::move(one)));
  }
  return chain;
}

}  // namespace sallyport::identity::testing
