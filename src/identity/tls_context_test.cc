#include "identity/tls_context.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>

#include <cstring>

#include "identity/key.h"
#include "identity/test_pki.h"

namespace sallyport::identity {
namespace {

using testing::at;
using testing::ca_spec;
using testing::Certificate;
using testing::kNow;
using testing::leaf_spec;
using testing::make;

// Two ends joined by memory.
struct Pair {
  bssl::UniquePtr<SSL> client, server;
  int client_error = SSL_ERROR_NONE, server_error = SSL_ERROR_NONE;
  size_t client_sent = 0;  // bytes of the client's first flight

  Pair(bssl::UniquePtr<SSL> c, bssl::UniquePtr<SSL> s)
      : client(std::move(c)), server(std::move(s)) {
    BIO *one = nullptr, *two = nullptr;
    testing::must(client && server && BIO_new_bio_pair(&one, 1 << 16, &two, 1 << 16));
    SSL_set_bio(client.get(), one, one);
    SSL_set_bio(server.get(), two, two);
  }

  static bool step(SSL* ssl, int* error) {
    if (*error != SSL_ERROR_NONE && *error != SSL_ERROR_WANT_READ && *error != SSL_ERROR_WANT_WRITE)
      return false;
    ERR_clear_error();
    const int ret = SSL_do_handshake(ssl);
    *error = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, ret);
    return ret == 1;
  }

  // True where both ends are done. The first to fail keeps its error in the queue.
  bool handshake() {
    for (int i = 0; i < 10; ++i) {
      const bool c = step(client.get(), &client_error);
      if (i == 0) client_sent = BIO_pending(SSL_get_rbio(server.get()));
      if (failed(client_error)) return false;
      const bool s = step(server.get(), &server_error);
      if (failed(server_error)) return false;
      if (c && s) return true;
    }
    return false;
  }
  static bool failed(int error) {
    return error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
  }

  // What the client finds when it reads, after the server has refused it.
  HandshakeFailure client_reads() {
    ERR_clear_error();
    char byte = 0;
    const int ret = SSL_read(client.get(), &byte, 1);
    EXPECT_LE(ret, 0);
    return handshake_failure(client.get(), SSL_get_error(client.get(), ret));
  }
};

class Tls : public ::testing::Test {
 protected:
  Tls() : root_(make(ca_spec("root", "spiffe://cluster.local"))) {
    peers_ = VerifiedChains::make(*TrustBundles::make({{"cluster.local", {root_.der()}}}));
    server_options_.alpn = {"istio-h2", "istio"};
  }

  static Credentials credentials(const Certificate& certificate) {
    return {{certificate.der()}, *key_der(certificate.key.get())};
  }
  Credentials workload(const std::string& name) const {
    return credentials(
        make(leaf_spec(workload_id("cluster.local", "ns", name).to_string()), &root_));
  }

  std::shared_ptr<TlsContext> server(const Credentials& own) {
    auto made = TlsContext::server(own, peers_, clock_, server_options_);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return *made;
  }
  std::shared_ptr<TlsContext> client(const Credentials& own, const TlsOptions& options = {}) {
    auto made = TlsContext::client(own, peers_, clock_, options);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return *made;
  }
  Pair pair(TlsContext& from, TlsContext& to, std::string_view alpn = {},
            std::string_view sni = {}) {
    return Pair(from.connect({server_id_, alpn, sni}), to.accept());
  }

