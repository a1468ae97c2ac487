#include "standalone/mesh_members.h"

#include <gtest/gtest.h>

#include "k8s/manifest.h"

namespace sallyport::standalone {
namespace {

constexpr char kWorld[] = R"(
apiVersion: v1
kind: Namespace
metadata: {name: api, labels: {sallyport.dev/mesh: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: inference, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: attacker}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: inference}
spec:
  mtls: {mode: STRICT}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: metrics, namespace: inference}
spec:
  selector: {matchLabels: {app: model}}
  mtls: {mode: STRICT}
  portLevelMtls:
    9090: {mode: PERMISSIVE}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: one-port, namespace: api}
spec:
  selector: {matchLabels: {app: gateway}}
  mtls: {mode: PERMISSIVE}
  portLevelMtls:
    8443: {mode: STRICT}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: attacker}
spec:
  mtls: {mode: STRICT}
)";

world::World sample() {
  k8s::Manifest manifest = k8s::parse_manifest(kWorld, "world.yaml");
  EXPECT_TRUE(manifest.ok()) << manifest.diagnostics.front().to_string();
  world::World world = world::from_objects(manifest.objects);
  auto add = [&](uint32_t id, const char* ns, const char* name, const char* app, const char* ip,
                 const char* exclude = nullptr) {
    world::Endpoint pod;
    pod.id = id;
    pod.ns = ns;
    pod.name = name;
    pod.uid = std::string("uid-") + name;
    pod.labels = {{"app", app}};
    pod.ips = {*Ip::parse(ip)};
    pod.service_account = std::string(app) + "-sa";
    if (exclude) pod.annotations["traffic.sidecar.istio.io/excludeInboundPorts"] = exclude;
    world.endpoints.push_back(pod);
  };
  add(1, "api", "gateway", "gateway", "198.18.0.1");
  add(2, "inference", "model", "model", "198.18.0.2", "9000");
  add(3, "inference", "other", "other", "198.18.0.3");
  add(4, "attacker", "attacker", "attacker", "198.18.0.4");
  add(5, "api", "web", "web", "198.18.0.5", "8443");
  world.finish();
  return world;
}

TEST(MeshMembers, WhoUnderWhichNameServedByWhom) {
  world::World world = sample();
  world.mesh.trust_domain = "example.org";
  auto members = mesh_members(world, Isolation::kNode);
  ASSERT_EQ(members.size(), 4U);
  EXPECT_EQ(members[0].key, "api/gateway");
  EXPECT_EQ(members[0].uid, "uid-gateway");
  EXPECT_EQ(members[0].identity.to_string(), "spiffe://example.org/ns/api/sa/gateway-sa");
  for (const Member& member : members) {
    EXPECT_EQ(member.group, "node");
    EXPECT_NE(member.key, "attacker/attacker");
  }
  EXPECT_EQ(mesh_members(world, Isolation::kNamespace)[0].group, "ns/api");
  EXPECT_EQ(mesh_members(world, Isolation::kPod)[0].group, "pod/api/gateway");
}

TEST(MeshMembers, IsolationIsANameOfThree) {
  for (Isolation isolation : {Isolation::kNode, Isolation::kNamespace, Isolation::kPod})
    EXPECT_EQ(parse_isolation(to_string(isolation)), isolation);
  EXPECT_FALSE(parse_isolation("Pod"));
  EXPECT_FALSE(parse_isolation(""));
}

TEST(TlsDemands, FollowPeerAuthenticationAndExclusions) {
  std::map<std::pair<uint32_t, uint16_t>, std::pair<bool, std::string>> rows;
  for (const gate::TlsDemand& demand : tls_demands(sample()))
    EXPECT_TRUE(rows.emplace(std::pair(demand.endpoint_id, demand.port),
                             std::pair(demand.demanded, demand.policy))
                    .second)
        << "two rows for port " << demand.port << " of " << demand.endpoint_id;
  using Row = std::pair<bool, std::string>;
  EXPECT_EQ((rows[{2, 0}]), (Row{true, "inference/metrics"}));
  EXPECT_EQ((rows[{2, 9090}]), (Row{false, ""}));
  EXPECT_EQ((rows[{2, 9000}]), (Row{false, ""})) << "excluded";
  EXPECT_EQ((rows[{3, 0}]), (Row{true, "inference/default"}));
  EXPECT_EQ((rows[{1, 8443}]), (Row{true, "api/one-port"}));
  // PERMISSIVE pods, and pods that are not meshed, whatever their namespace says.
  EXPECT_FALSE(rows.contains({1, 0}));
  EXPECT_FALSE(rows.contains({4, 0}));
  EXPECT_FALSE(rows.contains({5, 0}));
  EXPECT_FALSE(rows.contains({5, 8443}));
}

}  // namespace
}  // namespace sallyport::standalone
