// Trust bundles and the validation of peers (X509-SVID.md section 5), by checks of our own on top
// of the library's path building: exactly one URI SAN, a bundle of the leaf's own trust domain
// only.
#pragma once

#include <openssl/pool.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/spiffe_id.h"

namespace sallyport::identity {

// What a peer may show: more is refused before anything is parsed.
inline constexpr size_t kMaxChainCertificates = 5;
inline constexpr size_t kMaxChainBytes = 16 << 10;  // of DER, in total

// What a verified peer is.
struct Peer {
  SpiffeId id;
  std::string serial;  // lower-case hexadecimal
  std::string sha256;  // of the leaf's DER, lower-case hexadecimal
  WallTime not_before, not_after;
  // When all certificates from the leaf to the root are valid: `not_before` and `not_after` or
  // closer. A connection must not outlive it.
  WallTime trusted_from, trusted_until;
};

class TrustBundles {
 public:
  // Trust domain -> roots in DER. kInvalid where a root is no self-signed CA certificate, or names
  // another trust domain. A trust domain without roots trusts nobody.
  static Result<std::shared_ptr<const TrustBundles>> make(
      const std::map<std::string, std::vector<std::string>>& roots);
  virtual ~TrustBundles() = default;

  // The chain as a TLS library hands it over: leaf first. kDenied names the check that failed.
  // The second of notAfter itself is refused, as the library does.
  [[nodiscard]] virtual Result<Peer> verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                                            WallTime now) const = 0;
};

}  // namespace sallyport::identity
