#include "jwt/jwt.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "codec/json.h"
#include "jwt/base64url.h"
#include "jwt/key_set.h"
#include "jwt/signature.h"

namespace sallyport::jwt {
namespace {

using codec::Value;

constexpr size_t kMaxToken = 16 << 10;  // bytes
constexpr int kMaxDepth = 16;
constexpr int kMaxTried = 16;               // keys, where the token does not say which
constexpr double kLastDate = 253402300799;  // the end of the year 9999

struct Parts {
  std::string_view header, claims, signature, signed_text;
};

std::optional<Parts> split_token(std::string_view token) {
  if (token.size() > kMaxToken) return std::nullopt;
  const size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string_view signature = token.substr(second + 1);
  if (signature.find('.') != std::string_view::npos) return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), signature,
               token.substr(0, second)};
}

// A JSON object, strictly: no duplicate names, bounded depth.
std::optional<Value> read_object(std::string_view encoded) {
  const auto text = decode_base64url(encoded);
  if (!text) return std::nullopt;
  auto value = codec::parse_json(*text, kMaxToken, kMaxDepth);
  if (!value || !value->is_map()) return std::nullopt;
  return std::move(*value);
}

std::expected<void, Failure> check_signature(const Parts& parts, const ParsedKeySet& set) {
  const auto header = read_object(parts.header);
  const auto signature = decode_base64url(parts.signature);
  if (!header || !signature) return std::unexpected(Failure::kMalformed);
  const Value* kid = header->find("kid");
  if (kid && !kid->is_string()) return std::unexpected(Failure::kMalformed);
  // No extension is understood here, so none that must be understood is accepted (RFC 7515 4.1.11).
  if (header->find("crit")) return std::unexpected(Failure::kMalformed);
  const Algorithm* algorithm = find_algorithm((*header)["alg"].as_string());
  if (!algorithm) return std::unexpected(Failure::kAlgorithm);

  int tried = 0;
  bool other_type = false;  // a key of that name, but not of that type
  for (const Key& key : set.keys) {
    if (kid && !key.id.empty() && key.id != kid->as_string()) continue;
    if (key.type != algorithm->key || (key.only && key.only != algorithm)) {
      other_type = other_type || (kid && !key.id.empty());
      continue;
    }
    if (++tried > kMaxTried) break;
    if (verify_signature(*algorithm, key.key.get(), parts.signed_text, *signature)) return {};
  }
  if (tried > 0) return std::unexpected(Failure::kSignature);
  return std::unexpected(other_type ? Failure::kAlgorithm : Failure::kNoKey);
}

// Seconds since 1970, with a fraction. False where the claim is there and is no date.
bool read_date(const Value& claims, std::string_view name, std::optional<double>* date) {
  const Value* claim = claims.find(name);
  if (!claim) return true;
  if (claim->type() != Value::Type::kInt && claim->type() != Value::Type::kFloat) return false;
  const double seconds = claim->as_double();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kLastDate) return false;
  *date = seconds;
  return true;
}

bool read_text(const Value& claims, std::string_view name, std::string* text) {
  const Value* claim = claims.find(name);
  if (!claim) return true;
  if (!claim->is_string()) return false;
  *text = claim->as_string();
  return true;
}

bool well_formed_audience(const Value& audience) {
  if (audience.is_string()) return true;
  return audience.is_list() && std::all_of(audience.items().begin(), audience.items().end(),
                                           [](const Value& one) { return one.is_string(); });
}

bool is_for(const Value& audience, const std::vector<std::string>& accepted) {
  const auto is_accepted = [&](const Value& one) {
    return std::find(accepted.begin(), accepted.end(), one.as_string()) != accepted.end();
  };
  if (audience.is_string()) return is_accepted(audience);
  return std::any_of(audience.items().begin(), audience.items().end(), is_accepted);
}

std::expected<Token, Failure> check_claims(Value claims, const Expectation& expectation,
                                           WallTime now) {
  Token token;
  std::optional<double> expiry, not_before, issued;
  const Value* audience = claims.find("aud");
  if (!read_text(claims, "iss", &token.issuer) || !read_text(claims, "sub", &token.subject) ||
      !read_date(claims, "exp", &expiry) || !read_date(claims, "nbf", &not_before) ||
      !read_date(claims, "iat", &issued) || (audience && !well_formed_audience(*audience)))
    return std::unexpected(Failure::kMalformed);
  if (!expectation.issuer.empty() && token.issuer != expectation.issuer)
    return std::unexpected(Failure::kIssuer);
  if (expectation.audiences && !expectation.audiences->empty() &&
      !(audience && is_for(*audience, *expectation.audiences)))
    return std::unexpected(Failure::kAudience);
  const double seconds = std::chrono::duration<double>(now.time_since_epoch()).count();
  const double leeway = std::chrono::duration<double>(expectation.leeway).count();
  if (expiry && seconds >= *expiry + leeway) return std::unexpected(Failure::kExpired);
  if (not_before && seconds + leeway < *not_before) return std::unexpected(Failure::kNotYet);
  token.claims = std::make_shared<const Value>(std::move(claims));
  return token;
}

}  // namespace

std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::kMalformed:
      return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    case Failure::kAlgorithm:
      return "Jwt header [alg] is not supported";
    case Failure::kNoKey:
      return "Jwks doesn't have key to match kid or alg from Jwt";
    case Failure::kSignature:
      return "Jwt verification fails";
    case Failure::kExpired:
      return "Jwt is expired";
    case Failure::kNotYet:
      return "Jwt not yet valid";
    case Failure::kIssuer:
      return "Jwt issuer is not configured";
    case Failure::kAudience:
      return "Audiences in Jwt are not allowed";
  }
  return "Jwt is refused";
}

std::string unverified_issuer(std::string_view token) {
  const auto parts = split_token(token);
  if (!parts) return {};
  const auto claims = read_object(parts->claims);
  return claims ? (*claims)["iss"].as_string() : std::string();
}

std::expected<Token, Failure> verify(std::string_view token, const KeySet& keys,
                                     const Expectation& expectation, WallTime now) {
  const auto parts = split_token(token);
  if (!parts) return std::unexpected(Failure::kMalformed);
  const auto* set = dynamic_cast<const ParsedKeySet*>(&keys);
  if (!set) return std::unexpected(Failure::kNoKey);
  if (auto good = check_signature(*parts, *set); !good) return std::unexpected(good.error());
  auto claims = read_object(parts->claims);
  if (!claims) return std::unexpected(Failure::kMalformed);
  return check_claims(std::move(*claims), expectation, now);
}

}  // namespace sallyport::jwt
