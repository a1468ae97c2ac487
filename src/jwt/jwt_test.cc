#include "jwt/jwt.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "jwt/test_signer.h"

namespace sallyport::jwt {
namespace {

using namespace std::string_literals;
using testing::base64url;
using testing::Signer;

constexpr int64_t kNow = 1'800'000'000;
const WallTime now{std::chrono::seconds(kNow)};

std::shared_ptr<const KeySet> keys_of(const std::string& jwk) {
  auto set = KeySet::parse("{\"keys\":[" + jwk + "]}");
  EXPECT_TRUE(set.has_value()) << set.error().message;
  return *set;
}

// "ok", or why not.
std::string outcome(std::string_view token, const KeySet& keys, const Expectation& expected = {},
                    WallTime time = now) {
  const auto verified = verify(token, keys, expected, time);
  EXPECT_EQ(ERR_peek_error(), 0u) << "an error was left in the library's queue";
  if (verified) return "ok";
  switch (verified.error()) {
    case Failure::kMalformed:
      return "malformed";
    case Failure::kAlgorithm:
      return "algorithm";
    case Failure::kNoKey:
      return "no key";
    case Failure::kSignature:
      return "signature";
    case Failure::kExpired:
      return "expired";
    case Failure::kNotYet:
      return "not yet";
    case Failure::kIssuer:
      return "issuer";
    case Failure::kAudience:
      return "audience";
  }
  return "?";
}

const Signer& p256() {
  static const Signer signer = Signer::p256();
  return signer;
}
const Signer& rsa() {
  static const Signer signer = Signer::rsa();
  return signer;
}
std::string es256(std::string_view claims, std::string_view header = R"({"alg":"ES256"})") {
  return p256().token(header, claims);
}

TEST(Jwt, EveryAlgorithm) {
  const Signer p384 = Signer::p384(), p521 = Signer::p521(), ed = Signer::ed25519();
  const struct {
    std::string alg;
    const Signer& signer;
    const EVP_MD* digest;
    bool pss;
  } table[] = {
      {"RS256", rsa(), EVP_sha256(), false},  {"RS384", rsa(), EVP_sha384(), false},
      {"RS512", rsa(), EVP_sha512(), false},  {"PS256", rsa(), EVP_sha256(), true},
      {"PS384", rsa(), EVP_sha384(), true},   {"PS512", rsa(), EVP_sha512(), true},
      {"ES256", p256(), EVP_sha256(), false}, {"ES384", p384, EVP_sha384(), false},
      {"ES512", p521, EVP_sha512(), false},   {"EdDSA", ed, nullptr, false},
  };
  for (const auto& row : table) {
    const std::string token = row.signer.token(R"({"alg":")" + row.alg + R"(","kid":"k"})",
                                               R"({"iss":"me","sub":"you"})", row.digest, row.pss);
    const auto keys = keys_of(row.signer.jwk(R"("kid":"k","use":"sig","alg":")" + row.alg + "\""));
    const auto verified = verify(token, *keys, {}, now);
    ASSERT_TRUE(verified.has_value()) << row.alg << ": " << to_string(verified.error());
    EXPECT_EQ(verified->issuer, "me");
    EXPECT_EQ(verified->subject, "you");
    EXPECT_EQ((*verified->claims)["sub"].as_string(), "you");
    // Each byte of the text is signed, and each of the signature counts.
    for (size_t i : {size_t{3}, token.find('.') + 3, token.size() - 10}) {
      std::string bent = token;
      bent[i] = bent[i] == 'A' ? 'B' : 'A';
      EXPECT_NE(outcome(bent, *keys), "ok") << row.alg << " at " << i;
    }
    EXPECT_NE(outcome(token.substr(0, token.size() - 4), *keys), "ok") << row.alg;
    EXPECT_NE(outcome(token.substr(0, token.rfind('.') + 1), *keys), "ok") << row.alg;
  }
}

// The examples of RFC 7515 appendix A and of RFC 8037 appendix A.
constexpr char kRfcRsaKey[] =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4q)"
    R"(PCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LO)"
    R"(L-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwK)"
    R"(h9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",)"
    R"("e":"AQAB"})";
