// SPIFFE IDs (SPIFFE-ID.md): spiffe://TRUST_DOMAIN/PATH.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::identity {

struct SpiffeId {
  std::string trust_domain;  // lower case
  std::string path;          // "/ns/NS/sa/SA", never empty here
  [[nodiscard]] std::string to_string() const { return "spiffe://" + trust_domain + path; }
  auto operator<=>(const SpiffeId&) const = default;
};

// kInvalid says what is wrong. Strict: see the specification's section 2.
Result<SpiffeId> parse_spiffe_id(std::string_view text);
Status check_trust_domain(std::string_view trust_domain);
SpiffeId workload_id(std::string_view trust_domain, std::string_view ns,
                     std::string_view service_account);

}  // namespace sallyport::identity
