// links: codec jwt
// Tokens. Byte 0 even: the rest is a token as it came over the network. Odd: the rest is a header,
// a newline and claims, which are signed here, so that what stands behind the signature is reached.
#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "jwt/jwt.h"
#include "jwt/test_signer.h"

namespace {

using namespace sallyport;
using namespace sallyport::jwt;
using jwt::testing::Signer;

constexpr int64_t kNow = 1'800'000'000;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "jwt_token_fuzz: %s\n", what);
  std::abort();
}

const Signer& own() {
  static const Signer signer = Signer::p256();
  return signer;
}

std::shared_ptr<const KeySet> key_set(const std::string& jwks) {
  return KeySet::parse("{\"keys\":[" + jwks + "]}").value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // Nobody has the private keys of `foreign`, and `mine` signs only what is signed below.
  static const auto mine = key_set(own().jwk(R"("kid":"k")"));
  static const auto foreign = key_set(Signer::rsa().jwk() + "," + Signer::p384().jwk() + "," +
                                      Signer::ed25519().jwk() + "," + Signer::p256().jwk());
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const WallTime now{std::chrono::seconds(kNow)};
  std::string token(rest);
  const bool is_signed = data[0] % 2 == 1;
  if (is_signed) {
    const size_t line = std::min(rest.find('\n'), rest.size());
    token = own().token(rest.substr(0, line), rest.substr(std::min(line + 1, rest.size())));
  }
  const std::string issuer = unverified_issuer(token);
  check(!verify(token, *foreign, {}, now), "a forged token is accepted");
  const auto verified = verify(token, *mine, {}, now);
  check(ERR_peek_error() == 0, "an error was left in the library's queue");
  if (!verified) {
    check(!to_string(verified.error()).empty(), "no reason");
    return 0;
  }
  check(is_signed, "a forged token is accepted");
  check(verified->claims && verified->claims->is_map(), "a token without claims");
  check(verified->issuer == issuer, "two readings of the issuer");
  Expectation expected;
  expected.issuer = "somebody";
  check(issuer == "somebody" || !verify(token, *mine, expected, now), "the issuer is not checked");
  const std::vector<std::string> audiences = {"a"};
  expected = {};
  expected.audiences = &audiences;
  const bool for_a = verify(token, *mine, expected, now).has_value();
  check(!for_a || verified->claims->find("aud"), "the audience is not checked");
  return 0;
}
