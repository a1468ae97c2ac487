#include "authz/plain_match.h"

#include <algorithm>
#include <array>

#include "authz/claims.h"
#include "authz/patterns.h"
#include "base/strings.h"

namespace sallyport::authz {
namespace {

using Values = std::vector<std::string>;

bool any_glob(const Values& values, std::string_view text) {
  return std::any_of(values.begin(), values.end(),
                     [&](const std::string& value) { return glob_matches(value, text); });
}

bool any_address(const Values& values, const Ip& ip) {
  return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    if (value.find('/') == std::string::npos) return Ip::parse(value).value() == ip;
    return Cidr::parse(value).value().contains(ip);
  });
}

bool any_principal(const PlainContext& context, const Values& values) {
  const std::string_view principal = context.connection.principal;
  return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    return glob_matches(own_trust_domain(value, context.world.mesh.trust_domain), principal);
  });
}

bool any_peer(const PlainContext& context, Field field, const Values& values) {
  if (context.connection.principal.empty()) return false;
  const Peer peer = parse_peer(context.connection.principal);
  return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    switch (field) {
      case Field::kPrincipal:
        return any_principal(context, {value});
      case Field::kNamespace:
        return namespace_matches(value, peer.ns);
      case Field::kServiceAccount:
        return account_of(value, context.policy.meta.ns) == peer.account;
      default:
        return glob_matches(value == "cluster.local" ? context.world.mesh.trust_domain : value,
                            peer.trust_domain);
    }
  });
}

// The host as sent; for what restricts also without its port, and with and without a trailing dot.
bool any_host(const Values& values, std::string_view host, bool wide) {
  std::vector<std::string> spellings = {lower(host)};
  const std::string sent = spellings.front();
  if (wide) {
    const HostParts parts = split_host(sent);
    spellings.emplace_back(parts.with_dot);
    spellings.emplace_back(parts.name);
    spellings.push_back(std::string(parts.name) + std::string(parts.port));
  }
  return std::any_of(spellings.begin(), spellings.end(), [&](const std::string& spelling) {
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return glob_matches(lower(value), spelling);
    });
  });
}

bool any_path(const PlainContext& context, const Values& values, std::string_view path) {
  if (path.empty()) return false;
  const bool raw = context.world.mesh.path_normalization == k8s::PathNormalization::kNone;
  return std::any_of(values.begin(), values.end(), [&](const std::string& written) {
    const std::string value = raw ? written : canonical_path_value(written);
    if (!PathTemplate::is_template(value)) return glob_matches(value, path);
    auto parsed = PathTemplate::parse(value);
    return parsed && parsed->matches(path);
  });
}

// The path as it stands; for what restricts also as it may be read.
bool any_path_reading(const PlainContext& context, const Values& values, bool wide) {
  const std::string_view path = context.request->path;
  if (any_path(context, values, path)) return true;
  if (!wide) return false;
  std::array<char, kLooseRoom> room;
  const LooseReading loose = read_loosely(path, room);
  return loose.too_long || any_path(context, values, loose.text);
}

std::vector<std::string_view> values_of(const RequestFacts& request, std::string_view header) {
  std::vector<std::string_view> out;
  for (const HeaderField& field : request.headers)
    if (lower(field.name) == header) out.push_back(field.value);
  return out;
}

bool any_header(const RequestFacts& request, const std::string& name, const Values& values,
                bool wide) {
  const auto sent = values_of(request, name);
  auto matches = [&](std::string_view text) { return any_glob(values, text); };
  if (sent.empty()) return false;
  return wide ? std::any_of(sent.begin(), sent.end(), matches)
              : std::all_of(sent.begin(), sent.end(), matches);
}

bool any_claim(const RequestFacts& request, const std::vector<std::string>& path,
               const Values& values) {
  return any_claim_text(request, path,
                        [&](std::string_view text) { return any_glob(values, text); });
}

bool any_request_principal(const RequestFacts& request, const Values& values) {
  const auto [iss, sub] = issuer_and_subject(request);
  return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    return parse_request_principal(value).matches(iss, sub);
  });
}

