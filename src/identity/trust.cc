#include "identity/trust.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>

#include "identity/certificate.h"

namespace sallyport::identity {
namespace {

std::unexpected<Error> deny(std::string why) {
  ERR_clear_error();
  return fail(Code::kDenied, std::move(why));
}

std::string digest_text(const CRYPTO_BUFFER* certificate) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(CRYPTO_BUFFER_data(certificate), CRYPTO_BUFFER_len(certificate), digest.data());
  std::string text;
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// SHA-1 and MD5 can be made to collide: a certificate signed over them proves nothing.
bool good_signature_algorithm(const X509* certificate) {
  switch (X509_get_signature_nid(certificate)) {
    case NID_ecdsa_with_SHA256:
    case NID_ecdsa_with_SHA384:
    case NID_ecdsa_with_SHA512:
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
    case NID_rsassaPss:
    case NID_ED25519:
      return true;
    default:
      return false;
  }
}

bool good_key(const X509* certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (!key) return false;
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
      return EVP_PKEY_bits(key) >= 256 && EVP_PKEY_bits(key) <= 521;
    case EVP_PKEY_RSA:
      return EVP_PKEY_bits(key) >= 2048 && EVP_PKEY_bits(key) <= 8192;
    case EVP_PKEY_ED25519:
      return true;
    default:
      return false;
  }
}

// What signs others: CA, allowed to sign certificates. The bits are read from the extensions as
// they stand; where the key usage is absent every use is allowed (RFC 5280 section 4.2.1.3).
Status check_signer(X509* certificate, std::string_view which) {
  const std::string name(which);
  const uint32_t flags = X509_get_extension_flags(certificate);
  if ((flags & EXFLAG_INVALID) != 0) return deny(name + " has a malformed extension");
  if ((flags & EXFLAG_CA) == 0) return deny(name + " is no CA certificate (cA is false)");
  if ((X509_get_key_usage(certificate) & X509v3_KU_KEY_CERT_SIGN) == 0)
    return deny(name + " may not sign certificates (no keyCertSign)");
  if (!good_key(certificate)) return deny(name + " has a key of a weak or unknown kind");
  return {};
}

Result<SpiffeId> leaf_id(X509* leaf) {
  auto uris = uris_of(leaf);
  if (!uris) return deny("the leaf: " + uris.error().message);
  if (uris->size() != 1)
    return deny("the leaf has " + std::to_string(uris->size()) +
                " URI names, exactly one is allowed");
  auto id = parse_spiffe_id(uris->front());
  if (!id) return deny("the leaf: " + id.error().message);
  return std::move(*id);
}

// X509-SVID.md sections 4 and 5.2.
Status check_leaf_uses(X509* leaf) {
  const uint32_t flags = X509_get_extension_flags(leaf);
  if ((flags & EXFLAG_INVALID) != 0) return deny("the leaf has a malformed extension");
  if ((flags & EXFLAG_CRITICAL) != 0)
    return deny("the leaf has a critical extension that is not known");
  if ((flags & EXFLAG_CA) != 0) return deny("the leaf is a CA certificate");
  if ((flags & EXFLAG_KUSAGE) == 0) return deny("the leaf has no key usage");
  const uint32_t usage = X509_get_key_usage(leaf);
  if ((usage & X509v3_KU_KEY_CERT_SIGN) != 0)
    return deny("the leaf may sign certificates (keyCertSign)");
  if ((usage & X509v3_KU_CRL_SIGN) != 0) return deny("the leaf may sign CRLs (cRLSign)");
  if ((usage & X509v3_KU_DIGITAL_SIGNATURE) == 0)
    return deny("the leaf may not sign (no digitalSignature)");
  if ((flags & EXFLAG_XKUSAGE) != 0) {
    constexpr uint32_t kBoth = XKU_SSL_SERVER | XKU_SSL_CLIENT;
    if ((X509_get_extended_key_usage(leaf) & kBoth) != kBoth)
      return deny("the leaf's extended key usage lacks serverAuth or clientAuth");
  }
  if (!good_key(leaf)) return deny("the leaf has a key of a weak or unknown kind");
  return {};
}

std::string show_time(int64_t posix) {
  std::tm parts{};
  const std::time_t time = posix;
  if (!::gmtime_r(&time, &parts)) return std::to_string(posix);
  char text[64];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

Status check_time(const Validity& validity, int64_t now, std::string_view which) {
  if (now < validity.not_before)
    return deny(std::string(which) + " is not yet valid: from " + show_time(validity.not_before));
  if (now >= validity.not_after)
    return deny(std::string(which) + " has expired at " + show_time(validity.not_after));
  return {};
}

// The leaf and the certificates after it.
struct ParsedChain {
  bssl::UniquePtr<X509> leaf;
  bssl::UniquePtr<STACK_OF(X509)> rest;
};

Result<ParsedChain> parse_chain(const STACK_OF(CRYPTO_BUFFER) * chain) {
  const size_t count = chain ? sk_CRYPTO_BUFFER_num(chain) : 0;
  if (count == 0) return deny("the peer showed no certificate");
  if (count > kMaxChainCertificates)
    return deny("the chain has " + std::to_string(count) + " certificates, at most " +
                std::to_string(kMaxChainCertificates) + " are accepted");
  size_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i));
  if (bytes > kMaxChainBytes)
    return deny("the chain has " + std::to_string(bytes) + " bytes, at most " +
                std::to_string(kMaxChainBytes) + " are accepted");
  ParsedChain parsed;
  parsed.rest.reset(sk_X509_new_null());
  for (size_t i = 0; i < count; ++i) {
    bssl::UniquePtr<X509> certificate(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i)));
    if (!certificate)
      return deny("certificate " + std::to_string(i) + " of the chain is malformed");
    if (i == 0)
      parsed.leaf = std::move(certificate);
    else if (!parsed.rest || !bssl::PushToStack(parsed.rest.get(), std::move(certificate)))
      return fail(Code::kExhausted, "out of memory");
  }
  return parsed;
}