constexpr char kRfcClaims[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ";
const WallTime rfc_time{std::chrono::seconds(1300819379)};

TEST(Jwt, VectorsOfRfc7515) {
  const std::string rs256 =
      "eyJhbGciOiJSUzI1NiJ9."s + kRfcClaims +
      ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2F"
      "p5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
      "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHl"
      "b1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
      "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
      "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
  const auto rsa_keys = keys_of(kRfcRsaKey);
  EXPECT_EQ(outcome(rs256, *rsa_keys, {}, rfc_time), "ok");
  EXPECT_EQ(outcome(rs256, *rsa_keys), "expired");
  EXPECT_EQ(unverified_issuer(rs256), "joe");

  const std::string token =
      "eyJhbGciOiJFUzI1NiJ9."s + kRfcClaims +
      ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
  const auto ec_keys =
      keys_of(R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
              R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  EXPECT_EQ(outcome(token, *ec_keys, {}, rfc_time), "ok");

  const std::string es512 =
      "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
      "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8G"
      "aSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
  const auto p521_keys = keys_of(
      R"({"kty":"EC","crv":"P-521",)"
      R"("x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",)"
      R"("y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"})");
  // The signature is good; what is signed ("Payload") is no set of claims.
  EXPECT_EQ(outcome(es512, *p521_keys), "malformed");
  std::string bent = es512;
  bent[22] = 'V';
  EXPECT_EQ(outcome(bent, *p521_keys), "signature");

  // A.5, "none", and A.1, HMAC.
  EXPECT_EQ(outcome("eyJhbGciOiJub25lIn0."s + kRfcClaims + ".", *rsa_keys, {}, rfc_time),
            "algorithm");
  EXPECT_EQ(outcome("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."s + kRfcClaims +
                        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                    *rsa_keys, {}, rfc_time),
            "algorithm");
}

TEST(Jwt, VectorOfRfc8037) {
  const auto keys =
      keys_of(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
  const std::string token =
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  EXPECT_EQ(outcome(token, *keys), "malformed");  // signed well, but no claims
  std::string bent = token;
  bent[25] = bent[25] == 'A' ? 'B' : 'A';
  EXPECT_EQ(outcome(bent, *keys), "signature");
}

TEST(Jwt, NoneIsNeverAccepted) {
  const auto keys = keys_of(p256().jwk());
  for (const std::string alg : {"none", "None", "NONE", "nOnE", "", " none", "null"}) {
    const std::string text =
        base64url(R"({"alg":")" + alg + "\"}") + "." + base64url(R"({"iss":"me"})");
    EXPECT_EQ(outcome(text + ".", *keys), "algorithm") << alg;
    EXPECT_EQ(outcome(text + ".AAAA", *keys), "algorithm") << alg;
  }
  EXPECT_EQ(outcome(base64url("{}") + "." + base64url("{}") + ".", *keys), "algorithm");
  EXPECT_EQ(outcome(base64url(R"({"alg":null})") + "." + base64url("{}") + ".", *keys),
            "algorithm");
  EXPECT_EQ(outcome(base64url(R"({"alg":["ES256"]})") + "." + base64url("{}") + ".", *keys),
            "algorithm");
}

TEST(Jwt, AnHmacWithThePublicKeyIsNeverAccepted) {
  const std::string jwk = rsa().jwk(R"("kid":"k")");
  const auto keys = keys_of(jwk);
  for (const std::string& secret : {jwk, "{\"keys\":[" + jwk + "]}", ""s})
    for (const std::string alg : {"HS256", "HS384", "HS512", "hs256"})
      EXPECT_EQ(outcome(testing::hmac_token(R"({"alg":")" + alg + R"(","kid":"k"})", "{}", secret),
                        *keys),
                "algorithm");
  // The same bytes under the name of the key's algorithm.
  EXPECT_EQ(outcome(testing::hmac_token(R"({"alg":"RS256","kid":"k"})", "{}", jwk), *keys),
            "signature");
}

TEST(Jwt, AKeyOfAnotherTypeIsNeverUsed) {
  const Signer p384 = Signer::p384();
  const auto both = keys_of(rsa().jwk(R"("kid":"r")") + "," + p256().jwk(R"("kid":"e")") + "," +
                            p384.jwk(R"("kid":"f")"));
  // The name of one key, the algorithm of another.
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":"r"})"), *both), "algorithm");
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS256","kid":"e"})", "{}"), *both), "algorithm");
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"RS256","kid":"e"})"), *both), "algorithm");
  // Another curve: by name, and by a signature of the other curve's size.
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES384","kid":"e"})"), *both), "algorithm");
  EXPECT_EQ(outcome(p384.token(R"({"alg":"ES256","kid":"f"})", "{}", EVP_sha256()), *both),
            "algorithm");
  EXPECT_EQ(outcome(p384.token(R"({"alg":"ES256"})", "{}", EVP_sha256()), *both), "signature");
  // Another padding or digest than the header says.
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"PS256"})", "{}"), *both), "signature");
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS256"})", "{}", EVP_sha256(), true), *both),
            "signature");
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS256"})", "{}", EVP_sha512()), *both), "signature");
  // A key that is for one algorithm only.
  const auto only = keys_of(rsa().jwk(R"("kid":"k","alg":"RS512")"));
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS256","kid":"k"})", "{}"), *only), "algorithm");
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS512","kid":"k"})", "{}", EVP_sha512()), *only), "ok");
}