  Certificate root_;
  testing::FixedClock clock_;
  std::shared_ptr<VerifiedChains> peers_;
  TlsOptions server_options_;
  const SpiffeId server_id_ = workload_id("cluster.local", "ns", "server");
  const SpiffeId client_id_ = workload_id("cluster.local", "ns", "client");
};

TEST_F(Tls, BothEndsKnowEachOther) {
  const auto s = server(workload("server"));
  const auto c = client(workload("client"));
  const std::string wire = alpn_wire({"istio"});
  Pair p = pair(*c, *s, wire, "outbound_.80_._.web.shop.svc.cluster.local");
  EXPECT_EQ(describe(p.client.get()).version, 0);
  EXPECT_EQ(peer_of(p.client.get()), nullptr);
  ASSERT_TRUE(p.handshake());
  ASSERT_TRUE(peer_of(p.client.get()) && peer_of(p.server.get()));
  EXPECT_EQ(peer_of(p.client.get())->id, server_id_);
  EXPECT_EQ(peer_of(p.server.get())->id, client_id_);
  EXPECT_EQ(alpn_of(p.client.get()), "istio");
  EXPECT_EQ(alpn_of(p.server.get()), "istio");
  EXPECT_EQ(sni_of(p.server.get()), "outbound_.80_._.web.shop.svc.cluster.local");
  for (const SSL* ssl : {p.client.get(), p.server.get()}) {
    const TlsDescription d = describe(ssl);
    EXPECT_EQ(d.version, 0x0304);
    EXPECT_EQ(d.version_name, "TLSv1.3");
    EXPECT_EQ(d.cipher, 0x1301);
    EXPECT_EQ(d.cipher_name, "TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(d.group, 0x11ec);
    EXPECT_EQ(d.group_name, "X25519MLKEM768");
  }
  EXPECT_GT(p.client_sent, 1200u);  // a key of ML-KEM went with it
  // Bytes both ways.
  char text[16] = {};
  ASSERT_EQ(SSL_write(p.client.get(), "hello", 5), 5);
  ASSERT_EQ(SSL_read(p.server.get(), text, sizeof text), 5);
  EXPECT_EQ(std::string_view(text, 5), "hello");
  ASSERT_EQ(SSL_write(p.server.get(), "world", 5), 5);
  ASSERT_EQ(SSL_read(p.client.get(), text, sizeof text), 5);
  EXPECT_EQ(std::string_view(text, 5), "world");
}

TEST_F(Tls, AConnectionOutlivesItsContext) {
  auto s = server(workload("server"));
  auto c = client(workload("client"));
  Pair p = pair(*c, *s);
  s.reset();
  c.reset();
  ASSERT_TRUE(p.handshake());
  EXPECT_EQ(peer_of(p.server.get())->id, client_id_);
}

TEST_F(Tls, EveryHandshakeIsFull) {
  const auto s = server(workload("server"));
  const auto c = client(workload("client"));
  for (int i = 0; i < 3; ++i) {
    Pair p = pair(*c, *s);
    ASSERT_TRUE(p.handshake());
    char byte = 0;
    ASSERT_EQ(SSL_write(p.server.get(), "x", 1), 1);
    ASSERT_EQ(SSL_read(p.client.get(), &byte, 1), 1);
    EXPECT_FALSE(SSL_session_reused(p.client.get()));
    EXPECT_FALSE(SSL_SESSION_has_ticket(SSL_get_session(p.client.get())));
    // Offering what was learned all the same leads to a full handshake again.
    SSL_SESSION_set_timeout(SSL_get_session(p.client.get()), 3600);
    Pair again = pair(*c, *s);
    SSL_set_session(again.client.get(), SSL_get_session(p.client.get()));
    ASSERT_TRUE(again.handshake());
    EXPECT_FALSE(SSL_session_reused(again.client.get()));
  }
  EXPECT_EQ(peers_->hits(), 10u);  // 12 checks, of 2 chains
}

TEST_F(Tls, GroupsAreNegotiated) {
  const struct {
    std::vector<uint16_t> client;
    uint16_t chosen;
    std::string_view name;
  } table[] = {
      {{SSL_GROUP_X25519}, 29, "x25519"},
      {{SSL_GROUP_SECP256R1}, 23, "secp256r1"},
      {{SSL_GROUP_X25519, SSL_GROUP_X25519_MLKEM768}, 0, ""},  // either is right
  };
  const auto s = server(workload("server"));
  for (const auto& row : table) {
    TlsOptions options;
    options.groups = row.client;
    const auto c = client(workload("client"), options);
    Pair p = pair(*c, *s);
    ASSERT_TRUE(p.handshake());
    if (row.chosen == 0) continue;
    EXPECT_EQ(describe(p.server.get()).group, row.chosen);
    EXPECT_EQ(describe(p.client.get()).group_name, row.name);
  }
  TlsOptions foreign;
  foreign.groups = {SSL_GROUP_SECP384R1};
  const auto c = client(workload("client"), foreign);
  Pair p = pair(*c, *s);
  ASSERT_FALSE(p.handshake());
  EXPECT_EQ(handshake_failure(p.server.get(), p.server_error).result, HandshakeResult::kProtocol);
}

TEST_F(Tls, TheClientRefusesAnotherServer) {
  const auto s = server(workload("thief"));
  const auto c = client(workload("client"));
  Pair p = pair(*c, *s);
  ASSERT_FALSE(p.handshake());
  const HandshakeFailure failure = handshake_failure(p.client.get(), p.client_error);
  EXPECT_EQ(failure.result, HandshakeResult::kWrongIdentity);
  EXPECT_EQ(failure.reason,
            "the peer is spiffe://cluster.local/ns/ns/sa/thief, expected was "
            "spiffe://cluster.local/ns/ns/sa/server");
  EXPECT_EQ(peer_of(p.client.get()), nullptr);
  Pair::step(p.server.get(), &p.server_error);
  const HandshakeFailure other = handshake_failure(p.server.get(), p.server_error);
  EXPECT_EQ(other.result, HandshakeResult::kRefused) << other.reason;
}

TEST_F(Tls, TheServerRefusesForgedAndExpiredClients) {
  const auto s = server(workload("server"));
  const Certificate forger = make(ca_spec("root", "spiffe://cluster.local"));
  const auto forged = client(credentials(make(leaf_spec(client_id_.to_string()), &forger)));
  Pair p = pair(*forged, *s);
  EXPECT_FALSE(p.handshake());
  HandshakeFailure failure = handshake_failure(p.server.get(), p.server_error);
  EXPECT_EQ(failure.result, HandshakeResult::kUntrusted);
  EXPECT_NE(failure.reason.find("does not lead to a root"), std::string::npos);
  EXPECT_EQ(peer_of(p.server.get()), nullptr);
  failure = p.client_reads();
  EXPECT_EQ(failure.result, HandshakeResult::kRefused) << failure.reason;

  testing::Spec old = leaf_spec(client_id_.to_string());
  old.not_after = kNow - 1;
  const auto expired = client(credentials(make(old, &root_)));
  Pair q = pair(*expired, *s);
  EXPECT_FALSE(q.handshake());
  failure = handshake_failure(q.server.get(), q.server_error);
  EXPECT_EQ(failure.result, HandshakeResult::kUntrusted);
  EXPECT_NE(failure.reason.find("expired"), std::string::npos);
}

TEST_F(Tls, ACachedPeerStillExpires) {
  const auto s = server(workload("server"));
  const auto c = client(workload("client"));
  Pair p = pair(*c, *s);
  ASSERT_TRUE(p.handshake());
  clock_.posix = kNow + 3601;
  Pair q = pair(*c, *s);
  EXPECT_FALSE(q.handshake());
  EXPECT_EQ(handshake_failure(q.client.get(), q.client_error).result, HandshakeResult::kUntrusted);
}

// A client or server that is not ours.
bssl::UniquePtr<SSL> plain(bool is_client, const Certificate* certificate,
                           uint16_t version = TLS1_3_VERSION) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  testing::must(SSL_CTX_set_max_proto_version(context.get(), version) &&
                SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION));
  if (certificate) {
    testing::must(SSL_CTX_use_certificate(context.get(), certificate->x509.get()) &&
                  SSL_CTX_use_PrivateKey(context.get(), certificate->key.get()));
  }
  bssl::UniquePtr<SSL> ssl(SSL_new(context.get()));
  if (is_client)
    SSL_set_connect_state(ssl.get());
  else
    SSL_set_accept_state(ssl.get());
  return ssl;
}

