#include "identity/tls_session.h"

#include <openssl/err.h>

namespace sallyport::identity {
namespace {

void free_session(void*, void* session, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<TlsSession*>(session);
}

int session_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_session);
  return index;
}

// IANA's names; the library calls the last one P-256.
std::string_view group_name(uint16_t group) {
  switch (group) {
    case 0:
      return {};
    case SSL_GROUP_X25519_MLKEM768:
      return "X25519MLKEM768";
    case SSL_GROUP_X25519:
      return "x25519";
    case SSL_GROUP_SECP256R1:
      return "secp256r1";
    default: {
      const char* name = SSL_get_group_name(group);
      return name ? name : "unknown";
    }
  }
}

}  // namespace

bool attach_session(SSL* ssl, std::optional<SpiffeId> expected) {
  auto session = std::make_unique<TlsSession>();
  session->expected = std::move(expected);
  if (!SSL_set_ex_data(ssl, session_index(), session.get())) return false;
  (void)session.release();
  return true;
}

TlsSession* session_of(const SSL* ssl) {
  return static_cast<TlsSession*>(SSL_get_ex_data(ssl, session_index()));
}

std::shared_ptr<const Peer> peer_of(const SSL* ssl) {
  const TlsSession* session = session_of(ssl);
  return session ? session->peer : nullptr;
}

std::string_view alpn_of(const SSL* ssl) {
  const uint8_t* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view sni_of(const SSL* ssl) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  return name ? name : std::string_view();
}

TlsDescription describe(const SSL* ssl) {
  TlsDescription description;
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (SSL_in_init(ssl) || !cipher) return description;
  description.version = static_cast<uint16_t>(SSL_version(ssl));
  description.version_name = SSL_get_version(ssl);
  description.cipher = SSL_CIPHER_get_protocol_id(cipher);
  description.cipher_name = SSL_CIPHER_standard_name(cipher);
  description.group = SSL_get_group_id(ssl);
  description.group_name = group_name(description.group);
  return description;
}

std::string_view to_string(HandshakeResult result) {
  switch (result) {
    case HandshakeResult::kOk:
      return "ok";
    case HandshakeResult::kNoCertificate:
      return "no_certificate";
    case HandshakeResult::kUntrusted:
      return "untrusted";
    case HandshakeResult::kWrongIdentity:
      return "wrong_identity";
    case HandshakeResult::kRefused:
      return "refused";
    case HandshakeResult::kProtocol:
      return "protocol";
    case HandshakeResult::kClosed:
      return "closed";
  }
  return "unknown";
}

HandshakeFailure handshake_failure(const SSL* ssl, int ssl_error) {
  const uint32_t packed = ERR_peek_error();  // the first is the cause
  const char* words = packed != 0 ? ERR_reason_error_string(packed) : nullptr;
  const std::string reason = words ? words : "no reason given";
  const bool from_tls = packed != 0 && ERR_GET_LIB(packed) == ERR_LIB_SSL;
  const int code = from_tls ? ERR_GET_REASON(packed) : 0;
  ERR_clear_error();
  const TlsSession* session = session_of(ssl);
  if (session && session->failure) return *session->failure;
  if (code == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return {HandshakeResult::kNoCertificate, "the peer showed no certificate"};
  if (code >= SSL_AD_REASON_OFFSET)
    return {HandshakeResult::kRefused, "the peer refused: " + reason};
  if (packed == 0 && (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN))
    return {HandshakeResult::kClosed, "the connection ended during the handshake"};
  return {HandshakeResult::kProtocol, "TLS failed: " + reason};
}

}  // namespace sallyport::identity