TEST(Jwt, KeysAreFoundByNameOrByTrying) {
  const Signer other = Signer::p256();
  const auto keys = keys_of(other.jwk(R"("kid":"a")") + "," + p256().jwk(R"("kid":"b")"));
  EXPECT_EQ(outcome(es256("{}"), *keys), "ok");
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":"b"})"), *keys), "ok");
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":"a"})"), *keys), "signature");
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":"c"})"), *keys), "no key");
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":7})"), *keys), "malformed");
  EXPECT_EQ(outcome(rsa().token(R"({"alg":"RS256"})", "{}"), *keys), "no key");
  const auto unnamed = keys_of(p256().jwk());
  EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","kid":"c"})"), *unnamed), "ok");
  // Trying is bounded: the right key behind sixteen others is not reached.
  std::string many;
  for (int i = 0; i < 16; ++i) many += other.jwk() + ",";
  EXPECT_EQ(outcome(es256("{}"), *keys_of(many + p256().jwk())), "signature");
  EXPECT_EQ(outcome(es256("{}"), *keys_of(p256().jwk() + "," + many + other.jwk())), "ok");
}

TEST(Jwt, EmbeddedKeysAndExtensionsCountForNothing) {
  const Signer evil = Signer::p256();
  const auto keys = keys_of(p256().jwk(R"("kid":"k")"));
  EXPECT_EQ(outcome(evil.token(R"({"alg":"ES256","jwk":)" + evil.jwk() + "}", "{}"), *keys),
            "signature");
  EXPECT_EQ(outcome(evil.token(R"({"alg":"ES256","jku":"https://evil.example/k"})", "{}"), *keys),
            "signature");
  for (const std::string crit : {R"(["exp"])", R"([])", R"(["b64"],"b64":false)", "null"})
    EXPECT_EQ(outcome(es256("{}", R"({"alg":"ES256","crit":)" + crit + "}"), *keys), "malformed");
}

TEST(Jwt, RefusesWhatIsNoToken) {
  const auto keys = keys_of(p256().jwk());
  const std::string good = es256(R"({"iss":"me"})");
  const size_t first = good.find('.'), second = good.rfind('.');
  const std::string header = good.substr(0, first),
                    claims = good.substr(first + 1, second - first - 1);
  const std::string signature = good.substr(second + 1);
  ASSERT_EQ(outcome(good, *keys), "ok");
  const auto with_claims = [&](std::string_view text) { return es256(text); };
  for (const std::string& bad : {
           ""s,
           "."s,
           ".."s,
           "..."s,
           "a.b.c"s,
           header,
           header + "." + claims,
           good + ".",
           good + ".x",
           "." + claims + "." + signature,
           good + "=",
           good + "==",
           header + "=." + claims + "." + signature,
           good + " ",
           " " + good,
           good + "\n",
           "Bearer " + good,
           good + "\0"s,
           header + "." + claims + "." + signature.substr(0, 81),  // 4n + 1 characters
           with_claims(""),
           with_claims("[]"),
           with_claims("null"),
           with_claims("\"x\""),
           with_claims("{"),
           with_claims("{}x"),
           with_claims(R"({"a":1,"a":1})"),
           with_claims(R"({"iss":"me","iss":"you"})"),
           with_claims(R"({"a":{"b":1,"b":2}})"),
           with_claims(R"({"iss":"me","\u0069ss":"you"})"),
           with_claims(R"({"a":)" + std::string(40, '[') + std::string(40, ']') + "}"),
           with_claims("{\"a\":\"\xff\"}"),
           with_claims(R"({"a":1e999})"),
           es256("{}", R"({"alg":"ES256","alg":"ES256"})"),
           es256("{}", R"({"alg":"none","alg":"ES256"})"),
           es256("{}", "[]"),
           es256("{}",
                 R"({"alg":"ES256","x":)" + std::string(40, '[') + std::string(40, ']') + "}"),
       })
    EXPECT_EQ(outcome(bad, *keys), "malformed") << bad;
  EXPECT_EQ(outcome(header + ".." + signature, *keys), "signature");
  // Another spelling of the same signature bytes: the unused bits of the last character.
  std::string twin = good;
  const std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  twin.back() = kAlphabet[kAlphabet.find(twin.back()) ^ 1];
  EXPECT_EQ(outcome(twin, *keys), "malformed");
  EXPECT_EQ(outcome(good.substr(0, good.size() - 2), *keys), "signature");
  // Standard base64 instead of base64url.
  // In the signature, which is random and read before the claims are: one that has such a
  // character.
  std::string other;
  for (int i = 0; i < 1000 && other.find_first_of("-_", other.rfind('.') + 1) == std::string::npos;
       ++i)
    other = es256(R"({"a":"???>>>"})");
  ASSERT_NE(other.find_first_of("-_", other.rfind('.') + 1), std::string::npos);
  for (char& c : other) c = c == '-' ? '+' : c == '_' ? '/' : c;
  EXPECT_EQ(outcome(other, *keys), "malformed");
}

TEST(Jwt, SizeIsBounded) {
  const auto keys = keys_of(p256().jwk());
  EXPECT_EQ(outcome(es256(R"({"a":")" + std::string(12000, 'x') + "\"}"), *keys), "ok");
  EXPECT_EQ(outcome(es256(R"({"a":")" + std::string(13000, 'x') + "\"}"), *keys), "malformed");
  EXPECT_EQ(outcome(std::string(10 << 20, 'x'), *keys), "malformed");
  EXPECT_EQ(outcome(std::string(10 << 20, '.'), *keys), "malformed");
}

