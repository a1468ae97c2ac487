#include "identity/authority.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/bytestring.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/fs.h"
#include "identity/certificate.h"
#include "identity/key.h"
#include "identity/test_pki.h"
#include "identity/trust.h"

namespace sallyport::identity {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::at;
using testing::kNow;

class AuthorityTest : public ::testing::Test {
 protected:
  AuthorityTest() {
    char name[] = "/tmp/sallyport-authority-XXXXXX";
    dir_ = ::mkdtemp(name);
    options_.key_file = dir_ + "/ca.key";
    options_.certificate_file = dir_ + "/ca.crt";
    options_.trust_domain = "cluster.local";
  }
  ~AuthorityTest() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<Authority> open() {
    auto authority = Authority::open(options_, clock_);
    EXPECT_TRUE(authority.has_value()) << authority.error().message;
    return authority ? std::move(*authority) : nullptr;
  }
  void refused(Code code, std::string_view word) {
    const auto authority = Authority::open(options_, clock_);
    ASSERT_FALSE(authority.has_value()) << word;
    EXPECT_EQ(authority.error().code, code) << authority.error().message;
    EXPECT_NE(authority.error().message.find(word), std::string::npos) << authority.error().message;
  }
  static mode_t mode_of(const std::string& path) {
    struct stat st{};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mode & 07777;
  }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }

  std::string dir_;
  Authority::Options options_;
  testing::FixedClock clock_;
  const SpiffeId id_ = workload_id("cluster.local", "inference", "model");
};

TEST_F(AuthorityTest, MakesARootOnceAndKeepsIt) {
  const mode_t before = ::umask(0);  // the files' modes must not lean on it
  const auto first = open();
  ::umask(before);
  ASSERT_TRUE(first);
  EXPECT_EQ(mode_of(options_.key_file), 0600u);
  EXPECT_EQ(mode_of(options_.certificate_file), 0644u);
  EXPECT_EQ(list_dir(dir_)->size(), 2u);  // no temporary file stays
  clock_.posix += 1000;
  const auto second = open();
  ASSERT_TRUE(second);
  EXPECT_EQ(first->root_der(), second->root_der());
  EXPECT_EQ(second->trust_domain(), "cluster.local");
}

TEST_F(AuthorityTest, TheRootIsAsTheSpecificationSays) {
  const auto authority = open();
  const auto root = parse_certificate(authority->root_der());
  ASSERT_TRUE(root.has_value());
  X509* x509 = root->get();
  EXPECT_EQ(X509_get_version(x509), X509_VERSION_3);
  EXPECT_TRUE((X509_get_extension_flags(x509) & EXFLAG_CA) != 0);
  EXPECT_TRUE((X509_get_extension_flags(x509) & EXFLAG_XKUSAGE) == 0);
  EXPECT_EQ(X509_get_key_usage(x509), uint32_t{X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN});
  EXPECT_EQ(*uris_of(x509), std::vector<std::string>{"spiffe://cluster.local"});
  for (int nid : {NID_basic_constraints, NID_key_usage}) {
    const int place = X509_get_ext_by_NID(x509, nid, -1);
    ASSERT_GE(place, 0);
    EXPECT_TRUE(X509_EXTENSION_get_critical(X509_get_ext(x509, place)));
  }
  EXPECT_EQ(X509_get_signature_nid(x509), NID_ecdsa_with_SHA256);
  EXPECT_EQ(validity_of(x509)->not_before, kNow - 10);
  EXPECT_EQ(validity_of(x509)->not_after, kNow + 3650LL * 24 * 3600);
}