TEST_F(Tls, AClientWithoutACertificateIsRefused) {
  const auto s = server(workload("server"));
  Pair p(plain(true, nullptr), s->accept());
  EXPECT_FALSE(p.handshake());
  const HandshakeFailure failure = handshake_failure(p.server.get(), p.server_error);
  EXPECT_EQ(failure.result, HandshakeResult::kNoCertificate) << failure.reason;
}

TEST_F(Tls, OlderVersionsAreRefused) {
  const Certificate own = make(leaf_spec(client_id_.to_string()), &root_);
  const auto s = server(workload("server"));
  Pair p(plain(true, &own, TLS1_2_VERSION), s->accept());
  EXPECT_FALSE(p.handshake());
  EXPECT_EQ(handshake_failure(p.server.get(), p.server_error).result, HandshakeResult::kProtocol);
  const auto c = client(workload("client"));
  Pair q(c->connect({server_id_, {}, {}}), plain(false, &own, TLS1_2_VERSION));
  EXPECT_FALSE(q.handshake());
}

TEST_F(Tls, AServerThatAsksForNoCertificateIsStillVerified) {
  const Certificate stranger = make(leaf_spec("spiffe://cluster.local/ns/ns/sa/stranger"), &root_);
  const auto c = client(workload("client"));
  Pair p(c->connect({server_id_, {}, {}}), plain(false, &stranger));
  EXPECT_FALSE(p.handshake());
  EXPECT_EQ(handshake_failure(p.client.get(), p.client_error).result,
            HandshakeResult::kWrongIdentity);
}