TEST(Jwt, EcdsaSignaturesAreRawAndWhole) {
  const auto keys = keys_of(p256().jwk());
  const std::string text = base64url(R"({"alg":"ES256"})") + "." + base64url("{}");
  const std::string signature = p256().sign(text, EVP_sha256());
  ASSERT_EQ(signature.size(), 64u);
  const auto with = [&](const std::string& bytes) {
    return outcome(text + "." + base64url(bytes), *keys);
  };
  EXPECT_EQ(with(signature), "ok");
  EXPECT_EQ(with(std::string(64, '\0')), "signature");  // r = s = 0
  EXPECT_EQ(with(std::string(64, '\xff')), "signature");
  EXPECT_EQ(with(std::string(32, '\0') + signature.substr(32)), "signature");
  EXPECT_EQ(with(signature.substr(0, 32) + std::string(32, '\0')), "signature");
  EXPECT_EQ(with(""), "signature");
  EXPECT_EQ(with(signature.substr(0, 63)), "signature");
  EXPECT_EQ(with(signature + '\0'), "signature");
  EXPECT_EQ(with('\0' + signature), "signature");
  EXPECT_EQ(with("\x30\x44" + signature), "signature");
}

TEST(Jwt, Times) {
  const auto keys = keys_of(p256().jwk());
  const auto at = [&](const std::string& claims, int64_t offset) {
    return outcome(es256(claims), *keys, {}, now + std::chrono::seconds(offset));
  };
  const std::string exp = R"({"exp":1800000000})", nbf = R"({"nbf":1800000000})";
  EXPECT_EQ(at(exp, -1), "ok");
  EXPECT_EQ(at(exp, 59), "ok");  // the leeway
  EXPECT_EQ(at(exp, 60), "expired");
  EXPECT_EQ(at(nbf, -60), "ok");
  EXPECT_EQ(at(nbf, -61), "not yet");
  EXPECT_EQ(at(R"({"exp":1800000000.5})", 60), "ok");
  EXPECT_EQ(at(R"({"exp":1.8e9})", 60), "expired");
  EXPECT_EQ(at(R"({"iat":1900000000})", 0), "ok");
  EXPECT_EQ(at("{}", 0), "ok");
  Expectation strict;
  strict.leeway = std::chrono::seconds(0);
  EXPECT_EQ(outcome(es256(exp), *keys, strict, now), "expired");
  EXPECT_EQ(outcome(es256(nbf), *keys, strict, now), "ok");
  for (const std::string name : {"exp", "nbf", "iat"})
    for (const std::string value :
         {"\"1900000000\"", "null", "true", "[]", "{}", "-1", "1e300", "253402300800",
          "9223372036854775807", "99999999999999999999999"})
      EXPECT_EQ(at("{\"" + name + "\":" + value + "}", 0), "malformed") << name << " " << value;
  EXPECT_EQ(at(R"({"exp":0})", 0), "expired");
}

