#include "identity/trust.h"

#include <gtest/gtest.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "identity/test_pki.h"
#include "identity/verified_chains.h"

namespace sallyport::identity {
namespace {

using namespace std::string_literals;
using testing::at;
using testing::ca_spec;
using testing::Certificate;
using testing::chain_of;
using testing::kNow;
using testing::leaf_spec;
using testing::make;
using testing::Spec;

std::string sha256_of(const std::string& der) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(der.data()), der.size(), digest);
  std::string text;
  char two[3];
  for (const uint8_t byte : digest) {
    std::snprintf(two, sizeof two, "%02x", byte);
    text += two;
  }
  return text;
}

class Trust : public ::testing::Test {
 protected:
  Trust()
      : root_(make(ca_spec("root", "spiffe://cluster.local"))),
        other_(make(ca_spec("other", "spiffe://other.example"))) {
    auto bundles = TrustBundles::make({{"cluster.local", {root_.der()}},
                                       {"other.example", {other_.der()}},
                                       {"empty.example", {}}});
    EXPECT_TRUE(bundles.has_value());
    bundles_ = *bundles;
  }

  Result<Peer> verify(const std::vector<std::string>& ders, int64_t now = kNow) const {
    auto peer = bundles_->verify(chain_of(ders).get(), at(now));
    EXPECT_EQ(ERR_peek_error(), 0u) << "an error was left in the library's queue";
    return peer;
  }

  // A leaf of `spec` signed by the root is refused, and the reason says `word`.
  void expect_refused(const Spec& spec, std::string_view word, testing::Key key = nullptr) const {
    refused(verify({make(spec, &root_, std::move(key)).der()}), word);
  }

  static void refused(const Result<Peer>& peer, std::string_view word) {
    ASSERT_FALSE(peer.has_value()) << "accepted; expected was: " << word;
    EXPECT_EQ(peer.error().code, Code::kDenied);
    EXPECT_NE(peer.error().message.find(word), std::string::npos)
        << "said: " << peer.error().message << "; expected was: " << word;
  }

  Certificate root_, other_;
  std::shared_ptr<const TrustBundles> bundles_;
};

TEST_F(Trust, AcceptsAGoodLeaf) {
  const Certificate leaf = make(leaf_spec(), &root_);
  const auto peer = verify({leaf.der()});
  ASSERT_TRUE(peer.has_value()) << peer.error().message;
  EXPECT_EQ(peer->id.to_string(), "spiffe://cluster.local/ns/a/sa/b");
  EXPECT_EQ(peer->serial.size(), 26u);  // 100 bits
  EXPECT_EQ(peer->sha256, sha256_of(leaf.der()));
  EXPECT_EQ(peer->not_before, at(kNow - 60));
  EXPECT_EQ(peer->not_after, at(kNow + 3600));
  EXPECT_EQ(peer->trusted_from, at(kNow - 60));
  EXPECT_EQ(peer->trusted_until, at(kNow + 3600));
}

TEST_F(Trust, AcceptsWhatTheSpecificationAllows) {
  Spec hosts = leaf_spec();
  hosts.hosts = {"a.example", "b.example"};
  EXPECT_TRUE(verify({make(hosts, &root_).der()}).has_value());
  Spec no_extended = leaf_spec();
  no_extended.extended = {};
  EXPECT_TRUE(verify({make(no_extended, &root_).der()}).has_value());
  Spec no_constraints = leaf_spec();
  no_constraints.ca.reset();
  EXPECT_TRUE(verify({make(no_constraints, &root_).der()}).has_value());
  Spec encipherment = leaf_spec();
  encipherment.usage.push_back(testing::kKeyEncipherment);
  encipherment.name = "a name";
  EXPECT_TRUE(verify({make(encipherment, &root_).der()}).has_value());
  EXPECT_TRUE(verify({make(leaf_spec(), &root_, testing::rsa_key(2048)).der()}).has_value());
  EXPECT_TRUE(
      verify({make(leaf_spec(), &root_, testing::ec_key(NID_secp384r1)).der()}).has_value());
  // The root at the end, as some send it.
  EXPECT_TRUE(verify({make(leaf_spec(), &root_).der(), root_.der()}).has_value());
  const auto foreign = verify({make(leaf_spec("spiffe://other.example/x"), &other_).der()});
  ASSERT_TRUE(foreign.has_value());
  EXPECT_EQ(foreign->id.trust_domain, "other.example");
}

