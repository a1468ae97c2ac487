#include "identity/certificate_builder.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <array>

namespace sallyport::identity {
namespace {

constexpr int kSerialBits = 128;
constexpr size_t kKeyIdBytes = 20;  // RFC 7093 method 1: the left 160 bits of SHA-256

std::unexpected<Error> failed(std::string_view what) {
  return fail(Code::kInternal, "cannot set the " + std::string(what) + ": " + library_error());
}

Status set_serial(X509* certificate) {
  bssl::UniquePtr<BIGNUM> number(BN_new());
  if (!number) return failed("serial number");
  do {  // zero is not positive; it comes up once in 2^128
    if (!BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY))
      return failed("serial number");
  } while (BN_is_zero(number.get()));
  if (!BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)))
    return failed("serial number");
  return {};
}

Status set_validity(X509* certificate, const Validity& validity) {
  bssl::UniquePtr<ASN1_TIME> from(ASN1_TIME_set_posix(nullptr, validity.not_before));
  bssl::UniquePtr<ASN1_TIME> until(ASN1_TIME_set_posix(nullptr, validity.not_after));
  if (!from || !until || !X509_set1_notBefore(certificate, from.get()) ||
      !X509_set1_notAfter(certificate, until.get()))
    return failed("validity");
  return {};
}

Status add_extension(X509* certificate, int nid, void* value, bool critical,
                     std::string_view what) {
  if (!value ||
      X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) != 1)
    return failed(what);
  return {};
}

Status add_constraints(X509* certificate, bool ca) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
  if (constraints) constraints->ca = ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  return add_extension(certificate, NID_basic_constraints, constraints.get(), true,
                       "basic constraints");
}

// Bits as RFC 5280 section 4.2.1.3 numbers them.
constexpr int kDigitalSignature = 0, kKeyCertSign = 5, kCrlSign = 6;

Status add_key_usage(X509* certificate, std::initializer_list<int> bits) {
  bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  for (int bit : bits)
    if (!usage || !ASN1_BIT_STRING_set_bit(usage.get(), bit, 1)) return failed("key usage");
  return add_extension(certificate, NID_key_usage, usage.get(), true, "key usage");
}

Status add_extended_key_usage(X509* certificate) {
  bssl::UniquePtr<EXTENDED_KEY_USAGE> uses(sk_ASN1_OBJECT_new_null());
  for (int nid : {NID_server_auth, NID_client_auth}) {
    bssl::UniquePtr<ASN1_OBJECT> use(OBJ_nid2obj(nid));
    if (!uses || !use || !bssl::PushToStack(uses.get(), std::move(use)))
      return failed("extended key usage");
  }
  return add_extension(certificate, NID_ext_key_usage, uses.get(), false, "extended key usage");
}

Status add_uri(X509* certificate, const std::string& uri, bool critical) {
  bssl::UniquePtr<GENERAL_NAMES> names(sk_GENERAL_NAME_new_null());
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  bssl::UniquePtr<ASN1_IA5STRING> text(ASN1_IA5STRING_new());
  if (!names || !name || !text ||
      !ASN1_STRING_set(text.get(), uri.data(), static_cast<ossl_ssize_t>(uri.size())))
    return failed("subject alternative name");
  GENERAL_NAME_set0_value(name.get(), GEN_URI, text.release());
  if (!bssl::PushToStack(names.get(), std::move(name))) return failed("subject alternative name");
  return add_extension(certificate, NID_subject_alt_name, names.get(), critical,
                       "subject alternative name");
}

bssl::UniquePtr<ASN1_OCTET_STRING> key_id(const X509* certificate) {
  const ASN1_BIT_STRING* bits = X509_get0_pubkey_bitstr(certificate);
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  if (!bits || !id) return nullptr;
  SHA256(ASN1_STRING_get0_data(bits), static_cast<size_t>(ASN1_STRING_length(bits)), digest.data());
  if (!ASN1_STRING_set(id.get(), digest.data(), kKeyIdBytes)) return nullptr;
  return id;
}

Status add_key_ids(X509* certificate, const X509* issuer) {
  auto own = key_id(certificate);
  SP_CHECK_OK(add_extension(certificate, NID_subject_key_identifier, own.get(), false,
                            "subject key identifier"));
  bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  if (!authority) return failed("authority key identifier");
  authority->keyid = key_id(issuer).release();
  if (!authority->keyid) return failed("authority key identifier");
  return add_extension(certificate, NID_authority_key_identifier, authority.get(), false,
                       "authority key identifier");
}

Status set_root_name(X509* certificate) {
  bssl::UniquePtr<X509_NAME> name(X509_NAME_new());
  const auto add = [&](int nid, std::string_view text) {
    return name && X509_NAME_add_entry_by_NID(name.get(), nid, MBSTRING_UTF8,
                                              reinterpret_cast<const uint8_t*>(text.data()),
                                              static_cast<ossl_ssize_t>(text.size()), -1, 0);
  };
  if (!add(NID_organizationName, "Sallyport") || !add(NID_commonName, "mesh root") ||
      !X509_set_subject_name(certificate, name.get()) ||
      !X509_set_issuer_name(certificate, name.get()))
    return failed("name");
  return {};
}

Status start(X509* certificate, EVP_PKEY* key, const Validity& validity) {
  if (!X509_set_version(certificate, X509_VERSION_3)) return failed("version");
  SP_CHECK_OK(set_serial(certificate));
  SP_CHECK_OK(set_validity(certificate, validity));
  if (!X509_set_pubkey(certificate, key)) return failed("public key");
  return {};
}

Status sign(X509* certificate, EVP_PKEY* key) {
  if (X509_sign(certificate, key, EVP_sha256()) <= 0) return failed("signature");
  return {};
}

}  // namespace

Result<bssl::UniquePtr<X509>> build_root(EVP_PKEY* key, const std::string& trust_domain,
                                         const Validity& validity) {
  bssl::UniquePtr<X509> root(X509_new());
  if (!root) return fail(Code::kExhausted, "out of memory");
  SP_CHECK_OK(start(root.get(), key, validity));
  SP_CHECK_OK(set_root_name(root.get()));
  SP_CHECK_OK(add_constraints(root.get(), true));
  SP_CHECK_OK(add_key_usage(root.get(), {kKeyCertSign, kCrlSign}));
  SP_CHECK_OK(add_uri(root.get(), "spiffe://" + trust_domain, false));
  SP_CHECK_OK(add_key_ids(root.get(), root.get()));
  SP_CHECK_OK(sign(root.get(), key));
  return root;
}

Result<bssl::UniquePtr<X509>> build_leaf(const LeafRequest& request, const X509* issuer,
                                         EVP_PKEY* issuer_key) {
  bssl::UniquePtr<X509> leaf(X509_new());
  if (!leaf) return fail(Code::kExhausted, "out of memory");
  SP_CHECK_OK(start(leaf.get(), request.key, request.validity));
  // The subject stays empty, so the alternative name is critical (RFC 5280 section 4.2.1.6).
  if (!X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer))) return failed("issuer");
  SP_CHECK_OK(add_constraints(leaf.get(), false));
  SP_CHECK_OK(add_key_usage(leaf.get(), {kDigitalSignature}));
  SP_CHECK_OK(add_extended_key_usage(leaf.get()));
  SP_CHECK_OK(add_uri(leaf.get(), request.uri, true));
  SP_CHECK_OK(add_key_ids(leaf.get(), issuer));
  SP_CHECK_OK(sign(leaf.get(), issuer_key));
  return leaf;
}

}  // namespace sallyport::identity
