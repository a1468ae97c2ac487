// The embedded certificate authority of a mesh: a self-signed root made at first start, and
// X.509-SVIDs signed by it (X509-SVID.md sections 2 to 5). Keys are ECDSA P-256.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "identity/spiffe_id.h"

namespace sallyport::identity {

// A certificate with its key, as it is handed to a proxy.
struct Svid {
  SpiffeId id;
  std::string serial;           // lower-case hexadecimal
  std::string certificate_der;  // the leaf
  std::string key_der;          // PKCS#8, unencrypted
  WallTime not_before, not_after;
};

class Authority {
 public:
  struct Options {
    std::string key_file;          // PEM, 0600; made where it is missing
    std::string certificate_file;  // PEM
    std::string trust_domain;
    std::chrono::seconds root_ttl = std::chrono::hours(24 * 3650);
  };
  // Loads or makes the root. Refuses a key file that others may read, a certificate that does not
  // belong to the key, to the trust domain, or that has expired.
  static Result<std::unique_ptr<Authority>> open(const Options& options, const Clock& clock);
  virtual ~Authority() = default;

  // A fresh key pair and a leaf for `id`, valid from now - 10 s for `ttl`, never longer than the
  // root. The identity comes from the caller, who has proof of it.
  virtual Result<Svid> issue(const SpiffeId& id, std::chrono::seconds ttl, WallTime now) = 0;
  [[nodiscard]] virtual const std::string& root_der() const = 0;
  [[nodiscard]] virtual const std::string& trust_domain() const = 0;
};

}  // namespace sallyport::identity
