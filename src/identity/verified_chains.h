// Peers whose chains were verified before. A pair of proxies makes many connections with the same
// certificates; only the first pays for parsing and for the signatures of the chain (the proof that
// the peer holds the key is part of each handshake and is never cached).
#pragma once

#include <openssl/pool.h>

#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "identity/trust.h"

namespace sallyport::identity {

// Bounded; the least recently used chain goes first. For one set of bundles: with new roots make a
// new one. Only accepted chains are kept, by SHA-256 over every byte of them, and each only for the
// time in which all of its certificates are valid. Used by one thread.
class VerifiedChains {
 public:
  static std::shared_ptr<VerifiedChains> make(std::shared_ptr<const TrustBundles> bundles,
                                              size_t capacity = 1024);
  virtual ~VerifiedChains() = default;

  // As TrustBundles::verify.
  virtual Result<std::shared_ptr<const Peer>> verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                                                     WallTime now) = 0;
  [[nodiscard]] virtual size_t size() const = 0;
  [[nodiscard]] virtual uint64_t hits() const = 0;
};

}  // namespace sallyport::identity
