// links: codec identity
// Certificate chains of peers. Byte 0: bit 0 the clock is past every leaf of the corpus, bit 1
// before them. Then certificates: two bytes of length (big-endian) and DER each; the last may be
// cut. The corpus is signed by the root below, whose key is gone: nothing that is found by chance
// is accepted, so what is accepted must have come from the corpus, and be within its time.
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "codec/base64.h"
#include "identity/trust.h"
#include "identity/verified_chains.h"

namespace {

using namespace sallyport;
using namespace sallyport::identity;

constexpr char kRoot[] =
    "MIIBozCCAUmgAwIBAgINCs02EpHiO8XSF50oADAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARyb290MCAXDTI3MDExNTA3"
    "NTgyMFoYDzIxMjYxMjIyMDgwMDAwWjAPMQ0wCwYDVQQDDARyb290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6bg/"
    "l3bEcVPCukTEc4U75iJzeTysqZ1Ywf+5o3U9aXo66nUBJdy6gYVjtHJo21tybcMcnuYsSkODaPRQVCQT0KOBhzCBhDAP"
    "BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAhBgNVHREEGjAYhhZzcGlmZmU6Ly9jbHVzdGVyLmxvY2FsMB0G"
    "A1UdDgQWBBR8GtKhkQkrRk3GX5F0sBUis4lYpjAfBgNVHSMEGDAWgBR8GtKhkQkrRk3GX5F0sBUis4lYpjAKBggqhkjO"
    "PQQDAgNIADBFAiEAwKOwx66IRJieKV3hWo/z8JPDlPVBrnxzm45lgFKJP+ICIAow9VuTlgzGYWmX1FeXD40rPLmePlgC"
    "mXYxVZFHh+Gd";
constexpr int64_t kNow = 1'800'000'000;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "peer_chain_fuzz: %s\n", what);
  std::abort();
}

std::shared_ptr<const TrustBundles> bundles() {
  static const auto made =
      TrustBundles::make({{"cluster.local", {*codec::decode_base64(kRoot)}}}).value();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const WallTime now{std::chrono::seconds((data[0] & 1)   ? kNow + 86400
                                          : (data[0] & 2) ? kNow - 86400
                                                          : kNow)};
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain(sk_CRYPTO_BUFFER_new_null());
  size_t bytes = 0;
  for (size_t at = 1; at + 2 <= size && sk_CRYPTO_BUFFER_num(chain.get()) < 16;) {
    const size_t length = std::min<size_t>(data[at] << 8 | data[at + 1], size - at - 2);
    bssl::UniquePtr<CRYPTO_BUFFER> one(CRYPTO_BUFFER_new(data + at + 2, length, nullptr));
    check(bssl::PushToStack(chain.get(), std::move(one)), "no memory");
    at += 2 + length;
    bytes += length;
  }
  const auto peer = bundles()->verify(chain.get(), now);
  check(ERR_peek_error() == 0, "an error was left in the library's queue");
  const auto cache = VerifiedChains::make(bundles(), 4);
  for (int i = 0; i < 2; ++i) {
    const auto cached = cache->verify(chain.get(), now);
    check(cached.has_value() == peer.has_value(), "the cache thinks otherwise");
    if (cached) check((*cached)->id == peer->id, "the cache has another peer");
  }
  if (!peer) {
    check(peer.error().code == Code::kDenied && !peer.error().message.empty(), "no reason");
    check(cache->size() == 0, "a refused chain is kept");
    return 0;
  }
  check(cache->hits() == 1, "an accepted chain is not kept");
  check(sk_CRYPTO_BUFFER_num(chain.get()) <= kMaxChainCertificates && bytes <= kMaxChainBytes,
        "a chain that is too long is accepted");
  check(peer->id.trust_domain == "cluster.local", "a foreign peer is accepted");
  check(parse_spiffe_id(peer->id.to_string()).value() == peer->id, "not a SPIFFE ID");
  check(peer->trusted_from >= peer->not_before && peer->trusted_until <= peer->not_after &&
            now >= peer->trusted_from && now < peer->trusted_until,
        "accepted outside of its time");
  return 0;
}