bool any_of_request(const PlainContext& context, const Clause& clause, const Values& values,
                    bool wide) {
  const RequestFacts& request = *context.request;
  switch (clause.field) {
    case Field::kRequestPrincipal:
      return any_request_principal(request, values);
    case Field::kHost:
      return any_host(values, request.host, wide);
    case Field::kMethod:
      return any_glob(values, request.method);
    case Field::kPath:
      return any_path_reading(context, values, wide);
    case Field::kTarget:
      return any_glob(values, request.target.empty() ? request.path : request.target);
    case Field::kHeader:
      return any_header(request, clause.header, values, wide);
    case Field::kAudience:
      return any_claim(request, {"aud"}, values);
    case Field::kPresenter:
      return any_claim(request, {"azp"}, values);
    default:
      return any_claim(request, clause.claim, values);
  }
}

// Where the client is: by forwarded headers for a request, else the direct peer.
const Ip& remote_ip(const PlainContext& context) {
  return context.request != nullptr ? context.request->remote_ip : context.connection.source_ip;
}

bool any_value(const PlainContext& context, const Clause& clause, const Values& values, bool wide) {
  const ConnectionFacts& connection = context.connection;
  switch (clause.field) {
    case Field::kPrincipal:
    case Field::kNamespace:
    case Field::kServiceAccount:
    case Field::kTrustDomain:
      return any_peer(context, clause.field, values);
    case Field::kSourceIp:
      return any_address(values, connection.source_ip);
    case Field::kRemoteIp:
      return any_address(values, remote_ip(context));
    case Field::kDestinationIp:
      return any_address(values, connection.destination_ip);
    case Field::kPort:
      return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
        return parse_number<uint16_t>(value) == connection.destination_port;
      });
    case Field::kSni:
      return any_glob(values, connection.sni);
    default:
      return context.request != nullptr && any_of_request(context, clause, values, wide);
  }
}

std::string or_nothing(std::string_view text, const char* nothing) {
  return text.empty() ? nothing : std::string(text);
}

std::string present_value(const PlainContext& context, const Clause& clause) {
  const ConnectionFacts& connection = context.connection;
  switch (clause.field) {
    case Field::kPrincipal:
    case Field::kNamespace:
    case Field::kServiceAccount:
    case Field::kTrustDomain:
      return or_nothing(connection.principal, "no identity (plaintext)");
    case Field::kSourceIp:
      return connection.source_ip.to_string();
    case Field::kRemoteIp:
      return remote_ip(context).to_string();
    case Field::kDestinationIp:
      return connection.destination_ip.to_string();
    case Field::kPort:
      return std::to_string(connection.destination_port);
    case Field::kSni:
      return or_nothing(connection.sni, "no SNI");
    default:
      break;
  }
  if (context.request == nullptr) return "no HTTP request";
  const RequestFacts& request = *context.request;
  std::string list;
  auto add = [&](std::string_view text) {
    if (!list.empty()) list += ", ";
    list += text;
    return false;
  };
  switch (clause.field) {
    case Field::kRequestPrincipal:
      return or_nothing(request.request_principal, "no verified token");
    case Field::kHost:
      return or_nothing(request.host, "no host");
    case Field::kMethod:
      return std::string(request.method);
    case Field::kPath:
      return std::string(request.path);
    case Field::kTarget:
      return std::string(request.target.empty() ? request.path : request.target);
    case Field::kHeader:
      for (std::string_view value : values_of(request, clause.header)) add(value);
      return or_nothing(list, "no such header");
    default:
      break;
  }
  if (request.claims == nullptr) return "no verified token";
  const std::vector<std::string> path = clause.field == Field::kAudience    ? Values{"aud"}
                                        : clause.field == Field::kPresenter ? Values{"azp"}
                                                                            : clause.claim;
  (void)any_claim_text(request, path, add);
  return or_nothing(list, "no such claim");
}

}  // namespace

bool holds(const PlainContext& context, const Clause& clause) {
  const k8s::MatchValues& match = *clause.match;
  const bool restricts = context.restricts();
  if (!match.values.empty() && !any_value(context, clause, match.values, restricts)) return false;
  return match.not_values.empty() || !any_value(context, clause, match.not_values, !restricts);
}

bool holds(const PlainContext& context, const Clauses& clauses) {
  return std::all_of(clauses.begin(), clauses.end(),
                     [&](const Clause& clause) { return holds(context, clause); });
}

std::string describe_failure(const PlainContext& context, const Clause& clause) {
  const k8s::MatchValues& match = *clause.match;
  const bool positive =
      !match.values.empty() && !any_value(context, clause, match.values, context.restricts());
  std::string out = clause.label;
  out += positive ? ": wants " : ": must not be ";
  out += join(positive ? match.values : match.not_values, " or ");
  out += ", has ";
  out += present_value(context, clause);
  return out;
}

}  // namespace sallyport::authz
