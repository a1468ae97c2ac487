// The rules of an AuthorizationPolicy as lists of clauses: one field, its values and their
// negation. The evaluator reads them as they are; the matcher compiles them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "k8s/objects.h"

namespace sallyport::authz {

enum class Field : uint8_t {
  kPrincipal,
  kNamespace,
  kServiceAccount,
  kTrustDomain,
  kSourceIp,
  kRemoteIp,
  kRequestPrincipal,
  kHost,
  kPort,
  kMethod,
  kPath,
  kTarget,  // path with query: request.headers[:path]
  kHeader,
  kAudience,
  kPresenter,
  kClaim,
  kDestinationIp,
  kSni,
};

// Hosts, methods, paths, request principals and everything of `request.`: nothing of it exists on
// opaque TCP.
[[nodiscard]] bool http_only(Field field);
// The decision needs the request for it.
[[nodiscard]] bool reads_request(Field field);
[[nodiscard]] bool is_address(Field field);

struct Clause {
  Field field = Field::kPrincipal;
  std::string label;               // for people: "methods", "when request.headers[x-team]"
  std::string header;              // kHeader: its name in lower case
  std::vector<std::string> claim;  // kClaim: the names, outermost first
  const k8s::MatchValues* match = nullptr;
};

using Clauses = std::vector<Clause>;  // all must hold

// One rule: any of `from`, any of `to`, all of `when`. An empty `from` or `to` holds always.
struct RuleClauses {
  std::vector<Clauses> from;
  std::vector<Clauses> to;
  Clauses when;
};

// The clauses point into the rule. kInvalid: the rule cannot be enforced, and why.
Result<RuleClauses> clauses_of(const k8s::AuthorizationRule& rule);

// The rule as it stands on opaque TCP (Istio's sidecar): an ALLOW rule with a field of HTTP is
// dropped, another rule loses such fields and so gets wider.
std::optional<RuleClauses> without_http(RuleClauses rule, k8s::AuthorizationAction action);

}  // namespace sallyport::authz