TEST_F(Trust, RefusesBadNames) {
  const struct {
    std::vector<std::string> uris;
    std::string_view word;
  } table[] = {
      {{"spiffe://cluster.local/a", "spiffe://cluster.local/b"}, "2 URI names"},
      {{"spiffe://cluster.local/a", "spiffe://cluster.local/a"}, "2 URI names"},
      {{"spiffe://cluster.local/a", "https://example.com"}, "2 URI names"},
      {{"https://cluster.local/a"}, "does not start"},
      {{""}, "does not start"},
      {{"spiffe://cluster.local"}, "names a trust domain"},
      {{"spiffe://cluster.local/"}, "empty path segment"},
      {{"spiffe://Cluster.Local/a"}, "'C'"},
      {{"spiffe://cluster.local/ns/a/sa/b\0"s}, "byte 0x00"},
      {{"spiffe://cluster.local/ns/a/sa/b\0.evil.example"s}, "byte 0x00"},
      {{"spiffe://cluster.local\0.evil.example/ns/a/sa/b"s}, "byte 0x00"},
      {{"spiffe://cluster.local/ns/a/../b"}, "path segment"},
      {{"spiffe://cluster.local/%6es"}, "'%'"},
      {{"spiffe://cluster.local/" + std::string(3000, 'x')}, "longer than 2048"},
  };
  for (const auto& [uris, word] : table) {
    Spec spec = leaf_spec();
    spec.uris = uris;
    expect_refused(spec, word);
  }
  Spec none = leaf_spec();
  none.uris = {};
  none.hosts = {"a.example"};
  expect_refused(none, "0 URI names");
  none.hosts = {};
  expect_refused(none, "0 URI names");
  Spec twice = leaf_spec();
  twice.second_alternative_name = true;
  expect_refused(twice, "two subject alternative names");
  Spec garbage = leaf_spec();
  garbage.garbage_extension = "\x30\x05garba";
  expect_refused(garbage, "malformed");
}

TEST_F(Trust, RefusesBadUses) {
  const auto with = [](auto change) {
    Spec spec = leaf_spec();
    change(spec);
    return spec;
  };
  using testing::kCrlSign, testing::kDigitalSignature, testing::kKeyCertSign;
  expect_refused(with([](Spec& s) { s.ca = true; }), "CA certificate");
  expect_refused(with([](Spec& s) { s.usage = {}; }), "no key usage");
  expect_refused(with([](Spec& s) { s.usage = {testing::kKeyEncipherment}; }), "digitalSignature");
  expect_refused(with([](Spec& s) { s.usage = {kDigitalSignature, kKeyCertSign}; }), "keyCertSign");
  expect_refused(with([](Spec& s) { s.usage = {kDigitalSignature, kCrlSign}; }), "cRLSign");
  expect_refused(with([](Spec& s) { s.extended = {NID_server_auth}; }), "clientAuth");
  expect_refused(with([](Spec& s) { s.extended = {NID_client_auth}; }), "serverAuth");
  expect_refused(with([](Spec& s) { s.critical_extension = NID_netscape_comment; }), "critical");
}

TEST_F(Trust, RefusesWeakCryptography) {
  expect_refused(leaf_spec(), "weak", testing::rsa_key(1024));
  expect_refused(leaf_spec(), "weak", testing::ec_key(NID_secp224r1));
  Spec old = leaf_spec();
  old.digest = EVP_sha1();
  expect_refused(old, "algorithm");
}

TEST_F(Trust, HonoursTimes) {
  Spec spec = leaf_spec();
  const std::string leaf = make(spec, &root_).der();
  EXPECT_TRUE(verify({leaf}, spec.not_before).has_value());
  EXPECT_TRUE(verify({leaf}, spec.not_after - 1).has_value());
  refused(verify({leaf}, spec.not_before - 1), "not yet valid: from 2027-01-15T07:59:00Z");
  refused(verify({leaf}, spec.not_after), "has expired at 2027-01-15T09:00:00Z");
  // A leaf that outlives its root: the root's end counts.
  spec.not_after = kNow + 200 * 3600;
  const std::string longer = make(spec, &root_).der();
  const auto peer = verify({longer});
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->not_after, at(kNow + 200 * 3600));
  EXPECT_EQ(peer->trusted_until, at(kNow + 100 * 3600));
  refused(verify({longer}, kNow + 101 * 3600), "expired");
}

TEST_F(Trust, KeepsTrustDomainsApart) {
  // A CA of one trust domain must not speak for another.
  refused(verify({make(leaf_spec("spiffe://other.example/x"), &root_).der()}), "does not lead");
  refused(verify({make(leaf_spec(), &other_).der()}), "does not lead");
  refused(verify({make(leaf_spec(), &other_).der(), other_.der()}), "does not lead");
  refused(verify({make(leaf_spec("spiffe://unknown.example/x"), &root_).der()}),
          "no trust bundle for the trust domain \"unknown.example\"");
  refused(verify({make(leaf_spec("spiffe://empty.example/x"), &root_).der()}), "does not lead");
}

