#include "authz/peer_modes.h"

#include <gtest/gtest.h>

#include "authz/test_support.h"

namespace sallyport::authz {
namespace {

using enum k8s::MutualTlsMode;
using k8s::MutualTlsMode;
using testing::workload;

k8s::PeerAuthentication policy(const std::string& ns, const std::string& name, MutualTlsMode mode,
                               k8s::Labels selector = {},
                               std::map<uint16_t, MutualTlsMode> ports = {}) {
  k8s::PeerAuthentication out;
  out.meta.ns = ns;
  out.meta.name = name;
  out.mode = mode;
  out.selector = std::move(selector);
  out.has_selector = !out.selector.empty();
  out.port_modes = std::move(ports);
  return out;
}

PeerModes modes(std::vector<k8s::PeerAuthentication> policies) {
  world::World world;
  for (auto& each : policies)
    world.peer_authentications.push_back(
        std::make_shared<const k8s::PeerAuthentication>(std::move(each)));
  world.finish();
  return peer_modes(world, workload());
}

const k8s::Labels kMine = {{"app", "model-server"}};

TEST(PeerModes, PermissiveWhereNothingIsSaid) {
  EXPECT_EQ(modes({}).base, (PortMode{kPermissive, ""}));
  EXPECT_EQ(modes({policy("inference", "a", kUnset)}).base, (PortMode{kPermissive, ""}));
  EXPECT_EQ(modes({policy("elsewhere", "a", kStrict)}).base, (PortMode{kPermissive, ""}));
}

TEST(PeerModes, TheNarrowerLevelWins) {
  const auto mesh = policy("istio-system", "mesh", kStrict);
  const auto ns = policy("inference", "ns", kPermissive);
  const auto mine = policy("inference", "mine", kDisable, kMine);
  EXPECT_EQ(modes({mesh}).base, (PortMode{kStrict, "istio-system/mesh"}));
  EXPECT_EQ(modes({mesh, ns}).base, (PortMode{kPermissive, "inference/ns"}));
  EXPECT_EQ(modes({mesh, ns, mine}).base, (PortMode{kDisable, "inference/mine"}));
  EXPECT_EQ(modes({mesh, policy("inference", "o", kDisable, {{"app", "other"}})}).base.mode,
            kStrict);
}

TEST(PeerModes, UnsetInherits) {
  const auto mesh = policy("istio-system", "mesh", kStrict);
  EXPECT_EQ(modes({mesh, policy("inference", "ns", kUnset)}).base,
            (PortMode{kStrict, "istio-system/mesh"}));
  EXPECT_EQ(modes({mesh, policy("inference", "mine", kUnset, kMine)}).base,
            (PortMode{kStrict, "istio-system/mesh"}));
}

TEST(PeerModes, ASelectorInTheRootNamespaceIsIgnored) {
  EXPECT_EQ(modes({policy("istio-system", "x", kStrict, kMine)}).base.mode, kPermissive);
  world::World world;
  world.peer_authentications.push_back(
      std::make_shared<const k8s::PeerAuthentication>(policy("istio-system", "x", kStrict, kMine)));
  world.finish();
  EXPECT_EQ(peer_modes(world, workload("istio-system")).base.mode, kPermissive);
}

TEST(PeerModes, TheOldestWinsThenTheName) {
  auto a = policy("inference", "a", kDisable), b = policy("inference", "b", kStrict);
  EXPECT_EQ(modes({b, a}).base.policy, "inference/a");
  a.meta.creation_timestamp = "2026-02-01T00:00:00Z";
  b.meta.creation_timestamp = "2026-01-01T00:00:00Z";
  EXPECT_EQ(modes({a, b}).base.policy, "inference/b");
  // The oldest is not completed by the others.
  b.mode = kUnset;
  EXPECT_EQ(modes({a, b, policy("istio-system", "mesh", kStrict)}).base.policy,
            "istio-system/mesh");
}

TEST(PeerModes, Ports) {
  const PeerModes out = modes({policy("istio-system", "mesh", kStrict),
                               policy("inference", "mine", kUnset, kMine,
                                      {{8080, kDisable}, {8081, kUnset}, {8082, kStrict}})});
  EXPECT_EQ(out.at(8080), (PortMode{kDisable, "inference/mine"}));
  EXPECT_EQ(out.at(8081), (PortMode{kStrict, "istio-system/mesh"}));
  EXPECT_EQ(out.at(8082), (PortMode{kStrict, "inference/mine"}));
  EXPECT_EQ(out.at(9), (PortMode{kStrict, "istio-system/mesh"}));
  EXPECT_EQ(out.ports.size(), 2u);
}

}  // namespace
}  // namespace sallyport::authz
