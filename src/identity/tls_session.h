// What hangs on one TLS connection, for this module.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>

#include "identity/tls_context.h"

namespace sallyport::identity {

struct TlsSession {
  std::optional<SpiffeId> expected;  // client side, until the peer is verified
  std::shared_ptr<const Peer> peer;
  std::optional<HandshakeFailure> failure;  // our own verdict on the peer
};

// False where memory is short.
bool attach_session(SSL* ssl, std::optional<SpiffeId> expected);
TlsSession* session_of(const SSL* ssl);  // null: not made by a TlsContext

}  // namespace sallyport::identity
