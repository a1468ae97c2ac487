#include "identity/authority.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

#include <algorithm>

#include "identity/certificate.h"
#include "identity/certificate_builder.h"
#include "identity/key.h"
#include "identity/root_files.h"
#include "identity/trust.h"

namespace sallyport::identity {
namespace {

// Clocks of peers that are a little behind still accept what was just issued.
constexpr int64_t kBackdate = 10;  // seconds

class EmbeddedAuthority : public Authority {
 public:
  EmbeddedAuthority(bssl::UniquePtr<EVP_PKEY> key, bssl::UniquePtr<X509> root, std::string der,
                    Validity validity, std::string trust_domain,
                    std::shared_ptr<const TrustBundles> published)
      : key_(std::move(key)),
        root_(std::move(root)),
        der_(std::move(der)),
        validity_(validity),
        trust_domain_(std::move(trust_domain)),
        published_(std::move(published)) {}

  Result<Svid> issue(const SpiffeId& id, std::chrono::seconds ttl, WallTime now) override;
  [[nodiscard]] const std::string& root_der() const override { return der_; }
  [[nodiscard]] const std::string& trust_domain() const override { return trust_domain_; }

 private:
  Status check_issued(const Svid& svid, WallTime now) const;

  const bssl::UniquePtr<EVP_PKEY> key_;
  const bssl::UniquePtr<X509> root_;
  const std::string der_;
  const Validity validity_;
  const std::string trust_domain_;
  const std::shared_ptr<const TrustBundles> published_;  // what peers verify by
};

Result<Svid> EmbeddedAuthority::issue(const SpiffeId& id, std::chrono::seconds ttl, WallTime now) {
  if (id.trust_domain != trust_domain_)
    return fail(Code::kInvalid,
                "\"" + id.to_string() + "\" is not of the trust domain \"" + trust_domain_ + "\"");
  auto parsed = parse_spiffe_id(id.to_string());
  if (!parsed) return fail(Code::kInvalid, parsed.error().message);
  if (*parsed != id) return fail(Code::kInvalid, "\"" + id.path + "\" is no path of a SPIFFE ID");
  if (ttl < std::chrono::seconds(1))
    return fail(Code::kInvalid, "a certificate's lifetime must be at least one second");
  const int64_t seconds = to_posix(now);
  if (seconds < validity_.not_before || seconds >= validity_.not_after)
    return fail(Code::kDenied, "the root certificate is not valid now");

  LeafRequest request;
  request.uri = id.to_string();
  SP_TRY(const auto key, generate_key());
  request.key = key.get();
  const int64_t left = validity_.not_after - seconds;
  request.validity.not_before = std::max(seconds - kBackdate, validity_.not_before);
  request.validity.not_after = seconds + std::min<int64_t>(ttl.count(), left);
  SP_TRY(const auto leaf, build_leaf(request, root_.get(), key_.get()));

  Svid svid;
  svid.id = id;
  svid.serial = serial_of(leaf.get());
  svid.not_before = from_posix(request.validity.not_before);
  svid.not_after = from_posix(request.validity.not_after);
  SP_TRY(svid.certificate_der, certificate_der(leaf.get()));
  SP_TRY(svid.key_der, key_der(key.get()));
  SP_CHECK_OK(check_issued(svid, now));
  return svid;
}

// What no peer would accept is not handed out.
Status EmbeddedAuthority::check_issued(const Svid& svid, WallTime now) const {
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain(sk_CRYPTO_BUFFER_new_null());
  bssl::UniquePtr<CRYPTO_BUFFER> leaf(
      CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(svid.certificate_der.data()),
                        svid.certificate_der.size(), nullptr));
  if (!chain || !leaf || !bssl::PushToStack(chain.get(), std::move(leaf)))
    return fail(Code::kExhausted, "out of memory");
  auto peer = published_->verify(chain.get(), now);
  if (!peer) return fail_in("the issued certificate is not accepted", std::move(peer).error());
  if (peer->id != svid.id)
    return fail(Code::kInternal, "the issued certificate names " + peer->id.to_string());
  return {};
}

Status check_root(X509* root, EVP_PKEY* key, const Authority::Options& options, int64_t now,
                  const Validity& validity) {
  const std::string& file = options.certificate_file;
  if (X509_check_private_key(root, key) != 1) {
    ERR_clear_error();
    return fail(Code::kConflict, file + " does not belong to the key in " + options.key_file);
  }
  SP_TRY(const auto uris, uris_of(root));
  if (uris.size() != 1 || uris[0] != "spiffe://" + options.trust_domain)
    return fail(Code::kConflict, file + " is of " +
                                     (uris.empty() ? "no trust domain" : "\"" + uris[0] + "\"") +
                                     ", not of \"spiffe://" + options.trust_domain + "\"");
  if (now >= validity.not_after) return fail(Code::kDenied, file + " has expired");
  if (now < validity.not_before) return fail(Code::kDenied, file + " is not yet valid");
  return {};
}

Result<bssl::UniquePtr<EVP_PKEY>> load_or_make_key(const Authority::Options& options,
                                                   bool have_certificate) {
  auto key = load_key_file(options.key_file);
  if (key || key.error().code != Code::kNotFound) return key;
  // A new key would not belong to it, and what trusts it would trust nobody any more.
  if (have_certificate)
    return fail(Code::kNotFound, options.key_file + " is missing, but its certificate " +
                                     options.certificate_file +
                                     " is there; remove that to begin with a new root");
  SP_TRY(auto made, generate_key());
  SP_CHECK_OK(save_key_file(options.key_file, made.get()));
  return made;
}

Result<bssl::UniquePtr<X509>> make_root(const Authority::Options& options, EVP_PKEY* key,
                                        int64_t now) {
  if (options.root_ttl < std::chrono::minutes(1))
    return fail(Code::kInvalid, "the root's lifetime must be at least one minute");
  const Validity validity{now - kBackdate, now + options.root_ttl.count()};
  SP_TRY(auto root, build_root(key, options.trust_domain, validity));
  SP_CHECK_OK(save_certificate_file(options.certificate_file, root.get()));
  return root;
}

}  // namespace

Result<std::unique_ptr<Authority>> Authority::open(const Options& options, const Clock& clock) {
  SP_CHECK_OK(check_trust_domain(options.trust_domain));
  const int64_t now = to_posix(clock.wall());
  auto root = load_certificate_file(options.certificate_file);
  if (!root && root.error().code != Code::kNotFound) return std::unexpected(root.error());
  SP_TRY(auto key, load_or_make_key(options, root.has_value()));
  // A key without a certificate: a first start that was cut short.
  if (!root) root = make_root(options, key.get(), now);
  if (!root) return std::unexpected(std::move(root).error());
  SP_TRY(const Validity validity, validity_of(root->get()));
  SP_CHECK_OK(check_root(root->get(), key.get(), options, now, validity));
  SP_TRY(std::string der, certificate_der(root->get()));
  auto published = TrustBundles::make({{options.trust_domain, {der}}});
  if (!published) return fail_in(options.certificate_file, std::move(published).error());
  return std::make_unique<EmbeddedAuthority>(std::move(key), std::move(*root), std::move(der),
                                             validity, options.trust_domain, std::move(*published));
}

}  // namespace sallyport::identity
