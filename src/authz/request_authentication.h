// RequestAuthentication of one workload, compiled: which tokens a request must carry, and whether
// those that it carries are good. Semantics: no token passes without a principal; a token at a
// place that a rule names and that no rule verifies refuses the request.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

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
// headers and the time). A rule that cannot be enforced (jwksUri, ...) refuses every token.
[[nodiscard]] std::shared_ptr<const TokenVerifier> compile_tokens(const world::World& world,
                                                                  const world::Endpoint& workload);

}  // namespace sallyport::authz
