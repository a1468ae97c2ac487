#include "authz/request_authentication.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "authz/patterns.h"
#include "jwt/jwt.h"

namespace sallyport::authz {
namespace {

using k8s::RequestAuthentication;

// Each costs a signature's verification, and a client may send as many as it likes.
constexpr size_t kMostTokens = 8;

struct Rule {
  std::string issuer;  // empty: any
  std::vector<std::string> audiences;
  std::vector<std::string> space_delimited;
  bool forward = false;
  std::shared_ptr<const jwt::KeySet> keys;  // null: none can be had
};

struct Place {
  std::string header;  // lower case
  std::string prefix;
  std::vector<size_t> rules;  // ascending
};

bool selects(const world::World& world, const RequestAuthentication& policy,
             const world::Endpoint& workload) {
  if (policy.has_target_refs) return false;
  if (policy.meta.ns != workload.ns && policy.meta.ns != world.mesh.root_namespace) return false;
  return std::all_of(policy.selector.begin(), policy.selector.end(), [&](const auto& label) {
    auto found = workload.labels.find(label.first);
    return found != workload.labels.end() && found->second == label.second;
  });
}

std::string_view unsupported(const k8s::JwtRule& rule) {
  if (!rule.from_params.empty()) return "fromParams";
  if (!rule.from_cookies.empty()) return "fromCookies";
  if (!rule.output_payload_to_header.empty()) return "outputPayloadToHeader";
  if (!rule.output_claim_to_headers.empty()) return "outputClaimToHeaders";
  return {};
}

bool has(std::span<const HeaderField> headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const HeaderField& field) { return field.name == name; });
}

bool is_preflight(std::string_view method, std::span<const HeaderField> headers) {
  return method == "OPTIONS" && has(headers, "origin") &&
         has(headers, "access-control-request-method");
}

TokenResult refused(int status, std::string reason) {
  TokenResult out;
  out.kind = TokenResult::Kind::kRefused;
  out.status = status;
  out.reason = std::move(reason);
  return out;
}

class CompiledVerifier : public TokenVerifier {
 public:
  std::vector<Rule> rules;
  std::vector<Place> places;
  std::string broken;  // why no request may pass

  void add(const k8s::JwtRule& rule) {
    Rule& compiled = rules.emplace_back();
    compiled.issuer = rule.issuer;
    compiled.audiences = rule.audiences;
    compiled.space_delimited = rule.space_delimited_claims;
    compiled.forward = rule.forward_original_token;
    if (!rule.jwks.empty())
      if (auto keys = jwt::KeySet::parse(rule.jwks)) compiled.keys = std::move(*keys);
    if (rule.from_headers.empty()) add_place("authorization", "Bearer ");
    for (const k8s::JwtHeader& header : rule.from_headers)
      add_place(lower(header.name), header.prefix);
  }

  [[nodiscard]] bool empty() const override { return rules.empty() && broken.empty(); }

  [[nodiscard]] TokenResult verify(std::string_view method, std::span<const HeaderField> headers,
                                   WallTime now) const override {
    if (!broken.empty()) return refused(401, broken);
    if (is_preflight(method, headers)) return {};
    TokenResult out;
    size_t winner = rules.size(), tokens = 0;
    for (const Place& place : places) {
      for (const HeaderField& field : headers) {
        if (field.name != place.header || !field.value.starts_with(place.prefix)) continue;
        if (++tokens > kMostTokens) return refused(401, "Too many Jwts in the request");
        Verdict verdict = try_rules(place, field.value.substr(place.prefix.size()), now);
        if (!verdict.good) return refused(verdict.status, std::move(verdict.reason));
        take(out, place, verdict, &winner);
      }
    }
    return out;
  }

 private:
  struct Verdict {
    bool good = false;
    jwt::Token token;
    size_t rule = 0;
    int status = 401;
    std::string reason;
  };

  void add_place(std::string header, const std::string& prefix) {
    const size_t rule = rules.size() - 1;
    for (Place& place : places) {
      if (place.header != header || place.prefix != prefix) continue;
      if (place.rules.back() != rule) place.rules.push_back(rule);
      return;
    }
    places.push_back({std::move(header), prefix, {rule}});
  }

  [[nodiscard]] Verdict try_rules(const Place& place, std::string_view token, WallTime now) const {
    const std::string issuer = jwt::unverified_issuer(token);
    Verdict out;
    out.reason = jwt::to_string(issuer.empty() ? jwt::Failure::kMalformed : jwt::Failure::kIssuer);
    for (size_t number : place.rules) {
      const Rule& rule = rules[number];
      if (!rule.issuer.empty() && rule.issuer != issuer) continue;
      if (rule.keys == nullptr) {
        out.reason = "Jwks of the issuer are not available";
        continue;
      }
      auto result = jwt::verify(token, *rule.keys, {rule.issuer, &rule.audiences}, now);
      if (result) return {true, std::move(*result), number, 0, {}};
      // A good token for another audience is forbidden, whatever other rules say of it.
      if (out.status == 403) continue;
      out.status = result.error() == jwt::Failure::kAudience ? 403 : 401;
      out.reason = jwt::to_string(result.error());
    }
    return out;
  }

  void take(TokenResult& out, const Place& place, Verdict& verdict, size_t* winner) const {
    const Rule& rule = rules[verdict.rule];
    out.kind = TokenResult::Kind::kValid;
    auto& strip = out.strip_headers;
    if (!rule.forward && std::find(strip.begin(), strip.end(), place.header) == strip.end())
      strip.push_back(place.header);
    if (verdict.rule >= *winner) return;
    *winner = verdict.rule;
    jwt::Token& token = verdict.token;
    out.request_principal.clear();
    if (!token.issuer.empty() && !token.subject.empty())
      out.request_principal = token.issuer + "/" + token.subject;
    out.claims = std::move(token.claims);
    out.space_delimited_claims = rule.space_delimited;
  }
};

}  // namespace

std::shared_ptr<const TokenVerifier> compile_tokens(const world::World& world,
                                                    const world::Endpoint& workload) {
  std::vector<const RequestAuthentication*> policies;
  for (const auto& policy : world.request_authentications)
    if (selects(world, *policy, workload)) policies.push_back(policy.get());
  std::sort(policies.begin(), policies.end(), [](const auto* a, const auto* b) {
    return std::tie(a->meta.ns, a->meta.name) < std::tie(b->meta.ns, b->meta.name);
  });
  auto out = std::make_shared<CompiledVerifier>();
  std::multimap<std::string_view, const k8s::JwtRule*> rules;  // by issuer, then as they come
  for (const auto* policy : policies) {
    for (const k8s::JwtRule& rule : policy->rules) {
      rules.emplace(rule.issuer, &rule);
      const std::string_view what = unsupported(rule);
      if (what.empty() || !out->broken.empty()) continue;
      out->broken = "RequestAuthentication " + policy->meta.ns + "/" + policy->meta.name +
                    " cannot be enforced: " + std::string(what) + " is not supported";
    }
  }
  for (const auto& [issuer, rule] : rules) out->add(*rule);
  return out;
}

}  // namespace sallyport::authz
