#include <algorithm>

#include "base/strings.h"
#include "codec/json.h"
#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

using codec::Value;

constexpr size_t kMostJwtRules = 4096;
constexpr size_t kMostUri = 2048;
constexpr size_t kMostSpaceDelimited = 64;
constexpr std::string_view kDryRunKind = "an AuthorizationPolicy with action ALLOW or DENY";

MutualTlsMode decode_mode(const Field& field) {
  if (field.text() == "DISABLE") return MutualTlsMode::kDisable;
  if (field.text() == "PERMISSIVE") return MutualTlsMode::kPermissive;
  return field.text() == "STRICT" ? MutualTlsMode::kStrict : MutualTlsMode::kUnset;
}

// What is wrong with one key of a set, or nothing.
std::string check_key(const Value& key) {
  if (!key.is_map()) return "is not an object";
  const std::string& type = key["kty"].as_string();
  auto lacks = [&](std::string_view member) { return key[member].as_string().empty(); };
  if (type.empty()) return "has no kty";
  if (type == "RSA" && (lacks("n") || lacks("e"))) return "is of type RSA and lacks n or e";
  if (type == "EC" && (lacks("crv") || lacks("x") || lacks("y")))
    return "is of type EC and lacks crv, x or y";
  if (type == "OKP" && (lacks("crv") || lacks("x"))) return "is of type OKP and lacks crv or x";
  if (type == "oct" && lacks("k")) return "is of type oct and lacks k";
  if (type != "RSA" && type != "EC" && type != "OKP" && type != "oct")
    return "has the unknown type " + quoted(type);
  return "";
}

void check_jwks(const Field& field) {
  if (field.text().empty()) return;
  auto set = codec::parse_json(field.text());
  if (!set) return field.error("is not JSON: " + set.error().message);
  const Value& keys = (*set)["keys"];
  if (!keys.is_list()) return field.error("is not a JWK set, expected {\"keys\": [...]}");
  bool secret = false;
  for (size_t i = 0; i < keys.items().size(); ++i) {
    const Value& key = keys.items()[i];
    if (std::string wrong = check_key(key); !wrong.empty())
      return field.error("key " + std::to_string(i) + " of the set " + wrong);
    secret = secret || key.find("d") != nullptr || key.find("k") != nullptr;
  }
  if (keys.items().empty()) field.warning("holds no key, so that no token is valid");
  if (secret) field.warning("holds a private or secret key; only public keys belong here");
}

void check_uri(const Field& field) {
  const std::string& uri = field.text();
  if (uri.empty()) return;
  if (uri.size() > kMostUri)
    return field.error("is " + std::to_string(uri.size()) + " characters long, expected at most " +
                       std::to_string(kMostUri));
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!uri.starts_with(scheme)) continue;
    std::string_view host = std::string_view(uri).substr(scheme.size());
    if (host.empty() || host.front() == '/' || host.front() == ':' || host.front() == '?')
      field.error(quoted(uri) + " has no host");
    return;
  }
  field.error(quoted(uri) + ": expected a URI with scheme http or https");
}

void no_empty_items(const Field& list, const std::string& what) {
  for (const Field& item : list.items())
    if (item.text().empty() && (item.value().is_string() || !item.present()))
      item.error(what + " must be non-empty");
}

std::vector<JwtHeader> decode_headers(const Field& list) {
  std::vector<JwtHeader> out;
  for (const Field& item : list.items()) {
    Field name = item["name"];
    if (name.text().empty() && item.value().is_map())
      name.error("location header name must be non-empty");
    else if (!name.text().empty())
      if (auto wrong = check_header_name(name.text()))
        name.error(quoted(name.text()) + ": " + *wrong);
    out.push_back({name.text(), item["prefix"].text()});
  }
  return out;
}

bool is_claim_header(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

std::vector<std::pair<std::string, std::string>> decode_claims(const Field& list) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Field& item : list.items()) {
    Field header = item["header"];
    Field claim = item["claim"];
    if (item.value().is_map() && header.text().empty())
      header.error("outputClaimToHeaders header must be non-empty");
    else if (!is_claim_header(header.text()))
      header.error(quoted(header.text()) + ": expected letters, digits, \"-\" and \"_\"");
    if (item.value().is_map() && claim.text().empty())
      claim.error("outputClaimToHeaders claim must be non-empty");
    out.emplace_back(header.text(), claim.text());
  }
  return out;
}

