// What a connection and a request say about themselves at the destination workload: all that the
// decision may depend on. Views: valid during the call.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ip.h"
#include "codec/value.h"

namespace sallyport::authz {

struct ConnectionFacts {
  // "TD/ns/NS/sa/SA", the peer's verified SPIFFE ID without the scheme; empty: plaintext.
  std::string_view principal;
  Ip source_ip;  // the direct TCP peer
  Ip destination_ip;
  uint16_t destination_port = 0;  // the workload's port
  std::string_view sni;           // empty: none
};

struct HeaderField {
  std::string_view name;  // lower case
  std::string_view value;
};

struct RequestFacts {
  std::string_view method;
  std::string_view path;  // canonical (path.h), without query
  // Canonical, with the query: what `when: request.headers[:path]` compares. Empty: as `path`.
  std::string_view target;
  std::string_view host;                 // Host or :authority as sent
  std::span<const HeaderField> headers;  // without pseudo-headers
  Ip remote_ip;  // the client by trusted hops of x-forwarded-for, else the direct peer
  // A verified token; without one `request_principal` is empty and `claims` null.
  std::string_view request_principal;  // "iss/sub"
  const codec::Value* claims = nullptr;
  // Claims of the token's rule that are lists separated by spaces, beside scope and permission.
  std::span<const std::string_view> space_delimited_claims;
};

}  // namespace sallyport::authz
