// The record layer against AWS-LC's own at the other end, and against records with one thing wrong.
#include "proxy/tls_record.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>

#include <filesystem>
#include <string>

#include "identity/authority.h"
#include "identity/tls_context.h"

namespace sallyport::proxy {
namespace {

class TlsRecordTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "sallyport-records-" + std::to_string(::getpid());
    std::filesystem::create_directories(directory_);
    identity::Authority::Options options;
    options.key_file = directory_ + "/key.pem";
    options.certificate_file = directory_ + "/root.pem";
    options.trust_domain = "cluster.local";
    auto authority = identity::Authority::open(options, clock_).value();
    auto bundles =
        identity::TrustBundles::make({{"cluster.local", {authority->root_der()}}}).value();
    const identity::SpiffeId id = identity::workload_id("cluster.local", "ai", "one");
    const identity::Svid svid = authority->issue(id, std::chrono::hours(1), clock_.wall()).value();
    const identity::Credentials own{{svid.certificate_der}, svid.key_der};
    auto chains = identity::VerifiedChains::make(bundles);
    server_ = identity::TlsContext::server(own, chains, clock_).value()->accept();
    client_ = identity::TlsContext::client(own, chains, clock_).value()->connect({id, {}, {}});
    ASSERT_EQ(SSL_set_ciphersuites(client_.get(), GetParam()), 1);
    BIO *one = nullptr, *two = nullptr;
    ASSERT_EQ(BIO_new_bio_pair(&one, 1 << 20, &two, 1 << 20), 1);
    SSL_set_bio(client_.get(), one, one);
    SSL_set_bio(server_.get(), two, two);
    bool done = false;
    for (int i = 0; i < 10 && !done; ++i) {
      const int c = SSL_do_handshake(client_.get());
      const int s = SSL_do_handshake(server_.get());
      done = c == 1 && s == 1;
    }
    ASSERT_TRUE(done);
    // The client's end is ours from here.
    auto records = TlsRecords::take_over(client_.get());
    ASSERT_TRUE(records) << records.error().message;
    records_ = std::move(*records);
    wire_ = SSL_get_rbio(client_.get());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string from_server() {
    std::string out(1 << 20, 0);
    const int n = BIO_read(wire_, out.data(), static_cast<int>(out.size()));
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }
  static std::span<uint8_t> span(std::string& text) {
    return {reinterpret_cast<uint8_t*>(text.data()), text.size()};
  }
  std::string seal(std::string_view text) {
    std::string out(TlsRecords::sealed_size(text.size()), 0);
    const size_t n = records_->seal({reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                                    reinterpret_cast<uint8_t*>(out.data()));
    EXPECT_EQ(n, out.size());
    return out;
  }
  std::string at_server(size_t size) {
    std::string out(size, 0);
    size_t have = 0;
    while (have < size) {
      const int n = SSL_read(server_.get(), out.data() + have, static_cast<int>(size - have));
      if (n <= 0) break;
      have += static_cast<size_t>(n);
    }
    out.resize(have);
    return out;
  }
  void to_server(std::string_view text) {
    ASSERT_EQ(BIO_write(wire_, text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }

  SystemClock clock_;
  std::string directory_;
  bssl::UniquePtr<SSL> server_, client_;
  std::unique_ptr<TlsRecords> records_;
  BIO* wire_ = nullptr;
};

TEST_P(TlsRecordTest, SpeaksWithTheLibrary) {
  for (const size_t size :
       {size_t{1}, size_t{100}, size_t{16384}, size_t{16385}, size_t{100'000}}) {
    const std::string text(size, 'q');
    to_server(seal(text));
    EXPECT_TRUE(at_server(size) == text) << size;
    for (size_t sent = 0; sent < size;) {
      const int n = SSL_write(server_.get(), text.data() + sent, static_cast<int>(size - sent));
      ASSERT_GT(n, 0);
      sent += static_cast<size_t>(n);
    }
    std::string sealed = from_server();
    std::string got;
    std::span<uint8_t> left = span(sealed);
    while (!left.empty()) {
      const auto opened = records_->open(left);
      ASSERT_EQ(opened.kind, TlsRecords::Kind::kData);
      got.append(reinterpret_cast<const char*>(opened.plaintext.data()), opened.plaintext.size());
      left = left.subspan(opened.consumed);
    }
    EXPECT_TRUE(got == text) << size;
  }
}

TEST_P(TlsRecordTest, PartsOfARecordWait) {
  ASSERT_EQ(SSL_write(server_.get(), "hello", 5), 5);
  std::string sealed = from_server();
  for (size_t n = 0; n < sealed.size(); ++n) {
    std::string part = sealed.substr(0, n);
    ASSERT_EQ(records_->open(span(part)).kind, TlsRecords::Kind::kNeedMore) << n;
  }
  EXPECT_EQ(records_->open(span(sealed)).kind, TlsRecords::Kind::kData);
}

TEST_P(TlsRecordTest, KeyUpdatesWorkBothWays) {
  // The library's request, which wants ours in return.
  ASSERT_EQ(SSL_key_update(server_.get(), SSL_KEY_UPDATE_REQUESTED), 1);
  ASSERT_EQ(SSL_write(server_.get(), "new", 3), 3);
  std::string sealed = from_server();
  auto first = records_->open(span(sealed));
  ASSERT_EQ(first.kind, TlsRecords::Kind::kNothing);
  EXPECT_TRUE(records_->update_due());
  auto second = records_->open(span(sealed).subspan(first.consumed));
  ASSERT_EQ(second.kind, TlsRecords::Kind::kData);
  EXPECT_EQ(std::string(second.plaintext.begin(), second.plaintext.end()), "new");
  std::string update(TlsRecords::kKeyUpdateSize, 0);
  ASSERT_EQ(records_->seal_key_update(reinterpret_cast<uint8_t*>(update.data())), update.size());
  EXPECT_FALSE(records_->update_due());
  to_server(update + seal("mine"));
  EXPECT_EQ(at_server(4), "mine");
}

TEST_P(TlsRecordTest, AWornKeyIsReplaced) {
  records_->set_key_life(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(records_->update_due());
    to_server(seal("x"));
  }
  EXPECT_TRUE(records_->update_due());
  std::string update(TlsRecords::kKeyUpdateSize, 0);
  ASSERT_EQ(records_->seal_key_update(reinterpret_cast<uint8_t*>(update.data())), update.size());
  to_server(update + seal("y"));
  EXPECT_EQ(at_server(4), "xxxy");
}

TEST_P(TlsRecordTest, EndsAreTold) {
  ASSERT_EQ(SSL_shutdown(server_.get()), 0);
  std::string sealed = from_server();
  EXPECT_EQ(records_->open(span(sealed)).kind, TlsRecords::Kind::kEnd);
  std::string alert(TlsRecords::kAlertSize, 0);
  ASSERT_EQ(records_->seal_alert(1, 0, reinterpret_cast<uint8_t*>(alert.data())), alert.size());
  to_server(alert);
  char byte = 0;
  EXPECT_EQ(SSL_read(server_.get(), &byte, 1), 0);
  EXPECT_EQ(SSL_get_error(server_.get(), 0), SSL_ERROR_ZERO_RETURN);
}

TEST_P(TlsRecordTest, NothingFalseIsTaken) {
  ASSERT_EQ(SSL_write(server_.get(), "secret", 6), 6);
  const std::string good = from_server();
  // Every byte of the record counts, its header included.
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    const auto kind = records_->open(span(bad)).kind;
    // A longer record is not whole, and one whose minor version differs is not authentic.
    EXPECT_TRUE(kind == TlsRecords::Kind::kBroken || (i == 3 || i == 4)) << i;
    EXPECT_NE(kind, TlsRecords::Kind::kData) << i;
  }
  std::string first = good, again = good;
  EXPECT_EQ(records_->open(span(first)).kind, TlsRecords::Kind::kData);
  EXPECT_EQ(records_->open(span(again)).kind, TlsRecords::Kind::kBroken);  // a replay
}

TEST_P(TlsRecordTest, MalformedHeadersAreRefused) {
  for (const std::string& head :
       {std::string("\x16\x03\x03\x00\x20", 5), std::string("\x17\x02\x03\x00\x20", 5),
        std::string("\x17\x03\x03\xff\xff", 5), std::string("\x17\x03\x03\x00\x10", 5),
        std::string("GET /")}) {
    std::string record = head + std::string(64, 'x');
    EXPECT_EQ(records_->open(span(record)).kind, TlsRecords::Kind::kBroken);
  }
}

// A peer that sends nothing but key updates wants to waste time; with data between them it does
// not.
TEST_P(TlsRecordTest, FloodsOfNothingEnd) {
  auto peer = TlsRecords::take_over(server_.get());
  ASSERT_TRUE(peer);
  auto update = [&] {
    std::string record(TlsRecords::kKeyUpdateSize, 0);
    EXPECT_NE((*peer)->seal_key_update(reinterpret_cast<uint8_t*>(record.data())), 0U);
    return records_->open(span(record)).kind;
  };
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(update(), TlsRecords::Kind::kNothing);
    std::string data(TlsRecords::sealed_size(1), 0);
    const uint8_t byte = 'x';
    ASSERT_NE((*peer)->seal({&byte, 1}, reinterpret_cast<uint8_t*>(data.data())), 0U);
    ASSERT_EQ(records_->open(span(data)).kind, TlsRecords::Kind::kData);
  }
  int updates = 0;
  while (updates < 100 && update() == TlsRecords::Kind::kNothing) ++updates;
  EXPECT_LT(updates, 40);
}

INSTANTIATE_TEST_SUITE_P(Ciphers, TlsRecordTest,
                         ::testing::Values("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                           "TLS_CHACHA20_POLY1305_SHA256"),
                         [](const auto& info) {
                           return std::string(info.param).substr(4, info.index == 2 ? 8 : 7);
                         });

}  // namespace
}  // namespace sallyport::proxy
