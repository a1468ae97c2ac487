// Identities as the node hands them over, and as a worker uses them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/spiffe_id.h"
#include "identity/tls_context.h"

namespace sallyport::proxy {

// The content of a mesh::SvidMessage.
struct SvidData {
  identity::SpiffeId id;
  identity::Credentials credentials;
  WallTime not_before, not_after;
  std::map<std::string, std::vector<std::string>> roots;  // trust domain to DER
  std::string roots_text;                                 // tells one set of roots from another
};
Result<std::shared_ptr<const SvidData>> parse_svid(std::string_view json);

// Contexts for new handshakes of one identity; they belong to one worker.
struct TlsIdentity {
  identity::SpiffeId id;
  std::shared_ptr<identity::TlsContext> server, client;
  WallTime not_before, not_after;
};

// The ALPN names that a proxy accepts from peers, and those that it offers.
inline constexpr std::string_view kAlpnTcp = "istio";
inline constexpr std::string_view kAlpnHttp1 = "istio-http/1.1";
inline constexpr std::string_view kAlpnHttp2 = "istio-h2";
std::vector<std::string> accepted_alpn();

}  // namespace sallyport::proxy