TEST_F(Trust, RefusesForgeries) {
  // Another key under the root's name, and a leaf that signed itself.
  const Certificate forged = make(ca_spec("root", "spiffe://cluster.local"));
  refused(verify({make(leaf_spec(), &forged).der()}), "does not lead");
  refused(verify({make(leaf_spec(), &forged).der(), forged.der()}), "does not lead");
  refused(verify({make(leaf_spec()).der()}), "does not lead");
  // The root itself as a leaf.
  refused(verify({root_.der()}), "names a trust domain");
  // One bit of a good leaf: in its signature, and in what is signed.
  std::string bent = make(leaf_spec(), &root_).der();
  bent.back() = static_cast<char>(bent.back() ^ 1);
  EXPECT_FALSE(verify({bent}).has_value());
  std::string renamed = make(leaf_spec(), &root_).der();
  renamed.replace(renamed.find("ns/a/sa/b"), 9, "ns/a/sa/c");
  refused(verify({renamed}), "does not lead");
}

TEST_F(Trust, IntermediateCertificates) {
  const Certificate middle = make(ca_spec("middle"), &root_);
  const Certificate leaf = make(leaf_spec(), &middle);
  EXPECT_TRUE(verify({leaf.der(), middle.der()}).has_value());
  refused(verify({leaf.der()}), "does not lead");

  const auto through = [&](const Spec& spec) {
    const Certificate bad = make(spec, &root_);
    return verify({make(leaf_spec(), &bad).der(), bad.der()});
  };
  Spec no_ca = ca_spec("middle");
  no_ca.ca = false;
  refused(through(no_ca), "does not lead");
  Spec no_constraints = ca_spec("middle");
  no_constraints.ca.reset();
  EXPECT_FALSE(through(no_constraints).has_value());
  Spec no_sign = ca_spec("middle");
  no_sign.usage = {testing::kCrlSign};
  EXPECT_FALSE(through(no_sign).has_value());
  Spec expired = ca_spec("middle");
  expired.not_after = kNow - 1;
  EXPECT_FALSE(through(expired).has_value());
  Spec later = ca_spec("middle");
  later.not_before = kNow + 1;
  EXPECT_FALSE(through(later).has_value());
  Spec sha1 = ca_spec("middle");
  sha1.digest = EVP_sha1();
  EXPECT_FALSE(through(sha1).has_value());
  // A workload's own leaf as an issuer.
  const Certificate workload = make(leaf_spec("spiffe://cluster.local/ns/evil/sa/evil"), &root_);
  EXPECT_FALSE(verify({make(leaf_spec(), &workload).der(), workload.der()}).has_value());
  // A path length that is too short.
  Spec short_path = ca_spec("middle");
  short_path.path_length = 0;
  const Certificate first = make(short_path, &root_);
  EXPECT_TRUE(verify({make(leaf_spec(), &first).der(), first.der()}).has_value());
  const Certificate second = make(ca_spec("second"), &first);
  EXPECT_FALSE(verify({make(leaf_spec(), &second).der(), second.der(), first.der()}).has_value());
}

TEST_F(Trust, TheWindowCoversTheWholeChain) {
  Spec brief = ca_spec("middle");
  brief.not_before = kNow - 5;
  brief.not_after = kNow + 50;
  const Certificate middle = make(brief, &root_);
  const auto peer = verify({make(leaf_spec(), &middle).der(), middle.der()});
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->trusted_from, at(kNow - 5));
  EXPECT_EQ(peer->trusted_until, at(kNow + 50));
  EXPECT_EQ(peer->not_after, at(kNow + 3600));
}

TEST_F(Trust, BoundsWhatAPeerMayShow) {
  refused(bundles_->verify(nullptr, at(kNow)), "no certificate");
  refused(verify({}), "no certificate");
  std::vector<std::string> chain;
  std::vector<Certificate> signers;
  signers.push_back(make(ca_spec("ca0"), &root_));
  for (int i = 1; i < 4; ++i)
    signers.push_back(make(ca_spec("ca" + std::to_string(i)), &signers.back()));
  chain.push_back(make(leaf_spec(), &signers.back()).der());
  for (size_t i = signers.size(); i-- > 0;) chain.push_back(signers[i].der());
  ASSERT_EQ(chain.size(), 5u);
  EXPECT_TRUE(verify(chain).has_value());
  chain.push_back(root_.der());
  refused(verify(chain), "6 certificates, at most 5");
  Spec big = leaf_spec();
  big.hosts.assign(300, std::string(60, 'x'));
  refused(verify({make(big, &root_).der()}), "at most 16384");
}

TEST_F(Trust, RefusesRubbish) {
  const std::string leaf = make(leaf_spec(), &root_).der();
  refused(verify({""}), "certificate 0 of the chain is malformed");
  refused(verify({"rubbish"}), "malformed");
  refused(verify({leaf.substr(0, leaf.size() - 1)}), "malformed");
  refused(verify({leaf + "x"}), "malformed");
  refused(verify({leaf, "rubbish"}), "certificate 1 of the chain is malformed");
}

