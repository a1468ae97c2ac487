#include "identity/tls_context.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

#include "identity/certificate.h"
#include "identity/key.h"
#include "identity/tls_session.h"

namespace sallyport::identity {
namespace {

constexpr char kCiphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr uint16_t kSignatures[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256};
constexpr size_t kMessageOverhead = 256;  // of the Certificate message around the chain
constexpr size_t kMaxName = 255;          // of SNI and of an ALPN protocol

// What all connections of one context use. It hangs on the SSL_CTX, which lives as long as the last
// connection: the library's pool of certificates must outlive everything that was put into it.
struct Shared {
  std::shared_ptr<VerifiedChains> peers;
  const Clock* clock = nullptr;
  std::vector<std::string> alpn;
  bssl::UniquePtr<CRYPTO_BUFFER_POOL> pool;
};

void free_shared(void*, void* shared, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Shared*>(shared);
}

int shared_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_shared);
  return index;
}

Shared& shared_of(const SSL* ssl) {
  return *static_cast<Shared*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), shared_index()));
}

uint8_t alert_for(const Error& error) {
  return error.message.find("expired") != std::string::npos ? SSL_AD_CERTIFICATE_EXPIRED
                                                            : SSL_AD_BAD_CERTIFICATE;
}

ssl_verify_result_t verify_peer(SSL* ssl, uint8_t* alert) {
  TlsSession* session = session_of(ssl);
  Shared& shared = shared_of(ssl);
  auto peer = shared.peers->verify(SSL_get0_peer_certificates(ssl), shared.clock->wall());
  if (!peer) {
    session->failure = {HandshakeResult::kUntrusted, peer.error().message};
    *alert = alert_for(peer.error());
    return ssl_verify_invalid;
  }
  if (session->expected && (*peer)->id != *session->expected) {
    session->failure = {HandshakeResult::kWrongIdentity, "the peer is " + (*peer)->id.to_string() +
                                                             ", expected was " +
                                                             session->expected->to_string()};
    *alert = SSL_AD_ACCESS_DENIED;
    return ssl_verify_invalid;
  }
  session->peer = std::move(*peer);
  session->expected.reset();  // not needed any more, and a pool holds thousands of connections
  return ssl_verify_ok;
}

int select_alpn(SSL* ssl, const uint8_t** out, uint8_t* out_size, const uint8_t* offered,
                unsigned size, void*) {
  const std::vector<std::string>& accepted = shared_of(ssl).alpn;
  if (accepted.empty()) return SSL_TLSEXT_ERR_NOACK;
  for (const std::string& name : accepted) {
    // The library has checked the form of the list.
    for (unsigned at = 0; at < size; at += 1u + offered[at]) {
      const std::string_view one(reinterpret_cast<const char*>(offered) + at + 1, offered[at]);
      if (one != name) continue;
      *out = offered + at + 1;
      *out_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status set_credentials(SSL_CTX* context, const Credentials& own) {
  if (own.chain_der.empty()) return fail(Code::kInvalid, "there is no certificate to show");
  SP_TRY(const auto key, parse_key(own.key_der));
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
  std::vector<CRYPTO_BUFFER*> chain;
  for (const std::string& der : own.chain_der) {
    SP_TRY([[maybe_unused]] const auto parsed, parse_certificate(der));
    owned.emplace_back(
        CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr));
    if (!owned.back()) return fail(Code::kExhausted, "out of memory");
    chain.push_back(owned.back().get());
  }
  if (!SSL_CTX_set_chain_and_key(context, chain.data(), chain.size(), key.get(), nullptr))
    return fail(Code::kInvalid, "the certificate and the key do not fit: " + library_error());
  return {};
}

Status configure(SSL_CTX* context, const TlsOptions& options) {
  if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
      !SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) ||
      !SSL_CTX_set_ciphersuites(context, kCiphers) ||
      !SSL_CTX_set_signing_algorithm_prefs(context, kSignatures, std::size(kSignatures)) ||
      !SSL_CTX_set_verify_algorithm_prefs(context, kSignatures, std::size(kSignatures)))
    return fail(Code::kInternal, "cannot configure TLS: " + library_error());
  if (options.groups.empty() ||
      !SSL_CTX_set1_group_ids(context, options.groups.data(), options.groups.size()))
    return fail(Code::kInvalid, "the list of groups is empty or has an unknown one");
  // A resumed session would skip the check of the peer's certificate.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_max_cert_list(context, kMaxChainBytes + kMessageOverhead);
  return {};
}

