#include <gtest/gtest.h>
#include <openssl/err.h>

#include "jwt/jwt.h"
#include "jwt/test_signer.h"

namespace sallyport::jwt {
namespace {

using namespace std::string_literals;
using testing::base64url;
using testing::Signer;

Result<std::shared_ptr<const KeySet>> parse(const std::string& keys) {
  auto set = KeySet::parse("{\"keys\":[" + keys + "]}");
  EXPECT_EQ(ERR_peek_error(), 0u) << "an error was left in the library's queue";
  return set;
}

void refused(const Result<std::shared_ptr<const KeySet>>& set, std::string_view word) {
  ASSERT_FALSE(set.has_value()) << "accepted; expected was: " << word;
  EXPECT_EQ(set.error().code, Code::kInvalid);
  EXPECT_NE(set.error().message.find(word), std::string::npos)
      << "said: " << set.error().message << "; expected was: " << word;
}

TEST(KeySet, CountsUsableKeys) {
  const std::string usable = Signer::p256().jwk();
  for (const std::string& other : {
           R"({"kty":"oct","k":"c2VjcmV0"})"s,
           R"({"kty":"new"})"s,
           R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})"s,
           R"({"kty":"OKP","crv":"X25519","x":"AA"})"s,
           R"({"kty":"OKP","crv":"Ed448","x":"AA"})"s,
           Signer::p256().jwk(R"("use":"enc")"),
           Signer::p256().jwk(R"("use":7)"),
           Signer::p256().jwk(R"("key_ops":["sign"])"),
           Signer::p256().jwk(R"("key_ops":[])"),
           Signer::p256().jwk(R"("key_ops":"verify")"),
           Signer::p256().jwk(R"("alg":"ES384")"),
           Signer::p256().jwk(R"("alg":"RS256")"),
           Signer::p256().jwk(R"("alg":"ECDH-ES")"),
           Signer::p256().jwk(R"("alg":"none")"),
           Signer::rsa().jwk(R"("alg":"HS256")"),
           Signer::rsa().jwk(R"("alg":"RSA-OAEP")"),
       }) {
    const auto both = parse(other + "," + usable);
    ASSERT_TRUE(both.has_value()) << other << ": " << both.error().message;
    EXPECT_EQ((*both)->size(), 1u) << other;
    refused(parse(other), "no key that verifies signatures");
  }
  const auto all = parse(usable + "," + Signer::p384().jwk(R"("use":"sig")") + "," +
                         Signer::p521().jwk(R"("key_ops":["verify"])") + "," +
                         Signer::ed25519().jwk(R"("alg":"EdDSA")") + "," +
                         Signer::rsa().jwk(R"("alg":"PS384","x5t":"ignored")"));
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_EQ((*all)->size(), 5u);
  EXPECT_FALSE((*all)->has_private_keys());
}

TEST(KeySet, TellsOfPrivateKeys) {
  EXPECT_TRUE((*parse(Signer::p256().jwk(R"("d":"AA")")))->has_private_keys());
  EXPECT_TRUE(
      (*parse(Signer::p256().jwk() + R"(,{"kty":"oct","k":"c2VjcmV0"})"))->has_private_keys());
}

TEST(KeySet, RefusesWhatIsNoKeySet) {
  for (const std::string& text :
       {""s, "{}"s, "[]"s, "null"s, R"({"keys":{}})"s, R"({"keys":null})"s, R"({"Keys":[]})"s,
        R"({"keys":[],"keys":[]})"s, "{\"keys\":[]"s, Signer::p256().jwk(),
        "-----BEGIN PUBLIC KEY-----"s})
    EXPECT_FALSE(KeySet::parse(text).has_value()) << text;
  refused(KeySet::parse(R"({"keys":[]})"), "no key that verifies");
  refused(KeySet::parse("{\"keys\":[]}" + std::string(2 << 20, ' ')), "key set");
  refused(KeySet::parse("{\"keys\":" + std::string(50, '[') + std::string(50, ']') + "}"),
          "nested deeper");
  std::string many = R"({"kty":"new"})";
  for (int i = 0; i < 256; ++i) many += R"(,{"kty":"new"})";
  refused(parse(many), "more than 256 keys");
}

TEST(KeySet, RefusesMalformedKeys) {
  const std::string good = Signer::p256().jwk() + ",";
  const std::string zeros32 = base64url(std::string(32, '\0'));
  const std::string modulus = base64url(std::string(256, '\xff'));
  const struct {
    std::string jwk, word;
  } table[] = {
      {"7", "keys[1]: a integer"},
      {"{}", "keys[1]: \"kty\" is missing"},
      {R"({"kty":7})", "\"kty\" is missing or no string"},
      {Signer::p256().jwk(R"("kid":7)"), "\"kid\" is no string"},
      {R"({"kty":"EC","crv":"P-256"})", "\"x\" is missing"},
      {R"({"kty":"EC","crv":"P-256","x":7,"y":7})", "\"x\" is missing or no string"},
      {R"({"kty":"EC","crv":"P-256","x":"AA==","y":"AA"})", "\"x\" is not base64url"},
      {R"({"kty":"EC","crv":"P-256","x":"","y":"AA"})", "\"x\" is not base64url"},
      {R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})", "has 32 bytes"},
      {R"({"kty":"EC","crv":"P-256","x":")" + zeros32 + R"(","y":")" + zeros32 + "\"}",
       "not on the curve P-256"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})", "32 bytes"},
      {R"({"kty":"OKP","crv":"Ed25519"})", "\"x\" is missing"},
      {R"({"kty":"RSA","e":"AQAB"})", "\"n\" is missing"},
      {R"({"kty":"RSA","n":")" + modulus + "\"}", "\"e\" is missing"},
      {R"({"kty":"RSA","e":"AQ","n":")" + modulus + "\"}", "not an RSA key"},
      {R"({"kty":"RSA","e":"Ag","n":")" + modulus + "\"}", "not an RSA key"},
      {R"({"kty":"RSA","e":"AQAB","n":"AA"})", "not an RSA key"},
      {R"({"kty":"RSA","e":"AQAB","n":")" + base64url(std::string(4096, '\xff')) + "\"}",
       "more than 8192 bits"},
      {Signer::rsa(1024).jwk(), "less than 2048 bits"},
  };
  for (const auto& [jwk, word] : table) refused(parse(good + jwk), word);
}

TEST(KeySet, APointOfAnotherCurveIsRefused) {
  // The coordinates of a P-384 key, cut to the size of P-256.
  const std::string x = base64url(std::string(31, '\x11') + "\x01");
  refused(parse(R"({"kty":"EC","crv":"P-256","x":")" + x + R"(","y":")" + x + "\"}"),
          "not on the curve");
}

}  // namespace
}  // namespace sallyport::jwt