TEST(TrustBundlesMake, RefusesBadRoots) {
  const auto refused = [](const std::string& domain, const std::string& der,
                          std::string_view word) {
    const auto bundles = TrustBundles::make({{domain, {der}}});
    ASSERT_FALSE(bundles.has_value()) << word;
    EXPECT_EQ(bundles.error().code, Code::kInvalid);
    EXPECT_NE(bundles.error().message.find(word), std::string::npos) << bundles.error().message;
  };
  const Certificate root = make(ca_spec("root", "spiffe://cluster.local"));
  refused("Cluster.Local", root.der(), "'C'");
  refused("other.example", root.der(), "is of \"spiffe://cluster.local\"");
  refused("cluster.local", "rubbish", "not an X.509 certificate");
  refused("cluster.local", make(ca_spec("middle"), &root).der(), "not signed by itself");
  refused("cluster.local", make(leaf_spec()).der(), "no CA certificate");
  Spec no_sign = ca_spec("root");
  no_sign.usage = {testing::kCrlSign};
  refused("cluster.local", make(no_sign).der(), "keyCertSign");
  std::string bent = root.der();
  bent.back() = static_cast<char>(bent.back() ^ 1);
  refused("cluster.local", bent, "");
}

TEST_F(Trust, RotationAcceptsOldAndNewRoot) {
  // Two roots of one name, as two generations have.
  const Certificate next = make(ca_spec("root", "spiffe://cluster.local"));
  const auto both = TrustBundles::make({{"cluster.local", {root_.der(), next.der()}}});
  ASSERT_TRUE(both.has_value());
  for (const Certificate* issuer : std::vector<const Certificate*>{&root_, &next}) {
    const auto chain = chain_of({make(leaf_spec(), issuer).der()});
    EXPECT_TRUE((*both)->verify(chain.get(), at(kNow)).has_value());
  }
}

TEST_F(Trust, VerifiedChainsAreKeptWhileTheyAreValid) {
  const auto cache = VerifiedChains::make(bundles_, 8);
  const Certificate leaf = make(leaf_spec(), &root_);
  const auto chain = chain_of({leaf.der()});
  const auto first = cache->verify(chain.get(), at(kNow));
  ASSERT_TRUE(first.has_value());
  const auto second = cache->verify(chain_of({leaf.der()}).get(), at(kNow + 3599));
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(*first, *second);  // the same object
  EXPECT_EQ(cache->hits(), 1u);
  const auto late = cache->verify(chain.get(), at(kNow + 3600));
  ASSERT_FALSE(late.has_value());
  EXPECT_NE(late.error().message.find("expired"), std::string::npos);
  EXPECT_EQ(cache->size(), 0u);
  EXPECT_FALSE(cache->verify(chain.get(), at(kNow - 61)).has_value());
}

TEST_F(Trust, VerifiedChainsKeepNothingRefused) {
  const auto cache = VerifiedChains::make(bundles_, 8);
  const auto bad = chain_of({make(leaf_spec(), &other_).der()});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(cache->verify(bad.get(), at(kNow)).has_value());
  EXPECT_FALSE(cache->verify(nullptr, at(kNow)).has_value());
  EXPECT_EQ(cache->size(), 0u);
  // A chain with something added is another chain.
  const std::string leaf = make(leaf_spec(), &root_).der();
  ASSERT_TRUE(cache->verify(chain_of({leaf}).get(), at(kNow)).has_value());
  EXPECT_FALSE(cache->verify(chain_of({leaf, "rubbish"}).get(), at(kNow)).has_value());
  EXPECT_EQ(cache->hits(), 0u);
}

TEST_F(Trust, VerifiedChainsAreBounded) {
  const auto cache = VerifiedChains::make(bundles_, 2);
  std::vector<testing::Chain> chains;
  for (int i = 0; i < 3; ++i) chains.push_back(chain_of({make(leaf_spec(), &root_).der()}));
  const auto use = [&](size_t i) { return cache->verify(chains[i].get(), at(kNow)).has_value(); };
  ASSERT_TRUE(use(0) && use(1) && use(0));
  EXPECT_EQ(cache->hits(), 1u);
  ASSERT_TRUE(use(2));  // puts out 1, which was used longest ago
  EXPECT_EQ(cache->size(), 2u);
  ASSERT_TRUE(use(0) && use(2));
  EXPECT_EQ(cache->hits(), 3u);
  ASSERT_TRUE(use(1));
  EXPECT_EQ(cache->hits(), 3u);
}

}  // namespace
}  // namespace sallyport::identity
