#include "world/world.h"

#include <gtest/gtest.h>

#include "k8s/manifest.h"

namespace sallyport::world {
namespace {

World read(std::string_view text) {
  k8s::Manifest manifest = k8s::parse_manifest(text, "f.yaml");
  for (const k8s::Diagnostic& d : manifest.diagnostics) ADD_FAILURE() << d.to_string();
  return from_objects(manifest.objects);
}

template <class T>
std::string names(const std::vector<std::shared_ptr<const T>>& objects) {
  std::string out;
  for (const auto& object : objects) out += object->meta.ns + "/" + object->meta.name + " ";
  return out;
}

TEST(World, HoldsIstiosPoliciesInOrder) {
  World world = read(R"(
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: b, namespace: z}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: c, namespace: a}
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: a, namespace: z}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: s, namespace: yy}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: r, namespace: yy}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: t, namespace: x}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: t, namespace: w}
)");
  EXPECT_EQ(names(world.authorization_policies), "a/c z/a z/b ");
  EXPECT_EQ(names(world.peer_authentications), "yy/r yy/s ");
  EXPECT_EQ(world.peer_authentications[0]->mode, k8s::MutualTlsMode::kStrict);
  EXPECT_EQ(names(world.request_authentications), "w/t x/t ");
  EXPECT_EQ(world.namespaces.size(), 5u);
  EXPECT_EQ(world.implied_namespaces.size(), 5u);
}

TEST(World, HoldsTheMeshesSettingsAndThePodsAnnotations) {
  World world = read(R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: corp.example\nrootNamespace: root\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: a, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "80"}}
spec: {serviceAccountName: sa, containers: [{name: c, image: i}]}
)");
  EXPECT_EQ(world.mesh.trust_domain, "corp.example");
  EXPECT_EQ(world.mesh.root_namespace, "root");
  ASSERT_EQ(world.endpoints.size(), 1u);
  EXPECT_EQ(world.endpoints[0].annotations.at("traffic.sidecar.istio.io/excludeInboundPorts"),
            "80");
  EXPECT_EQ(world.endpoints[0].service_account, "sa");
  EXPECT_EQ(World{}.mesh, k8s::MeshSettings{});
}

TEST(World, FinishMayBeCalledAgainAfterPodsWereAdded) {
  World world = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");
  for (const char* name : {"z", "b"}) {
    Endpoint pod;
    pod.ns = "a";
    pod.name = name;
    pod.ips = {Ip::v4(0xc6120000 + static_cast<uint32_t>(*name))};
    world.endpoints.push_back(pod);
  }
  world.finish();
  ASSERT_NE(world.find_pod("a", "z"), nullptr);
  EXPECT_EQ(world.find_ip(Ip::v4(0xc6120000 + 'b'))->name, "b");
  EXPECT_EQ(world.find_pod("a", "c"), nullptr);
  EXPECT_TRUE(world.implied_namespaces.empty());
}

}  // namespace
}  // namespace sallyport::world