class Context : public TlsContext {
 public:
  Context(bssl::UniquePtr<SSL_CTX> context, bool is_server)
      : context_(std::move(context)), is_server_(is_server) {}

  bssl::UniquePtr<SSL> accept() override {
    if (!is_server_) return nullptr;
    bssl::UniquePtr<SSL> ssl = make_connection(std::nullopt);
    if (ssl) SSL_set_accept_state(ssl.get());
    return ssl;
  }

  bssl::UniquePtr<SSL> connect(const Target& target) override {
    if (is_server_ || target.sni.size() > kMaxName) return nullptr;
    bssl::UniquePtr<SSL> ssl = make_connection(target.expected);
    if (!ssl) return nullptr;
    SSL_set_connect_state(ssl.get());
    const auto* alpn = reinterpret_cast<const uint8_t*>(target.alpn.data());
    if (!target.alpn.empty() && SSL_set_alpn_protos(ssl.get(), alpn, target.alpn.size()) != 0) {
      ERR_clear_error();
      return nullptr;
    }
    if (!target.sni.empty() &&
        !SSL_set_tlsext_host_name(ssl.get(), std::string(target.sni).c_str())) {
      ERR_clear_error();
      return nullptr;
    }
    return ssl;
  }

 private:
  bssl::UniquePtr<SSL> make_connection(std::optional<SpiffeId> expected) {
    bssl::UniquePtr<SSL> ssl(SSL_new(context_.get()));
    if (!ssl || !attach_session(ssl.get(), std::move(expected))) {
      ERR_clear_error();
      return nullptr;
    }
    SSL_set_shed_handshake_config(ssl.get(), 1);
    return ssl;
  }

  const bssl::UniquePtr<SSL_CTX> context_;
  const bool is_server_;
};

Result<std::shared_ptr<TlsContext>> make(bool is_server, const Credentials& own,
                                         std::shared_ptr<VerifiedChains> peers, const Clock& clock,
                                         const TlsOptions& options) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  auto shared = std::make_unique<Shared>();
  shared->pool.reset(CRYPTO_BUFFER_POOL_new());
  if (!context || !shared->pool) return fail(Code::kExhausted, "out of memory");
  SP_CHECK_OK(configure(context.get(), options));
  SP_CHECK_OK(set_credentials(context.get(), own));
  for (const std::string& name : options.alpn)
    if (name.empty() || name.size() > kMaxName)
      return fail(Code::kInvalid, "an ALPN protocol has 1 to 255 bytes");
  shared->peers = std::move(peers);
  shared->clock = &clock;
  shared->alpn = options.alpn;
  CRYPTO_BUFFER_POOL* pool = shared->pool.get();
  if (!SSL_CTX_set_ex_data(context.get(), shared_index(), shared.get()))
    return fail(Code::kExhausted, "out of memory");
  (void)shared.release();
  SSL_CTX_set0_buffer_pool(context.get(), pool);
  SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                            verify_peer);
  if (is_server) {
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
    // The verified Peer is kept instead.
    SSL_CTX_set_retain_only_sha256_of_client_certs(context.get(), 1);
  }
  return std::make_shared<Context>(std::move(context), is_server);
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(const Credentials& own,
                                                       std::shared_ptr<VerifiedChains> peers,
                                                       const Clock& clock,
                                                       const TlsOptions& options) {
  return make(true, own, std::move(peers), clock, options);
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const Credentials& own,
                                                       std::shared_ptr<VerifiedChains> peers,
                                                       const Clock& clock,
                                                       const TlsOptions& options) {
  return make(false, own, std::move(peers), clock, options);
}

std::string alpn_wire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > kMaxName) continue;
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

}  // namespace sallyport::identity
