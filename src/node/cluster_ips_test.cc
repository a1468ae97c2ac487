#include "node/cluster_ips.h"

#include <gtest/gtest.h>

#include "world/test_world.h"

namespace sallyport::node {
namespace {

using world::ip_of;

k8s::Service named(const char* name, std::vector<Ip> ips = {}) {
  k8s::Service service;
  service.meta.ns = "shop";
  service.meta.name = name;
  service.cluster_ips = std::move(ips);
  return service;
}

world::World world_of(const std::vector<k8s::Service>& services) {
  world::World world;
  for (const k8s::Service& service : services)
    world.services.push_back(std::make_shared<k8s::Service>(service));
  return world;
}

// What node and network do for a new world: all Services in turn, and settled if all were accepted.
bool take(ClusterIps& ips, const std::vector<k8s::Service>& services) {
  for (const k8s::Service& service : services)
    if (!ips.assign(service)) return false;
  ips.settle(world_of(services));
  return true;
}

TEST(ClusterIps, EachServiceHasOneOfEachFamilyAndKeepsIt) {
  ClusterIps ips(default_ranges());
  auto first = ips.assign(named("web"));
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_TRUE(default_ranges().services4.contains((*first)[0]));
  EXPECT_TRUE(default_ranges().services6.contains((*first)[1]));
  auto other = ips.assign(named("db"));
  EXPECT_NE((*other)[0], (*first)[0]);
  ips.settle(world_of({named("web"), named("db")}));
  EXPECT_EQ(*ips.assign(named("web")), *first);
  // The same in another run: it follows from the name.
  EXPECT_EQ(*ClusterIps(default_ranges()).assign(named("web")), *first);
}

TEST(ClusterIps, ThoseByHashLeaveTheLowOnesToPeople) {
  ClusterIps ips(default_ranges());
  for (int i = 0; i < 500; ++i) {
    auto given = ips.assign(named(("s" + std::to_string(i)).c_str()));
    ASSERT_TRUE(given);
    EXPECT_FALSE(Cidr::parse("198.19.0.0/24")->contains((*given)[0]));
    EXPECT_NE((*given)[0].to_string(), "198.19.127.255");
  }
}

TEST(ClusterIps, ExplicitOnesAreCheckedAndUnique) {
  ClusterIps ips(default_ranges());
  auto dns = ips.assign(named("dns", {ip_of("198.19.0.10")}));
  ASSERT_TRUE(dns);
  EXPECT_EQ(*dns, std::vector<Ip>{ip_of("198.19.0.10")}) << "one family was asked for";
  auto thief = ips.assign(named("thief", {ip_of("198.19.0.10")}));
  ASSERT_FALSE(thief);
  EXPECT_EQ(thief.error().code, Code::kConflict);
  EXPECT_NE(thief.error().message.find("shop/dns"), std::string::npos);
  for (const char* bad :
       {"198.18.0.1", "198.19.128.1", "10.96.0.1", "198.19.0.0", "198.19.127.255", "fd00:5a11::1"})
    EXPECT_EQ(ips.assign(named("bad", {ip_of(bad)})).error().code, Code::kInvalid) << bad;
  auto twice = ips.assign(named("twice", {ip_of("198.19.0.11"), ip_of("198.19.0.12")}));
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::kInvalid);
  EXPECT_TRUE(ips.assign(named("free", {ip_of("198.19.0.11")}))) << "a refusal takes nothing";
}

TEST(ClusterIps, AChangedServiceFreesWhatItHad) {
  ClusterIps ips(default_ranges());
  ASSERT_TRUE(ips.assign(named("a", {ip_of("198.19.0.10")})));
  ips.settle(world_of({named("a")}));
  ASSERT_TRUE(ips.assign(named("a", {ip_of("198.19.0.11")})));
  EXPECT_TRUE(ips.assign(named("b", {ip_of("198.19.0.10")})));
  ips.settle(world_of({named("a"), named("b")}));
  k8s::Service headless = named("a");
  headless.headless = true;
  EXPECT_TRUE(ips.assign(headless)->empty());
  EXPECT_TRUE(ips.assign(named("c", {ip_of("198.19.0.11")})));
}

TEST(ClusterIps, CollisionsProbeOn) {
  Ranges ranges = default_ranges();
  ranges.services4 = *Cidr::parse("198.19.0.0/23");  // 255 by hash
  ClusterIps ips(ranges);
  std::set<Ip> given;
  for (int i = 0; i < 255; ++i) {
    auto next = ips.assign(named(("s" + std::to_string(i)).c_str()));
    ASSERT_TRUE(next) << i;
    given.insert((*next)[0]);
  }
  EXPECT_EQ(given.size(), 255u);
  auto none = ips.assign(named("one-more"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kExhausted);
}

TEST(ClusterIps, AnAddressPassesToAnotherServiceInOneStep) {
  ClusterIps ips(default_ranges());
  std::vector<Ip> wanted{ip_of("198.19.0.10")};
  ASSERT_TRUE(take(ips, {named("old", wanted), named("other")}));
  EXPECT_TRUE(take(ips, {named("new", wanted), named("other")})) << "renamed";
  EXPECT_FALSE(take(ips, {named("a", wanted), named("new", wanted)}));
  EXPECT_FALSE(take(ips, {named("new", wanted), named("z", wanted)}));
}

TEST(ClusterIps, ARefusedWorldTakesNothing) {
  ClusterIps ips(default_ranges());
  k8s::Service a = named("a"), b = named("b", {ip_of("198.19.0.10")});
  ASSERT_TRUE(take(ips, {a, b}));
  std::string before = ips.to_text();
  // "a" comes first and asks for the address of "b", which is still there.
  EXPECT_FALSE(take(ips, {named("a", b.cluster_ips), b}));
  EXPECT_FALSE(take(ips, {named("a", b.cluster_ips), b})) << "nor the second time";
  EXPECT_EQ(ips.to_text(), before);
  EXPECT_TRUE(take(ips, {a, b}));
  EXPECT_EQ(ips.to_text(), before);
}

TEST(ClusterIps, AreWrittenAndReadBack) {
  ClusterIps ips(default_ranges());
  auto web = ips.assign(named("web"));
  ASSERT_TRUE(ips.assign(named("dns", {ip_of("198.19.0.10")})));
  ips.settle(world_of({named("web"), named("dns")}));
  std::string text = ips.to_text();
  ClusterIps again(default_ranges());
  Status loaded = again.load(text);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(again.to_text(), text);
  EXPECT_EQ(*again.assign(named("web")), *web);
  ASSERT_TRUE(again.assign(named("dns", {ip_of("198.19.0.10")})));
  EXPECT_FALSE(again.assign(named("thief", {ip_of("198.19.0.10")})));
  for (const char* bad :
       {"", "something else\n", "sallyport cluster addresses 2\n",
        "sallyport cluster addresses 1\n198.19.0.10\n", "sallyport cluster addresses 1\nx shop/a\n",
        "sallyport cluster addresses 1\n10.0.0.1 shop/a\n",
        "sallyport cluster addresses 1\n198.19.0.10 shop\n"})
    EXPECT_FALSE(again.load(bad)) << bad;
  EXPECT_EQ(again.to_text(), text) << "a bad file changes nothing";
}

}  // namespace
}  // namespace sallyport::node
