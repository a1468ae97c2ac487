#include "authz/clauses.h"

#include <algorithm>

#include "authz/patterns.h"
#include "base/strings.h"

namespace sallyport::authz {
namespace {

using k8s::MatchValues;

Status check_account(std::string_view value) {
  const size_t slash = value.find('/');
  const bool two = slash != std::string_view::npos;
  if (value.find('*') != std::string_view::npos)
    return fail(Code::kInvalid, "a wildcard is not allowed");
  if (two && (slash == 0 || slash + 1 == value.size() ||
              value.find('/', slash + 1) != std::string_view::npos))
    return fail(Code::kInvalid, "expected serviceAccount or namespace/serviceAccount");
  return {};
}

Status check_address(std::string_view value) {
  if (value.find('/') == std::string_view::npos) {
    if (auto ip = Ip::parse(value); !ip) return std::unexpected(ip.error());
    return {};
  }
  if (auto cidr = Cidr::parse(value); !cidr) return std::unexpected(cidr.error());
  return {};
}

Status check_value(Field field, std::string_view value) {
  if (value.empty()) return fail(Code::kInvalid, "an empty value is not allowed");
  if (is_address(field)) return check_address(value);
  switch (field) {
    case Field::kPort:
      if (!parse_number<uint16_t>(value)) return fail(Code::kInvalid, "expected 0 to 65535");
      return {};
    case Field::kServiceAccount:
      return check_account(value);
    case Field::kTrustDomain:
      if (value.find('/') != std::string_view::npos)
        return fail(Code::kInvalid, "a trust domain has no slash");
      return {};
    case Field::kPath:
      if (!PathTemplate::is_template(value)) return {};
      if (auto parsed = PathTemplate::parse(value); !parsed) return std::unexpected(parsed.error());
      return {};
    default:
      return {};
  }
}

Status check_values(const Clause& clause) {
  for (const auto* list : {&clause.match->values, &clause.match->not_values})
    for (const std::string& value : *list)
      if (auto status = check_value(clause.field, value); !status)
        return fail(Code::kInvalid,
                    clause.label + ": value \"" + value + "\": " + status.error().message);
  return {};
}

Status add(Clauses& out, Field field, const char* label, const MatchValues& match) {
  if (match.empty()) return {};
  Clause clause;
  clause.field = field;
  clause.label = label;
  clause.match = &match;
  SP_CHECK_OK(check_values(clause));
  out.push_back(std::move(clause));
  return {};
}

// "[a][b]" to a, b; empty where it has another form.
std::vector<std::string> bracketed(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t close = text.find(']');
    if (text.front() != '[' || close == std::string_view::npos || close == 1) return {};
    const std::string_view name = text.substr(1, close - 1);
    if (name.find('[') != std::string_view::npos) return {};
    out.emplace_back(name);
    text.remove_prefix(close + 1);
  }
  return out;
}

std::optional<Field> plain_key(std::string_view key) {
  struct Entry {
    std::string_view key;
    Field field;
  };
  static constexpr Entry kKeys[] = {
      {"source.ip", Field::kSourceIp},
      {"remote.ip", Field::kRemoteIp},
      {"source.namespace", Field::kNamespace},
      {"source.principal", Field::kPrincipal},
      {"source.serviceAccount", Field::kServiceAccount},
      {"source.trustDomain", Field::kTrustDomain},
      {"request.auth.principal", Field::kRequestPrincipal},
      {"request.auth.audiences", Field::kAudience},
      {"request.auth.presenter", Field::kPresenter},
      {"destination.ip", Field::kDestinationIp},
      {"destination.port", Field::kPort},
      {"connection.sni", Field::kSni},
  };
  for (const Entry& entry : kKeys)
    if (entry.key == key) return entry.field;
  return std::nullopt;
}

Status set_header(Clause& clause, std::string_view name) {
  clause.header = lower(name);
  clause.field = Field::kHeader;
  if (clause.header == ":method") {
    clause.field = Field::kMethod;
  } else if (clause.header == ":path") {
    clause.field = Field::kTarget;
  } else if (clause.header == ":authority" || clause.header == "host") {
    clause.field = Field::kHost;
  } else if (clause.header.starts_with(':')) {
    return fail(Code::kInvalid, "when: pseudo-header " + clause.header + " is not supported");
  }
  return {};
}

Status set_key(Clause& clause, std::string_view key) {
  constexpr std::string_view kHeaders = "request.headers";
  constexpr std::string_view kClaims = "request.auth.claims";
  const std::string bad = "when: key " + std::string(key);
  if (auto field = plain_key(key)) {
    clause.field = *field;
    return {};
  }
  if (key.starts_with(kHeaders)) {
    const auto names = bracketed(key.substr(kHeaders.size()));
    if (names.size() != 1)
      return fail(Code::kInvalid, bad + ": should have format request.headers[NAME]");
    return set_header(clause, names.front());
  }
  if (key.starts_with(kClaims)) {
    clause.field = Field::kClaim;
    clause.claim = bracketed(key.substr(kClaims.size()));
    if (clause.claim.empty())
      return fail(Code::kInvalid, bad + ": should have format request.auth.claims[NAME]");
    return {};
  }
  return fail(Code::kInvalid, bad + " is not supported");
}

Status add_condition(Clauses& out, const k8s::AuthorizationCondition& condition) {
  Clause clause;
  SP_CHECK_OK(set_key(clause, condition.key));
  clause.label = "when " + condition.key;
  clause.match = &condition.match;
  if (condition.match.empty())
    return fail(Code::kInvalid, clause.label + ": neither values nor notValues");
  SP_CHECK_OK(check_values(clause));
  out.push_back(std::move(clause));
  return {};
}

Result<Clauses> source_clauses(const k8s::AuthorizationSource& source) {
  Clauses out;
  SP_CHECK_OK(add(out, Field::kPrincipal, "principals", source.principals));
  SP_CHECK_OK(add(out, Field::kNamespace, "namespaces", source.namespaces));
  SP_CHECK_OK(add(out, Field::kServiceAccount, "serviceAccounts", source.service_accounts));
  SP_CHECK_OK(add(out, Field::kTrustDomain, "trustDomains", source.trust_domains));
  SP_CHECK_OK(add(out, Field::kSourceIp, "ipBlocks", source.ip_blocks));
  SP_CHECK_OK(add(out, Field::kRemoteIp, "remoteIpBlocks", source.remote_ip_blocks));
  SP_CHECK_OK(add(out, Field::kRequestPrincipal, "requestPrincipals", source.request_principals));
  if (out.empty()) return fail(Code::kInvalid, "from: a source without any field");
  return out;
}

Result<Clauses> operation_clauses(const k8s::AuthorizationOperation& operation) {
  Clauses out;
  SP_CHECK_OK(add(out, Field::kPort, "ports", operation.ports));
  SP_CHECK_OK(add(out, Field::kHost, "hosts", operation.hosts));
  SP_CHECK_OK(add(out, Field::kMethod, "methods", operation.methods));
  SP_CHECK_OK(add(out, Field::kPath, "paths", operation.paths));
  if (out.empty()) return fail(Code::kInvalid, "to: an operation without any field");
  return out;
}

bool any_http(const Clauses& clauses) {
  return std::any_of(clauses.begin(), clauses.end(),
                     [](const Clause& clause) { return http_only(clause.field); });
}

}  // namespace