TEST_F(AuthorityTest, TheLeafIsAsTheSpecificationSays) {
  const auto authority = open();
  const auto svid = authority->issue(id_, hours(1), clock_.wall());
  ASSERT_TRUE(svid.has_value()) << svid.error().message;
  EXPECT_EQ(svid->id, id_);
  EXPECT_EQ(svid->not_before, at(kNow - 10));
  EXPECT_EQ(svid->not_after, at(kNow + 3600));
  const auto leaf = parse_certificate(svid->certificate_der);
  ASSERT_TRUE(leaf.has_value());
  X509* x509 = leaf->get();
  EXPECT_EQ(validity_of(x509)->not_before, kNow - 10);
  EXPECT_EQ(validity_of(x509)->not_after, kNow + 3600);
  EXPECT_EQ(X509_get_version(x509), X509_VERSION_3);
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(x509)), 0);
  EXPECT_EQ(*uris_of(x509),
            std::vector<std::string>{"spiffe://cluster.local/ns/inference/sa/model"});
  EXPECT_TRUE((X509_get_extension_flags(x509) & EXFLAG_BCONS) != 0);
  EXPECT_TRUE((X509_get_extension_flags(x509) & EXFLAG_CA) == 0);
  EXPECT_EQ(X509_get_key_usage(x509), uint32_t{X509v3_KU_DIGITAL_SIGNATURE});
  EXPECT_EQ(X509_get_extended_key_usage(x509), uint32_t{XKU_SSL_SERVER | XKU_SSL_CLIENT});
  const auto critical = [&](int nid) {
    const int place = X509_get_ext_by_NID(x509, nid, -1);
    return place >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x509, place)) != 0;
  };
  EXPECT_TRUE(critical(NID_subject_alt_name));
  EXPECT_TRUE(critical(NID_key_usage));
  EXPECT_FALSE(critical(NID_ext_key_usage));
  EXPECT_EQ(X509_get_ext_count(x509), 6);
  EXPECT_EQ(X509_get_signature_nid(x509), NID_ecdsa_with_SHA256);
  EXPECT_EQ(svid->serial, serial_of(x509));

  const auto root = parse_certificate(authority->root_der());
  ASSERT_TRUE(X509_get0_authority_key_id(x509) && X509_get0_subject_key_id(x509));
  EXPECT_EQ(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(x509),
                                  X509_get0_subject_key_id(root->get())),
            0);
  EXPECT_NE(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(x509), X509_get0_subject_key_id(x509)),
            0);
  const auto key = parse_key(svid->key_der);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(X509_check_private_key(x509, key->get()), 1);
  EXPECT_EQ(EVP_PKEY_id(key->get()), EVP_PKEY_EC);
  EXPECT_EQ(EVP_PKEY_bits(key->get()), 256);
}

TEST_F(AuthorityTest, EverySerialAndKeyIsNew) {
  const auto authority = open();
  std::set<std::string> serials, keys;
  size_t digits = 0;
  for (int i = 0; i < 64; ++i) {
    const auto svid = authority->issue(id_, hours(1), clock_.wall());
    ASSERT_TRUE(svid.has_value());
    serials.insert(svid->serial);
    keys.insert(svid->key_der);
    digits = std::max(digits, svid->serial.size());
    EXPECT_NE(svid->serial.find_first_not_of('0'), std::string::npos);
    // Positive: the DER has a leading zero byte where the first bit is set.
    const auto leaf = parse_certificate(svid->certificate_der);
    EXPECT_FALSE(ASN1_STRING_type(X509_get0_serialNumber(leaf->get())) == V_ASN1_NEG_INTEGER);
  }
  EXPECT_EQ(serials.size(), 64u);
  EXPECT_EQ(keys.size(), 64u);
  EXPECT_EQ(digits, 32u);  // 128 bits
}

TEST_F(AuthorityTest, ALeafNeverOutlivesTheRoot) {
  options_.root_ttl = hours(2);
  const auto authority = open();
  const auto svid = authority->issue(id_, hours(24), clock_.wall());
  ASSERT_TRUE(svid.has_value());
  EXPECT_EQ(svid->not_after, at(kNow + 7200));
  const auto endless = authority->issue(id_, seconds::max(), clock_.wall());
  ASSERT_TRUE(endless.has_value());
  EXPECT_EQ(endless->not_after, at(kNow + 7200));
  const auto last = authority->issue(id_, hours(1), at(kNow + 7199));
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->not_after, at(kNow + 7200));
  const auto late = authority->issue(id_, hours(1), at(kNow + 7200));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kDenied);
  EXPECT_FALSE(authority->issue(id_, hours(1), at(kNow - 11)).has_value());
  // Not before the root's own beginning either.
  EXPECT_EQ(authority->issue(id_, hours(1), at(kNow - 5))->not_before, at(kNow - 10));
}

