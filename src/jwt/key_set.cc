#include "jwt/key_set.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <optional>

#include "codec/json.h"
#include "jwt/base64url.h"

namespace sallyport::jwt {
namespace {

using codec::Value;

constexpr size_t kMaxSet = 1 << 20;  // bytes
constexpr size_t kMaxKeys = 256;
constexpr int kMaxDepth = 16;
constexpr unsigned kLeastRsaBits = 2048, kMostRsaBits = 8192;

struct Curve {
  std::string_view name;
  KeyType type;
  int nid;
  size_t bytes;
};
constexpr Curve kCurves[] = {{"P-256", KeyType::kP256, NID_X9_62_prime256v1, 32},
                             {"P-384", KeyType::kP384, NID_secp384r1, 48},
                             {"P-521", KeyType::kP521, NID_secp521r1, 66}};

std::unexpected<Error> bad(std::string why) {
  ERR_clear_error();
  return fail(Code::kInvalid, std::move(why));
}

Result<std::string> member_bytes(const Value& jwk, std::string_view name) {
  const Value* member = jwk.find(name);
  if (!member || !member->is_string())
    return bad("\"" + std::string(name) + "\" is missing or no string");
  auto bytes = decode_base64url(member->as_string());
  if (!bytes || bytes->empty())
    return bad("\"" + std::string(name) + "\" is not base64url without padding");
  return std::move(*bytes);
}

bssl::UniquePtr<BIGNUM> number(const std::string& bytes) {
  return bssl::UniquePtr<BIGNUM>(
      BN_bin2bn(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), nullptr));
}

Result<bssl::UniquePtr<EVP_PKEY>> rsa_key(const Value& jwk) {
  SP_TRY(const std::string n, member_bytes(jwk, "n"));
  SP_TRY(const std::string e, member_bytes(jwk, "e"));
  if (n.size() > kMostRsaBits / 8 + 1) return bad("the RSA key has more than 8192 bits");
  const auto modulus = number(n), exponent = number(e);
  bssl::UniquePtr<RSA> rsa(modulus && exponent ? RSA_new_public_key(modulus.get(), exponent.get())
                                               : nullptr);
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (!rsa || !key || !EVP_PKEY_set1_RSA(key.get(), rsa.get())) return bad("not an RSA key");
  if (BN_num_bits(modulus.get()) < kLeastRsaBits) return bad("the RSA key has less than 2048 bits");
  if (BN_num_bits(modulus.get()) > kMostRsaBits) return bad("the RSA key has more than 8192 bits");
  return key;
}

Result<bssl::UniquePtr<EVP_PKEY>> ec_key(const Value& jwk, const Curve& curve) {
  SP_TRY(const std::string x, member_bytes(jwk, "x"));
  SP_TRY(const std::string y, member_bytes(jwk, "y"));
  if (x.size() != curve.bytes || y.size() != curve.bytes)
    return bad("a coordinate on " + std::string(curve.name) + " has " +
               std::to_string(curve.bytes) + " bytes");
  const auto x_number = number(x), y_number = number(y);
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve.nid));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (!x_number || !y_number || !ec || !key) return fail(Code::kExhausted, "out of memory");
  if (!EC_KEY_set_public_key_affine_coordinates(ec.get(), x_number.get(), y_number.get()) ||
      !EVP_PKEY_set1_EC_KEY(key.get(), ec.get()))
    return bad("the point is not on the curve " + std::string(curve.name));
  return key;
}

Result<bssl::UniquePtr<EVP_PKEY>> ed25519_key(const Value& jwk) {
  SP_TRY(const std::string x, member_bytes(jwk, "x"));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const uint8_t*>(x.data()), x.size()));
  if (!key) return bad("an Ed25519 key has 32 bytes");
  return key;
}

// What the key says it is for: signatures, and their verification (RFC 7517 sections 4.2, 4.3).
bool is_for_verification(const Value& jwk) {
  if (const Value* use = jwk.find("use"); use && use->as_string() != "sig") return false;
  const Value* operations = jwk.find("key_ops");
  if (!operations) return true;
  if (!operations->is_list()) return false;
  return std::any_of(operations->items().begin(), operations->items().end(),
                     [](const Value& one) { return one.as_string() == "verify"; });
}

bool has_private_part(const Value& jwk) {
  return jwk.find("d") || jwk.find("k") || jwk.find("p") || jwk.find("q");
}

// Nothing for a key of a kind, curve or purpose that is not used here.
Result<std::optional<Key>> read_key(const Value& jwk) {
  if (!jwk.is_map()) return bad("a " + std::string(jwk.type_name()) + ", expected a map");
  const Value& kty = jwk["kty"];
  if (!kty.is_string()) return bad("\"kty\" is missing or no string");
  if (!is_for_verification(jwk)) return std::nullopt;
  Key key;
  if (const Value* id = jwk.find("kid")) {
    if (!id->is_string()) return bad("\"kid\" is no string");
    key.id = id->as_string();
  }
  Result<bssl::UniquePtr<EVP_PKEY>> material = nullptr;
  if (kty.as_string() == "RSA") {
    key.type = KeyType::kRsa;
    material = rsa_key(jwk);
  } else if (kty.as_string() == "EC") {
    const auto* curve = std::find_if(std::begin(kCurves), std::end(kCurves), [&](const Curve& c) {
      return c.name == jwk["crv"].as_string();
    });
    if (curve == std::end(kCurves)) return std::nullopt;
    key.type = curve->type;
    material = ec_key(jwk, *curve);
  } else if (kty.as_string() == "OKP" && jwk["crv"].as_string() == "Ed25519") {
    key.type = KeyType::kEd25519;
    material = ed25519_key(jwk);
  } else {
    return std::nullopt;
  }
  if (!material) return std::unexpected(std::move(material).error());
  key.key = std::move(*material);
  if (const Value* name = jwk.find("alg")) {
    key.only = find_algorithm(name->as_string());
    if (!key.only || key.only->key != key.type) return std::nullopt;
  }
  return key;
}

}  // namespace

Result<std::shared_ptr<const KeySet>> KeySet::parse(std::string_view json) {
  auto document = codec::parse_json(json, kMaxSet, kMaxDepth);
  if (!document) return fail(Code::kInvalid, "key set: " + document.error().message);
  const Value* list = document->find("keys");
  if (!list || !list->is_list()) return bad("key set: it has no list \"keys\"");
  if (list->items().size() > kMaxKeys)
    return bad("key set: more than " + std::to_string(kMaxKeys) + " keys");
  auto set = std::make_shared<ParsedKeySet>();
  for (size_t i = 0; i < list->items().size(); ++i) {
    const Value& jwk = list->items()[i];
    auto key = read_key(jwk);
    if (!key) return fail_in("key set: keys[" + std::to_string(i) + "]", std::move(key).error());
    if (jwk.is_map() && has_private_part(jwk)) set->private_keys = true;
    if (*key) set->keys.push_back(std::move(**key));
  }
  if (set->keys.empty()) return bad("key set: it holds no key that verifies signatures");
  return set;
}

}  // namespace sallyport::jwt