bool http_only(Field field) {
  switch (field) {
    case Field::kRequestPrincipal:
    case Field::kHost:
    case Field::kMethod:
    case Field::kPath:
    case Field::kTarget:
    case Field::kHeader:
    case Field::kAudience:
    case Field::kPresenter:
    case Field::kClaim:
      return true;
    default:
      return false;
  }
}

bool reads_request(Field field) {
  return http_only(field) || field == Field::kRemoteIp;
}

bool is_address(Field field) {
  return field == Field::kSourceIp || field == Field::kRemoteIp || field == Field::kDestinationIp;
}

Result<RuleClauses> clauses_of(const k8s::AuthorizationRule& rule) {
  RuleClauses out;
  for (const auto& source : rule.from) {
    SP_TRY(Clauses clauses, source_clauses(source));
    out.from.push_back(std::move(clauses));
  }
  for (const auto& operation : rule.to) {
    SP_TRY(Clauses clauses, operation_clauses(operation));
    out.to.push_back(std::move(clauses));
  }
  for (const auto& condition : rule.when) SP_CHECK_OK(add_condition(out.when, condition));
  return out;
}

std::optional<RuleClauses> without_http(RuleClauses rule, k8s::AuthorizationAction action) {
  const bool allow = action == k8s::AuthorizationAction::kAllow;
  bool found = any_http(rule.when);
  for (const auto* side : {&rule.from, &rule.to})
    for (const Clauses& clauses : *side) found = found || any_http(clauses);
  if (!found) return rule;
  if (allow) return std::nullopt;
  auto strip = [](Clauses& clauses) {
    std::erase_if(clauses, [](const Clause& clause) { return http_only(clause.field); });
  };
  for (auto* side : {&rule.from, &rule.to})
    for (Clauses& clauses : *side) strip(clauses);
  strip(rule.when);
  return rule;
}

}  // namespace sallyport::authz