TEST(Jwt, IssuersAndAudiences) {
  const auto keys = keys_of(p256().jwk());
  const std::vector<std::string> accepted = {"a", "b"}, none;
  Expectation expected;
  expected.issuer = "me";
  EXPECT_EQ(outcome(es256(R"({"iss":"me"})"), *keys, expected), "ok");
  EXPECT_EQ(outcome(es256(R"({"iss":"me/"})"), *keys, expected), "issuer");
  EXPECT_EQ(outcome(es256(R"({"iss":"Me"})"), *keys, expected), "issuer");
  EXPECT_EQ(outcome(es256("{}"), *keys, expected), "issuer");
  EXPECT_EQ(outcome(es256(R"({"iss":7})"), *keys, expected), "malformed");
  EXPECT_EQ(outcome(es256(R"({"iss":"me","sub":7})"), *keys, expected), "malformed");
  expected = {};
  expected.audiences = &none;
  EXPECT_EQ(outcome(es256("{}"), *keys, expected), "ok");
  expected.audiences = &accepted;
  for (const std::string aud : {R"("a")", R"("b")", R"(["x","b"])", R"(["a"])"})
    EXPECT_EQ(outcome(es256(R"({"aud":)" + aud + "}"), *keys, expected), "ok") << aud;
  for (const std::string aud : {R"("c")", R"("a b")", R"([])", R"(["x"])", R"("A")", R"("")"})
    EXPECT_EQ(outcome(es256(R"({"aud":)" + aud + "}"), *keys, expected), "audience") << aud;
  EXPECT_EQ(outcome(es256("{}"), *keys, expected), "audience");
  for (const std::string aud : {"7", "null", R"(["a",7])", R"({"a":"a"})", R"([["a"]])"})
    EXPECT_EQ(outcome(es256(R"({"aud":)" + aud + "}"), *keys, expected), "malformed") << aud;
}

TEST(Jwt, AForgerLearnsNothingFromClaims) {
  // The signature is judged before what it signs.
  const Signer evil = Signer::p256();
  const auto keys = keys_of(p256().jwk());
  Expectation expected;
  expected.issuer = "me";
  for (const std::string claims : {R"({"iss":"you"})", R"({"exp":1})", "rubbish", "{}"})
    EXPECT_EQ(outcome(evil.token(R"({"alg":"ES256"})", claims), *keys, expected), "signature");
}

TEST(Jwt, UnverifiedIssuer) {
  EXPECT_EQ(unverified_issuer(es256(R"({"iss":"me"})")), "me");
  EXPECT_EQ(unverified_issuer("x." + base64url(R"({"iss":"me"})") + ".x"), "me");
  for (const std::string& bad :
       {""s, "a.b"s, "x." + base64url(R"({"iss":7})") + ".x", "x." + base64url("{}") + ".x",
        "x." + base64url("[]") + ".x", "x." + base64url(R"({"iss":"a","iss":"b"})") + ".x",
        std::string(20000, 'x')})
    EXPECT_EQ(unverified_issuer(bad), "") << bad;
}

TEST(Jwt, WordsForPeople) {
  EXPECT_EQ(to_string(Failure::kExpired), "Jwt is expired");
  EXPECT_EQ(to_string(Failure::kSignature), "Jwt verification fails");
  for (int i = 0; i <= static_cast<int>(Failure::kAudience); ++i)
    EXPECT_NE(to_string(static_cast<Failure>(i)), "Jwt is refused");
}

}  // namespace
}  // namespace sallyport::jwt
