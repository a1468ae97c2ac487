#include "workload/offline_world.h"

#include <gtest/gtest.h>

#include <set>

#include "workload/test_objects.h"

namespace sallyport::workload {
namespace {

Ip ip(const char* text) {
  return *Ip::parse(text);
}

k8s::Pod owned(const std::string& name, const char* kind, const char* owner, k8s::Labels labels) {
  k8s::Pod pod = test::pod("ns", name);
  pod.meta.labels = std::move(labels);
  codec::Value reference = codec::Value::map();
  reference.set("kind", kind);
  reference.set("name", owner);
  reference.set("controller", codec::Value::boolean(true));
  codec::Value raw = *pod.raw;
  raw.find("metadata")->set("ownerReferences", codec::Value::list()).push(reference);
  pod.raw = std::make_shared<const codec::Value>(raw);
  return pod;
}

TEST(OfflineWorld, EveryPodHasAddressesOfBothFamilies) {
  const auto world = world_from_manifests(
      {test::deployment("ns", "web", 3, "one", {{"app", "web"}}), test::pod("ns", "a")});
  ASSERT_TRUE(world.has_value());
  ASSERT_EQ(world->endpoints.size(), 4u);
  std::set<Ip> seen;
  for (const world::Endpoint& endpoint : world->endpoints) {
    ASSERT_EQ(endpoint.ips.size(), 2u);
    EXPECT_TRUE(Cidr::parse("198.18.0.0/16")->contains(endpoint.ips[0]));
    EXPECT_TRUE(Cidr::parse("fd00:5a11::/64")->contains(endpoint.ips[1]));
    seen.insert(endpoint.ips.begin(), endpoint.ips.end());
    EXPECT_EQ(world->find_ip(endpoint.ips[0]), &endpoint);
  }
  EXPECT_EQ(seen.size(), 8u);
  EXPECT_EQ(world->find_pod("ns", "a")->ips[0], ip("198.18.0.1"));
  EXPECT_EQ(world->find_pod("ns", "a")->ips[1], ip("fd00:5a11::1"));
}

TEST(OfflineWorld, WrittenAddressesStayAndAreNotGivenTwice) {
  k8s::Pod written = test::pod("ns", "z");
  written.status.pod_ips = {ip("198.18.0.1")};
  k8s::Node node;
  test::name(node, "Node", "", "n");
  node.addresses = {ip("198.18.0.2")};
  const auto world = world_from_manifests({written, test::pod("ns", "a"), node});
  ASSERT_TRUE(world.has_value());
  EXPECT_EQ(world->find_pod("ns", "z")->ips, std::vector<Ip>{ip("198.18.0.1")});
  EXPECT_EQ(world->find_pod("ns", "a")->ips[0], ip("198.18.0.3"));
}

TEST(OfflineWorld, EndedAndHostNetworkPodsGetNoAddress) {
  k8s::Pod ended = test::pod("ns", "ended");
  ended.status.phase = "Succeeded";
  k8s::Pod host = test::pod("ns", "host");
  host.spec.host_network = true;
  const auto world = world_from_manifests({ended, host});
  ASSERT_TRUE(world.has_value());
  EXPECT_TRUE(world->find_pod("ns", "ended")->ips.empty());
  EXPECT_TRUE(world->find_pod("ns", "host")->ips.empty());
}

TEST(OfflineWorld, AWorkloadIsNotExpandedBesideItsPods) {
  const std::vector<k8s::AnyObject> dump = {
      test::deployment("ns", "web", 3), test::deployment("ns", "api", 2),
      test::deployment("ns", "idle", 1),
      // As a cluster has it (by a ReplicaSet), and as this program prints it.
      owned("web-abc-1", "ReplicaSet", "web-abc", {{"pod-template-hash", "abc"}}),
      owned("api-x-1", "Deployment", "api", {})};
  const auto world = world_from_manifests(dump);
  ASSERT_TRUE(world.has_value()) << world.error().message;
  EXPECT_EQ(world->endpoints.size(), 3u);
  EXPECT_NE(world->find_pod("ns", "web-abc-1"), nullptr);
  EXPECT_NE(world->find_pod("ns", "api-x-1"), nullptr);
}

TEST(OfflineWorld, DuplicateNamesAreRefused) {
  k8s::StatefulSet set;
  test::name(set, "StatefulSet", "ns", "db");
  set.pod = test::pod_template("one");
  const auto world = world_from_manifests({set, test::pod("ns", "db-0")});
  ASSERT_FALSE(world.has_value());
  EXPECT_EQ(world.error().code, Code::kConflict);
}

}  // namespace
}  // namespace sallyport::workload
