#include "identity/verified_chains.h"

#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <unordered_map>

namespace sallyport::identity {
namespace {

using Digest = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

// Over the number of bytes of each certificate and its bytes, so that no two chains agree.
Digest digest_of(const STACK_OF(CRYPTO_BUFFER) * chain) {
  SHA256_CTX context;
  SHA256_Init(&context);
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); ++i) {
    const CRYPTO_BUFFER* certificate = sk_CRYPTO_BUFFER_value(chain, i);
    const uint64_t size = CRYPTO_BUFFER_len(certificate);
    SHA256_Update(&context, &size, sizeof size);
    SHA256_Update(&context, CRYPTO_BUFFER_data(certificate), size);
  }
  Digest digest;
  SHA256_Final(digest.data(), &context);
  return digest;
}

bool within_limits(const STACK_OF(CRYPTO_BUFFER) * chain) {
  const size_t count = chain ? sk_CRYPTO_BUFFER_num(chain) : 0;
  size_t bytes = 0;
  for (size_t i = 0; i < std::min(count, kMaxChainCertificates); ++i)
    bytes += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i));
  return count > 0 && count <= kMaxChainCertificates && bytes <= kMaxChainBytes;
}

class Cache : public VerifiedChains {
 public:
  Cache(std::shared_ptr<const TrustBundles> bundles, size_t capacity)
      : bundles_(std::move(bundles)), capacity_(std::max<size_t>(capacity, 1)) {}

  Result<std::shared_ptr<const Peer>> verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                                             WallTime now) override {
    if (!within_limits(chain)) return check(chain, now);  // says what is wrong
    const Digest digest = digest_of(chain);
    if (auto found = index_.find(digest); found != index_.end()) {
      const auto entry = found->second;
      if (now >= entry->peer->trusted_from && now < entry->peer->trusted_until) {
        entries_.splice(entries_.begin(), entries_, entry);
        ++hits_;
        return entry->peer;
      }
      entries_.erase(entry);
      index_.erase(found);
    }
    SP_TRY(auto peer, check(chain, now));
    entries_.push_front({digest, peer});
    index_.emplace(digest, entries_.begin());
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().digest);
      entries_.pop_back();
    }
    return peer;
  }
  [[nodiscard]] size_t size() const override { return entries_.size(); }
  [[nodiscard]] uint64_t hits() const override { return hits_; }

 private:
  struct Entry {
    Digest digest;
    std::shared_ptr<const Peer> peer;
  };

  Result<std::shared_ptr<const Peer>> check(const STACK_OF(CRYPTO_BUFFER) * chain, WallTime now) {
    SP_TRY(Peer peer, bundles_->verify(chain, now));
    return std::make_shared<const Peer>(std::move(peer));
  }

  const std::shared_ptr<const TrustBundles> bundles_;
  const size_t capacity_;
  uint64_t hits_ = 0;
  std::list<Entry> entries_;  // the most recently used first
  std::unordered_map<Digest, std::list<Entry>::iterator, DigestHash> index_;
};

}  // namespace

std::shared_ptr<VerifiedChains> VerifiedChains::make(std::shared_ptr<const TrustBundles> bundles,
                                                     size_t capacity) {
  return std::make_shared<Cache>(std::move(bundles), capacity);
}

}  // namespace sallyport::identity
