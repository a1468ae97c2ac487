// TLS as the mesh speaks it: version 1.3 only, both sides show an X.509-SVID, every connection is a
// full handshake (no tickets, no resumption, no early data). A context holds one identity; each
// connection made from it verifies its peer by identity::VerifiedChains and keeps what it found.
//
// The caller moves the bytes: it sets BIOs or a descriptor, and calls SSL_do_handshake, SSL_read
// and SSL_write. A context and its connections belong to one thread.
#pragma once

#include <openssl/base.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/trust.h"
#include "identity/verified_chains.h"

namespace sallyport::identity {

// What a side shows: the leaf first, then its intermediates if it has any; never the root.
struct Credentials {
  std::vector<std::string> chain_der;
  std::string key_der;  // PKCS#8, unencrypted
};

struct TlsOptions {
  // IANA numbers, most preferred first. A client sends its key share for the first.
  std::vector<uint16_t> groups = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1};
  // What a server accepts, most preferred first. A client that offers protocols of which none is
  // here is refused; one that offers none is accepted (alpn() is empty then). Empty: never selects.
  std::vector<std::string> alpn;
};

// What was negotiated, with IANA numbers and names. Zero and empty before the handshake's end.
struct TlsDescription {
  uint16_t version = 0, cipher = 0, group = 0;
  std::string_view version_name;  // "TLSv1.3"
  std::string_view cipher_name;   // "TLS_AES_128_GCM_SHA256"
  std::string_view group_name;    // "X25519MLKEM768", "x25519", "secp256r1"
};

// How a handshake ended, for counters.
enum class HandshakeResult : uint8_t {
  kOk,
  kNoCertificate,  // the peer showed none
  kUntrusted,      // TrustBundles refused its chain
  kWrongIdentity,  // a good chain of somebody else than expected
  kRefused,        // the peer sent an alert: it did not like us
  kProtocol,       // no common version, cipher, group or ALPN, or not TLS
  kClosed,         // the transport ended
};
std::string_view to_string(HandshakeResult result);  // "ok", "no_certificate", ...

struct HandshakeFailure {
  HandshakeResult result = HandshakeResult::kClosed;
  std::string reason;  // for people: which check failed, or the library's or the peer's words
};

class TlsContext {
 public:
  // kInvalid where the key is not the leaf's or a group is unknown. `clock` must outlive the
  // context and all of its connections.
  static Result<std::shared_ptr<TlsContext>> server(const Credentials& own,
                                                    std::shared_ptr<VerifiedChains> peers,
                                                    const Clock& clock,
                                                    const TlsOptions& options = {});
  static Result<std::shared_ptr<TlsContext>> client(const Credentials& own,
                                                    std::shared_ptr<VerifiedChains> peers,
                                                    const Clock& clock,
                                                    const TlsOptions& options = {});
  virtual ~TlsContext() = default;

  // A connection in server state; null only where memory is short. It may outlive the context.
  [[nodiscard]] virtual bssl::UniquePtr<SSL> accept() = 0;

  struct Target {
    const SpiffeId& expected;  // the one identity that the server must have
    // Wire form of ALPN: each name with its length in front (alpn_wire below). Empty: none offered.
    std::string_view alpn;
    std::string_view sni;  // empty: none
  };
  // A connection in client state; null where memory is short or the target is malformed.
  [[nodiscard]] virtual bssl::UniquePtr<SSL> connect(const Target& target) = 0;
};

std::string alpn_wire(const std::vector<std::string>& names);

// Of connections that a TlsContext made.

// Null until the peer is verified. Shared: it may be kept after the connection.
std::shared_ptr<const Peer> peer_of(const SSL* ssl);
std::string_view alpn_of(const SSL* ssl);  // empty: none selected
std::string_view sni_of(const SSL* ssl);   // server side; empty: none
TlsDescription describe(const SSL* ssl);
// After SSL_do_handshake (or the first SSL_read) returned `ret` <= 0 and SSL_get_error says neither
// WANT_READ nor WANT_WRITE. Empties this thread's error queue. `ssl_error` is SSL_get_error's.
HandshakeFailure handshake_failure(const SSL* ssl, int ssl_error);

}  // namespace sallyport::identity