TEST_F(AuthorityTest, RefusesWhatIsNotAWorkloadOfItsDomain) {
  const auto authority = open();
  for (const SpiffeId& bad :
       {SpiffeId{"other.example", "/ns/a/sa/b"}, SpiffeId{"cluster.local", ""},
        SpiffeId{"cluster.local", "/"}, SpiffeId{"cluster.local", "/ns/a/../b"},
        SpiffeId{"cluster.local", "ns/a"}, SpiffeId{"cluster.local", "/ns/a,URI:spiffe"},
        SpiffeId{"Cluster.local", "/ns/a"}, workload_id("cluster.local", "a", "")}) {
    const auto svid = authority->issue(bad, hours(1), clock_.wall());
    ASSERT_FALSE(svid.has_value()) << bad.to_string();
    EXPECT_EQ(svid.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(authority->issue(id_, seconds(0), clock_.wall()).has_value());
  EXPECT_FALSE(authority->issue(id_, seconds(-5), clock_.wall()).has_value());
}

TEST_F(AuthorityTest, ACutShortFirstStartIsFinished) {
  ASSERT_TRUE(open());
  const std::string key = *read_file(options_.key_file);
  ASSERT_EQ(::unlink(options_.certificate_file.c_str()), 0);
  ASSERT_TRUE(open());
  EXPECT_EQ(*read_file(options_.key_file), key);
}

TEST_F(AuthorityTest, RefusesFilesThatDoNotBelongTogether) {
  ASSERT_TRUE(open());
  const std::string key = *read_file(options_.key_file);
  ASSERT_EQ(::unlink(options_.key_file.c_str()), 0);
  refused(Code::kNotFound, "is missing, but its certificate");
  EXPECT_FALSE(exists(options_.key_file));  // nothing was made up

  Authority::Options other = options_;
  other.certificate_file = dir_ + "/other.crt";
  ASSERT_TRUE(Authority::open(other, clock_).has_value());
  refused(Code::kConflict, "does not belong to the key");
  ASSERT_TRUE(write_file_atomic(options_.key_file, key, 0600).has_value());
  ASSERT_TRUE(open());
  options_.trust_domain = "other.example";
  refused(Code::kConflict, "is of \"spiffe://cluster.local\", not of \"spiffe://other.example\"");
  options_.trust_domain = "Not Valid";
  refused(Code::kInvalid, "trust domain");
}

TEST_F(AuthorityTest, RefusesARootThatIsNotValidNow) {
  options_.root_ttl = hours(1);
  ASSERT_TRUE(open());
  clock_.posix = kNow + 3600;
  refused(Code::kDenied, "has expired");
  clock_.posix = kNow - 11;
  refused(Code::kDenied, "not yet valid");
}

TEST_F(AuthorityTest, RefusesAKeyFileThatOthersMayUse) {
  ASSERT_TRUE(open());
  for (mode_t mode : {0640, 0604, 0660, 0601, 0620}) {
    ASSERT_EQ(::chmod(options_.key_file.c_str(), mode), 0);
    refused(Code::kDenied, "may be used by others");
  }
  ASSERT_EQ(::chmod(options_.key_file.c_str(), 0400), 0);
  ASSERT_TRUE(open());
  ASSERT_EQ(::chown(options_.key_file.c_str(), 12345, 0), 0);
  refused(Code::kDenied, "another user");
  ASSERT_EQ(::chown(options_.key_file.c_str(), 0, 0), 0);
  const std::string real = dir_ + "/real.key";
  ASSERT_EQ(::rename(options_.key_file.c_str(), real.c_str()), 0);
  ASSERT_EQ(::symlink(real.c_str(), options_.key_file.c_str()), 0);
  refused(Code::kDenied, "symbolic link");
  ASSERT_EQ(::unlink(options_.key_file.c_str()), 0);
  ASSERT_EQ(::mkfifo(options_.key_file.c_str(), 0600), 0);
  refused(Code::kDenied, "no regular file");
}

TEST_F(AuthorityTest, RefusesRubbishInItsFiles) {
  ASSERT_TRUE(open());
  const std::string key = *read_file(options_.key_file);
  const std::string certificate = *read_file(options_.certificate_file);
  const auto with_key = [&](const std::string& text, std::string_view word) {
    ASSERT_TRUE(write_file_atomic(options_.key_file, text, 0600).has_value());
    refused(Code::kInvalid, word);
  };
  with_key("", "not an unencrypted private key");
  with_key("rubbish", "not an unencrypted private key");
  with_key(certificate, "not an unencrypted private key");
  with_key(key + key, "something behind");
  with_key(std::string(70000, 'x'), "larger than 64 KiB");
  with_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA0=\n-----END ENCRYPTED PRIVATE KEY-----\n",
           "not an unencrypted private key");
  ASSERT_TRUE(write_file_atomic(options_.key_file, key, 0600).has_value());
  const auto with_certificate = [&](const std::string& text, std::string_view word) {
    write(options_.certificate_file, text);
    refused(Code::kInvalid, word);
  };
  with_certificate("", "not a certificate");
  with_certificate(key, "not a certificate");
  with_certificate(certificate + certificate, "something behind");
  write(options_.certificate_file, certificate + "\n\n");
  EXPECT_TRUE(open());  // a trailing line hurts nobody
}

TEST_F(AuthorityTest, APeerAcceptsWhatItIssues) {
  const auto authority = open();
  const auto svid = authority->issue(id_, seconds(10), clock_.wall());
  ASSERT_TRUE(svid.has_value());
  const auto bundles = TrustBundles::make({{"cluster.local", {authority->root_der()}}});
  ASSERT_TRUE(bundles.has_value());
  const auto chain = testing::chain_of({svid->certificate_der});
  const auto peer = (*bundles)->verify(chain.get(), at(kNow + 9));
  ASSERT_TRUE(peer.has_value()) << peer.error().message;
  EXPECT_EQ(peer->id, id_);
  EXPECT_EQ(peer->serial, svid->serial);
  EXPECT_EQ(peer->not_after, svid->not_after);
  EXPECT_FALSE((*bundles)->verify(chain.get(), at(kNow + 10)).has_value());
}

}  // namespace
}  // namespace sallyport::identity
