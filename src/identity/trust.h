// Trust bundles and the validation of peers (X509-SVID.md section 5), by checks of our own on top
// of the library's path building: exactly one URI SAN, a bundle of the leaf's own trust domain
// only.
#pragma once

#include <openssl/base.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/spiffe_id.h"

namespace sallyport::identity {

// What a verified peer is.
struct Peer {
  SpiffeId id;
  std::string serial;  // lower-case hexadecimal
  WallTime not_before, not_after;
};

class TrustBundles {
 public:
  // Trust domain -> roots in DER.
  static Result<std::shared_ptr<const TrustBundles>> make(
      const std::map<std::string, std::vector<std::string>>& roots);
  virtual ~TrustBundles() = default;

  // The chain as a TLS library hands it over: leaf first. kDenied names the check that failed.
  [[nodiscard]] virtual Result<Peer> verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                                            WallTime now) const = 0;
};

}  // namespace sallyport::identity
