// The part of a stream's life in which AWS-LC speaks: the TLS handshake.
#include <openssl/bio.h>
#include <openssl/err.h>

#include "proxy/stream.h"

namespace sallyport::proxy {

void Stream::handshake(Bytes input) {
  SSL* ssl = ssl_.get();
  BIO* from_peer = SSL_get_rbio(ssl);
  BIO* to_peer = SSL_get_wbio(ssl);
  if (!input.empty()) BIO_write(from_peer, input.data(), static_cast<int>(input.size()));
  const int result = SSL_do_handshake(ssl);
  const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);

  const uint8_t* pending = nullptr;
  size_t size = 0;
  if (BIO_mem_contents(to_peer, &pending, &size) == 1 && size != 0) {
    const bool waits = blocked_ || !sealed_.empty();
    if (waits)
      sealed_.append(pending, size);
    else if (!send_now(pending, size, nullptr))
      return;
    BIO_reset(to_peer);
  }
  if (result != 1) {
    // A ClientHello may be split over many reads; what a peer may make us keep is bounded.
    if (error == SSL_ERROR_WANT_READ) return;
    handshake_failed(error);
    return;
  }

  // Bytes behind the handshake's last are records already.
  std::vector<uint8_t> rest;
  if (BIO_mem_contents(from_peer, &pending, &size) == 1 && size != 0)
    rest.assign(pending, pending + size);
  if (!handshake_done(ssl)) return;
  user_->on_open();
  if (phase_ == Phase::kClosed) return;
  if (unsent() != 0) flush_soon();
  if (!rest.empty()) open_records(rest);
}

void Stream::handshake_failed(int ssl_error) {
  handshake_failure_ = std::make_unique<identity::HandshakeFailure>(
      identity::handshake_failure(ssl_.get(), ssl_error));
  fail(StreamFailure::kTls, handshake_failure_->reason);
}

bool Stream::handshake_done(SSL* ssl) {
  auto facts = std::make_unique<TlsFacts>();
  const identity::TlsDescription description = identity::describe(ssl);
  facts->version = description.version;
  facts->cipher = description.cipher;
  facts->group = description.group;
  facts->alpn = identity::alpn_of(ssl);
  facts->sni = identity::sni_of(ssl);
  facts->peer = identity::peer_of(ssl);
  if (facts->peer) facts->peer_spiffe = facts->peer->id.to_string();
  auto records = TlsRecords::take_over(ssl);
  if (!records || !facts->peer) {
    fail(StreamFailure::kTls, records ? "the peer was not verified" : records.error().message);
    return false;
  }
  records_ = std::move(*records);
  facts_ = std::move(facts);
  ssl_.reset();
  timer_.cancel();
  phase_ = Phase::kOpen;
  return true;
}

}  // namespace sallyport::proxy