JwtRule decode_jwt_rule(const Field& field) {
  JwtRule rule;
  rule.issuer = field["issuer"].text();
  Field uri = field["jwksUri"].present() ? field["jwksUri"] : field["jwks_uri"];
  Field jwks = field["jwks"];
  rule.jwks_uri = uri.text();
  rule.jwks = jwks.text();
  if (field.value().is_map() && rule.issuer.empty() && rule.jwks_uri.empty())
    field["issuer"].error("issuer or jwksUri must be non-empty");
  if (field["jwksUri"].present() && field["jwks_uri"].present())
    field["jwks_uri"].error_at_key("only one of jwksUri and jwks_uri can be set");
  if (!rule.jwks.empty() && !rule.jwks_uri.empty())
    jwks.error_at_key("only one of jwks or jwksUri can be set");
  check_uri(uri);
  check_jwks(jwks);
  no_empty_items(field["audiences"], "audience");
  rule.audiences = field["audiences"].texts();
  rule.from_headers = decode_headers(field["fromHeaders"]);
  no_empty_items(field["fromParams"], "location query parameter name");
  rule.from_params = field["fromParams"].texts();
  no_empty_items(field["fromCookies"], "cookie name");
  rule.from_cookies = field["fromCookies"].texts();
  Field payload = field["outputPayloadToHeader"];
  rule.output_payload_to_header = payload.text();
  if (!payload.text().empty())
    if (auto wrong = check_header_name(payload.text()))
      payload.error(quoted(payload.text()) + ": " + *wrong);
  rule.output_claim_to_headers = decode_claims(field["outputClaimToHeaders"]);
  Field spaces = field["spaceDelimitedClaims"];
  if (spaces.value().items().size() > kMostSpaceDelimited)
    spaces.error(std::to_string(spaces.value().items().size()) + " items, expected at most " +
                 std::to_string(kMostSpaceDelimited));
  no_empty_items(spaces, "claim name");
  rule.space_delimited_claims = spaces.texts();
  rule.forward_original_token = field["forwardOriginalToken"].boolean();
  Field timeout = field["timeout"];
  if (timeout.value().is_string())
    if (auto wrong = check_duration(timeout.text()))
      timeout.error(quoted(timeout.text()) + ": " + *wrong);
  return rule;
}

}  // namespace

void decode(const Field& root, PeerAuthentication& out) {
  Field spec = root["spec"];
  out.selector = decode_workload_selector(spec["selector"]);
  out.has_selector = !out.selector.empty();
  out.mode = decode_mode(spec["mtls"]["mode"]);
  decode_dry_run(root["metadata"], false, kDryRunKind);

  Field ports = spec["portLevelMtls"];
  if (!ports.present()) return;
  if (ports.value().is_map() && ports.value().members().empty())
    ports.error("is empty, expected at least one port");
  else if (ports.value().is_map() && !out.has_selector)
    ports.error_at_key(
        "mesh/namespace peer authentication cannot have port level mTLS; it needs a selector with "
        "labels");
  for (const Field& entry : ports.entries()) {
    auto port = parse_number<uint16_t>(entry.key());
    if (!port || *port == 0 || std::to_string(*port) != entry.key())
      entry.error_at_key("port " + quoted(entry.key()) + " is not a number from 1 to 65535");
    else
      out.port_modes[*port] = decode_mode(Field(entry)["mode"]);
    if (!entry.present()) entry.error("expected a map, got null");
  }
}

void decode(const Field& root, RequestAuthentication& out) {
  Field spec = root["spec"];
  IstioScope scope = decode_istio_scope(spec);
  out.selector = std::move(scope.labels);
  out.has_target_refs = scope.has_target_refs;
  decode_dry_run(root["metadata"], false, kDryRunKind);
  Field rules = spec["jwtRules"];
  size_t count = rules.value().items().size();
  if (count > kMostJwtRules)
    rules.error(std::to_string(count) + " rules, expected at most " +
                std::to_string(kMostJwtRules));
  for (const Field& rule : rules.items()) out.rules.push_back(decode_jwt_rule(rule));
}

}  // namespace sallyport::k8s
