#include "standalone/certificates.h"

#include <gtest/gtest.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "mesh/channel.h"

namespace sallyport::standalone {
namespace {

class FakeClock : public Clock {
 public:
  [[nodiscard]] Monotonic now() const override { return Monotonic(since); }
  [[nodiscard]] WallTime wall() const override { return WallTime(since); }
  std::chrono::seconds since{1'000'000};
};

class FakeAuthority : public identity::Authority {
 public:
  explicit FakeAuthority(std::string domain = "cluster.local") : domain_(std::move(domain)) {}
  Result<identity::Svid> issue(const identity::SpiffeId& id, std::chrono::seconds ttl,
                               WallTime now) override {
    if (broken) return fail(Code::kUnavailable, "out of order");
    identity::Svid svid;
    svid.id = id;
    svid.serial = std::to_string(++count);
    svid.certificate_der = "certificate " + svid.serial;
    svid.key_der = std::string("key\0", 4) + svid.serial;
    svid.not_before = now - std::chrono::seconds(10);
    svid.not_after = now + ttl;
    return svid;
  }
  [[nodiscard]] const std::string& root_der() const override { return root_; }
  [[nodiscard]] const std::string& trust_domain() const override { return domain_; }
  int count = 0;
  bool broken = false;

 private:
  std::string domain_, root_ = "root";
};

class CertificatesTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeAuthority> authority_ = std::make_shared<FakeAuthority>();
  FakeClock clock_;
  double random_ = 0.5;
  Certificates certificates_{authority_, std::chrono::seconds(1000), clock_,
                             [this] { return random_; }};
  const identity::SpiffeId a_ = identity::workload_id("cluster.local", "a", "a");
  const identity::SpiffeId b_ = identity::workload_id("cluster.local", "b", "b");
};

TEST_F(CertificatesTest, OneForEachIdentityAndAllThatAProxyNeeds) {
  certificates_.want({a_, b_});
  certificates_.want({a_, b_});
  EXPECT_EQ(authority_->count, 2);
  const auto* issued = certificates_.find(a_.to_string());
  ASSERT_TRUE(issued);
  auto json = codec::parse_json(*mesh::from_memfd(*issued->content, 1 << 20));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["id"].as_string(), "spiffe://cluster.local/ns/a/sa/a");
  auto bytes = [](const codec::Value& text) {
    return codec::decode_base64(text.as_string()).value_or("not base64");
  };
  EXPECT_EQ(bytes((*json)["chain"].items().at(0)), "certificate 1");
  EXPECT_EQ(bytes((*json)["key"]), std::string("key\0", 4) + "1");
  EXPECT_EQ((*json)["notBefore"].as_int(), 1'000'000 - 10);
  EXPECT_EQ((*json)["notAfter"].as_int(), 1'000'000 + 1000);
  EXPECT_EQ(bytes((*json)["roots"]["cluster.local"].items().at(0)), "root");
  certificates_.want({b_});
  EXPECT_FALSE(certificates_.find(a_.to_string()));
  EXPECT_EQ(certificates_.views().size(), 1U);
}

TEST_F(CertificatesTest, RenewedAtHalfLifeWithJitter) {
  for (auto [random, seconds] : {std::pair(0.0, 450), {0.5, 500}, {1.0, 550}}) {
    random_ = random;
    certificates_.want({});
    certificates_.want({a_});
    EXPECT_EQ(certificates_.due(), clock_.wall() + std::chrono::seconds(seconds));
  }
  std::string before = certificates_.find(a_.to_string())->serial;
  clock_.since += std::chrono::seconds(549);
  EXPECT_FALSE(certificates_.renew());
  clock_.since += std::chrono::seconds(1);
  EXPECT_TRUE(certificates_.renew());
  EXPECT_NE(certificates_.find(a_.to_string())->serial, before);
  EXPECT_FALSE(certificates_.renew());
}

TEST_F(CertificatesTest, AFailureKeepsWhatIsValidAndIsTriedAgain) {
  certificates_.want({a_});
  std::string before = certificates_.find(a_.to_string())->serial;
  authority_->broken = true;
  clock_.since += std::chrono::seconds(600);
  EXPECT_FALSE(certificates_.renew());
  EXPECT_EQ(certificates_.find(a_.to_string())->serial, before);
  EXPECT_EQ(certificates_.views()[0].problem, "out of order");
  EXPECT_EQ(certificates_.due(), clock_.wall() + std::chrono::seconds(1));
  EXPECT_EQ(certificates_.failures(), 1U);
  certificates_.want({a_, b_});
  EXPECT_FALSE(certificates_.find(b_.to_string())) << "there is none yet";
  authority_->broken = false;
  clock_.since += std::chrono::seconds(1);
  EXPECT_TRUE(certificates_.renew());
  EXPECT_NE(certificates_.find(a_.to_string())->serial, before);
  EXPECT_TRUE(certificates_.find(b_.to_string()));
  EXPECT_EQ(certificates_.views()[0].problem, "");
}

TEST_F(CertificatesTest, NothingWantedNothingDue) {
  EXPECT_EQ(certificates_.due(), WallTime::max());
  EXPECT_FALSE(certificates_.renew());
}

}  // namespace
}  // namespace sallyport::standalone