TEST_F(Tls, NotTlsAtAll) {
  const auto s = server(workload("server"));
  bssl::UniquePtr<SSL> ssl = s->accept();
  BIO *one = nullptr, *two = nullptr;
  ASSERT_TRUE(BIO_new_bio_pair(&one, 1 << 16, &two, 1 << 16));
  bssl::UniquePtr<BIO> wire(two);
  SSL_set_bio(ssl.get(), one, one);
  ASSERT_GT(BIO_write(wire.get(), "GET / HTTP/1.1\r\n\r\n", 18), 0);
  const int ret = SSL_do_handshake(ssl.get());
  ASSERT_LE(ret, 0);
  const HandshakeFailure failure = handshake_failure(ssl.get(), SSL_get_error(ssl.get(), ret));
  EXPECT_EQ(failure.result, HandshakeResult::kProtocol);
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(Tls, TheTransportEnds) {
  const auto s = server(workload("server"));
  bssl::UniquePtr<SSL> ssl = s->accept();
  BIO *one = nullptr, *two = nullptr;
  ASSERT_TRUE(BIO_new_bio_pair(&one, 1 << 16, &two, 1 << 16));
  bssl::UniquePtr<BIO> wire(two);
  SSL_set_bio(ssl.get(), one, one);
  ASSERT_TRUE(BIO_shutdown_wr(wire.get()));
  const int ret = SSL_do_handshake(ssl.get());
  ASSERT_LE(ret, 0);
  EXPECT_EQ(handshake_failure(ssl.get(), SSL_get_error(ssl.get(), ret)).result,
            HandshakeResult::kClosed);
}

TEST_F(Tls, AlpnIsTheServersChoice) {
  const auto s = server(workload("server"));
  const auto c = client(workload("client"));
  const auto negotiate = [&](const std::vector<std::string>& offered) {
    const std::string wire = alpn_wire(offered);
    Pair p = pair(*c, *s, wire);
    if (!p.handshake()) {
      const auto failure = handshake_failure(p.server.get(), p.server_error);
      EXPECT_EQ(failure.result, HandshakeResult::kProtocol);
      return std::string("refused");
    }
    return std::string(alpn_of(p.client.get()));
  };
  EXPECT_EQ(negotiate({"istio", "istio-h2"}), "istio-h2");
  EXPECT_EQ(negotiate({"x", "istio"}), "istio");
  EXPECT_EQ(negotiate({"h2", "http/1.1"}), "refused");
  EXPECT_EQ(negotiate({}), "");
  EXPECT_EQ(alpn_wire({"a", "", "bc", std::string(256, 'x')}), std::string("\1a\2bc"));
  server_options_.alpn = {};
  const auto silent = server(workload("server"));
  const std::string wire = alpn_wire({"h2"});
  Pair p = pair(*c, *silent, wire);
  ASSERT_TRUE(p.handshake());
  EXPECT_EQ(alpn_of(p.client.get()), "");
}

TEST_F(Tls, MalformedTargetsGiveNoConnection) {
  const auto c = client(workload("client"));
  EXPECT_FALSE(c->connect({server_id_, "\5h2", {}}));
  EXPECT_FALSE(c->connect({server_id_, {}, std::string(256, 'x')}));
  EXPECT_FALSE(c->accept());
  EXPECT_FALSE(server(workload("server"))->connect({server_id_, {}, {}}));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(Tls, BadCredentialsAreRefused) {
  const Credentials good = workload("server");
  const auto refused = [&](const Credentials& own, const TlsOptions& options = {}) {
    const auto made = TlsContext::server(own, peers_, clock_, options);
    return !made && made.error().code == Code::kInvalid && !made.error().message.empty();
  };
  EXPECT_FALSE(refused(good));
  EXPECT_TRUE(refused({{}, good.key_der}));
  EXPECT_TRUE(refused({good.chain_der, ""}));
  EXPECT_TRUE(refused({good.chain_der, good.key_der + "x"}));
  EXPECT_TRUE(refused({good.chain_der, workload("other").key_der}));
  EXPECT_TRUE(refused({{"rubbish"}, good.key_der}));
  TlsOptions options;
  options.groups = {};
  EXPECT_TRUE(refused(good, options));
  options.groups = {0x1234};
  EXPECT_TRUE(refused(good, options));
  options = {};
  options.alpn = {""};
  EXPECT_TRUE(refused(good, options));
}

TEST_F(Tls, ChainsWithIntermediatesAreShown) {
  const Certificate middle = make(ca_spec("middle"), &root_);
  const Certificate leaf = make(leaf_spec(server_id_.to_string()), &middle);
  const auto s = server({{leaf.der(), middle.der()}, *key_der(leaf.key.get())});
  const auto c = client(workload("client"));
  Pair p = pair(*c, *s);
  ASSERT_TRUE(p.handshake());
  EXPECT_EQ(peer_of(p.client.get())->id, server_id_);
}

TEST(HandshakeResultText, EveryOneHasAWord) {
  std::vector<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(HandshakeResult::kClosed); ++i) {
    const auto word = to_string(static_cast<HandshakeResult>(i));
    EXPECT_NE(word, "unknown");
    for (auto other : seen) EXPECT_NE(word, other);
    seen.push_back(word);
  }
}

}  // namespace
}  // namespace sallyport::identity
