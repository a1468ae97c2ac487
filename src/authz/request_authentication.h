// RequestAuthentication of one workload, compiled: which tokens a request may carry, and whether
// those that it carries are good. A request without a token passes without a principal; a token at
// a place that a rule names and that no rule verifies refuses the request.
//
// Places: the header Authorization behind "Bearer ", or the headers of `fromHeaders` instead, each
// behind its prefix exactly as written (a value that begins otherwise is no token). The query
// parameter access_token, a place by default in Istio, is not read: tokens in addresses end up in
// logs. A header that comes several times holds several tokens.
//
// A token is for the rules of its place that name its issuer, or none; one of them must verify it.
// Where a request carries several tokens, each must be verified, and the principal is that of the
// first by the rules' order: by issuer, then by policy (ns, name), then as written.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "authz/facts.h"
#include "base/clock.h"
#include "world/world.h"

namespace sallyport::authz {

struct TokenResult {
  enum class Kind : uint8_t { kNone, kValid, kRefused } kind = Kind::kNone;
  int status = 401;    // kRefused: 401, or 403 for a wrong audience
  std::string reason;  // kRefused, for the body and the log: "Jwt is expired"
  std::string request_principal;
  std::shared_ptr<const codec::Value> claims;
  std::vector<std::string> space_delimited_claims;
  // Headers that held a verified token and must not reach the application (lower case).
  std::vector<std::string> strip_headers;
};

class TokenVerifier {
 public:
  virtual ~TokenVerifier() = default;
  [[nodiscard]] virtual bool empty() const = 0;  // no rule: every request passes without principal
  // The method, because a CORS preflight (OPTIONS with Origin and Access-Control-Request-Method)
  // carries no token and is not asked for one.
  [[nodiscard]] virtual TokenResult verify(std::string_view method,
                                           std::span<const HeaderField> headers,
                                           WallTime now) const = 0;
};

// Verified tokens are remembered by the caller where it wants to (the result depends only on the
// method, the headers and the time). A rule whose keys are not here (jwksUri, discovery, a key set
// that cannot be read) verifies no token. A rule with more that is not supported (fromParams,
// fromCookies, claims to headers) refuses every request: its tokens would not be seen, and headers
// that the application trusts would not be taken away.
[[nodiscard]] std::shared_ptr<const TokenVerifier> compile_tokens(const world::World& world,
                                                                  const world::Endpoint& workload);

}  // namespace sallyport::authz