class Bundles : public TrustBundles {
 public:
  Status add(const std::string& trust_domain, const std::vector<std::string>& roots);
  [[nodiscard]] Result<Peer> verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                                    WallTime now) const override;

 private:
  static Status check_path(X509_STORE* roots, const ParsedChain& chain, int64_t now,
                           Validity* window);
  std::map<std::string, bssl::UniquePtr<X509_STORE>, std::less<>> stores_;
};

Status Bundles::add(const std::string& trust_domain, const std::vector<std::string>& roots) {
  SP_CHECK_OK(check_trust_domain(trust_domain));
  bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
  if (!store) return fail(Code::kExhausted, "out of memory");
  for (const std::string& der : roots) {
    SP_TRY(auto root, parse_certificate(der));
    if (auto status = check_signer(root.get(), "the root"); !status)
      return fail(Code::kInvalid, status.error().message);
    if ((X509_get_extension_flags(root.get()) & EXFLAG_SS) == 0 ||
        X509_verify(root.get(), X509_get0_pubkey(root.get())) != 1) {
      ERR_clear_error();
      return fail(Code::kInvalid, "the root is not signed by itself");
    }
    SP_TRY(const auto uris, uris_of(root.get()));
    for (const std::string& uri : uris)
      if (uri.starts_with("spiffe:") && uri != "spiffe://" + trust_domain)
        return fail(Code::kInvalid,
                    "the root is of \"" + uri + "\", not of \"spiffe://" + trust_domain + "\"");
    if (!X509_STORE_add_cert(store.get(), root.get()))
      return fail(Code::kInternal, "cannot add a root: " + library_error());
  }
  stores_.emplace(trust_domain, std::move(store));
  return {};
}

Status Bundles::check_path(X509_STORE* roots, const ParsedChain& chain, int64_t now,
                           Validity* window) {
  bssl::UniquePtr<X509_STORE_CTX> path(X509_STORE_CTX_new());
  if (!path || !X509_STORE_CTX_init(path.get(), roots, chain.leaf.get(), chain.rest.get()))
    return fail(Code::kExhausted, "out of memory");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(path.get());
  X509_VERIFY_PARAM_set_time_posix(param, now);
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(kMaxChainCertificates));
  // The uses of the leaf are checked here, by the rules of X509-SVID, not by those of web servers.
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
  if (X509_verify_cert(path.get()) != 1) {
    const int error = X509_STORE_CTX_get_error(path.get());
    const int depth = X509_STORE_CTX_get_error_depth(path.get());
    return deny("the chain does not lead to a root of its trust domain: " +
                std::string(X509_verify_cert_error_string(error)) + " (certificate " +
                std::to_string(depth) + ")");
  }
  const STACK_OF(X509)* verified = X509_STORE_CTX_get0_chain(path.get());
  const size_t count = sk_X509_num(verified);
  for (size_t i = 0; i < count; ++i) {
    X509* certificate = sk_X509_value(verified, i);
    const std::string which = i == 0           ? "the leaf"
                              : i + 1 == count ? "the root"
                                               : "an intermediate certificate";
    if (i > 0) SP_CHECK_OK(check_signer(certificate, which));
    // A root is trusted for being in the bundle, not for its signature.
    if (i + 1 < count && !good_signature_algorithm(certificate))
      return deny(which + " is signed with an algorithm that is not accepted");
    auto validity = validity_of(certificate);
    if (!validity) return deny(which + ": " + validity.error().message);
    SP_CHECK_OK(check_time(*validity, now, which));
    window->not_before = std::max(window->not_before, validity->not_before);
    window->not_after = std::min(window->not_after, validity->not_after);
  }
  return {};
}

Result<Peer> Bundles::verify(const STACK_OF(CRYPTO_BUFFER) * chain, WallTime now) const {
  SP_TRY(const ParsedChain parsed, parse_chain(chain));
  X509* leaf = parsed.leaf.get();
  SP_TRY(SpiffeId id, leaf_id(leaf));
  SP_CHECK_OK(check_leaf_uses(leaf));
  const auto store = stores_.find(id.trust_domain);
  if (store == stores_.end())
    return deny("there is no trust bundle for the trust domain \"" + id.trust_domain + "\"");
  auto validity = validity_of(leaf);
  if (!validity) return deny("the leaf: " + validity.error().message);
  const int64_t seconds = to_posix(now);
  SP_CHECK_OK(check_time(*validity, seconds, "the leaf"));
  Validity window = *validity;
  SP_CHECK_OK(check_path(store->second.get(), parsed, seconds, &window));
  ERR_clear_error();
  Peer peer;
  peer.id = std::move(id);
  peer.serial = serial_of(leaf);
  peer.sha256 = digest_text(sk_CRYPTO_BUFFER_value(chain, 0));
  peer.not_before = from_posix(validity->not_before);
  peer.not_after = from_posix(validity->not_after);
  peer.trusted_from = from_posix(window.not_before);
  peer.trusted_until = from_posix(window.not_after);
  return peer;
}

}  // namespace

Result<std::shared_ptr<const TrustBundles>> TrustBundles::make(
    const std::map<std::string, std::vector<std::string>>& roots) {
  auto bundles = std::make_shared<Bundles>();
  for (const auto& [trust_domain, certificates] : roots)
    if (auto status = bundles->add(trust_domain, certificates); !status)
      return fail_in("trust bundle of \"" + trust_domain + "\"", std::move(status).error());
  return bundles;
}

}  // namespace sallyport::identity
