#include "mesh/config.h"

#include <gtest/gtest.h>

#include "codec/json.h"
#include "k8s/manifest.h"
#include "policy/evaluator.h"
#include "world/service_endpoints.h"

namespace sallyport::mesh {
namespace {

constexpr char kWorld[] = R"(
apiVersion: v1
kind: Namespace
metadata: {name: inference, labels: {sallyport.dev/mesh: enabled, tier: back}}
---
apiVersion: v1
kind: Node
metadata: {name: one, labels: {zone: a}}
status:
  addresses: [{type: InternalIP, address: 198.19.255.1}]
---
apiVersion: v1
kind: Service
metadata: {name: model, namespace: inference, annotations: {a/b: c}}
spec:
  selector: {app: model}
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 77}}
  ports:
    - {name: http, port: 80, targetPort: web, appProtocol: http}
    - {name: dns, port: 53, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: inference}
spec: {clusterIP: None, selector: {app: model}, publishNotReadyAddresses: true}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: inference}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: only-gateway
  namespace: inference
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"the": "object again"}'
    why: because
spec:
  podSelector: {matchLabels: {app: model}}
  policyTypes: [Ingress]
  ingress:
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateway}}}]
      ports: [{port: web}]
)";

ProxyConfig sample() {
  k8s::Manifest manifest = k8s::parse_manifest(kWorld, "world.yaml");
  EXPECT_TRUE(manifest.ok()) << manifest.diagnostics.front().to_string();
  ProxyConfig config;
  config.generation = 41;
  config.world = world::from_objects(manifest.objects);
  config.world.revision = 9;
  for (auto& service : config.world.services)
    if (service->meta.name == "model") {
      auto copy = std::make_shared<k8s::Service>(*service);
      copy->cluster_ips = {*Ip::parse("198.19.0.7"), *Ip::parse("fd00:5a11:0:1::7")};
      service = copy;
    }
  world::Endpoint pod;
  pod.id = 12;
  pod.ns = "inference";
  pod.name = "model-0";
  pod.uid = "u-1";
  pod.labels = {{"app", "model"}};
  pod.annotations = {{"traffic.sidecar.istio.io/excludeInboundPorts", "9000"}};
  pod.ips = {*Ip::parse("198.18.0.5"), *Ip::parse("fd00:5a11::5")};
  pod.ports = {{"web", 8080, k8s::Protocol::kTcp}, {"", 9000, k8s::Protocol::kUdp}};
  pod.node = "one";
  pod.service_account = "model-sa";
  pod.ready = true;
  config.world.endpoints.push_back(pod);
  pod.id = 13;
  pod.name = "model-1";
  pod.uid = "u-2";
  pod.ips = {*Ip::parse("198.18.0.6")};
  pod.ready = false;
  pod.terminating = true;
  config.world.endpoints.push_back(pod);
  pod.id = 14;
  pod.ns = "gateway";
  pod.name = "gateway-0";
  pod.uid = "u-3";
  pod.ips = {*Ip::parse("198.18.0.9")};
  pod.terminating = false;
  pod.labels.clear();
  config.world.endpoints.push_back(pod);
  config.world.mesh.trust_domain = "example.org";
  config.world.mesh.path_normalization = k8s::PathNormalization::kDecodeAndMergeSlashes;
  config.world.mesh.access_log_file = "/dev/stdout";
  config.world.mesh.access_log_json = true;
  config.world.mesh.trusted_proxies = 2;
  config.world.finish();
  config.pod_ranges = {*Cidr::parse("198.18.0.0/16"), *Cidr::parse("fd00:5a11::/64")};
  config.service_ranges = {*Cidr::parse("198.19.0.0/17")};
  config.local_pods = {"u-1", "u-3"};
  config.check_network_policy = false;
  return config;
}

TEST(Config, SurvivesTheWay) {
  ProxyConfig before = sample();
  auto after = decode(encode(before));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->generation, 41U);
  EXPECT_EQ(after->pod_ranges, before.pod_ranges);
  EXPECT_EQ(after->service_ranges, before.service_ranges);
  EXPECT_EQ(after->local_pods, before.local_pods);
  EXPECT_FALSE(after->check_network_policy);
  const world::World& world = after->world;
  EXPECT_EQ(world.revision, 9U);
  EXPECT_EQ(world.mesh, before.world.mesh);
  EXPECT_EQ(world.namespaces, before.world.namespaces);
  ASSERT_EQ(world.nodes.size(), 1U);
  EXPECT_EQ(world.nodes[0].labels.at("zone"), "a");
  EXPECT_EQ(world.nodes[0].addresses, before.world.nodes[0].addresses);

  ASSERT_EQ(world.endpoints.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    const world::Endpoint& a = world.endpoints[i];
    const world::Endpoint& b = before.world.endpoints[i];
    EXPECT_EQ(std::tie(a.id, a.ns, a.name, a.uid, a.labels, a.annotations, a.ips, a.node,
                       a.service_account, a.ready, a.terminating, a.terminated, a.host_network),
              std::tie(b.id, b.ns, b.name, b.uid, b.labels, b.annotations, b.ips, b.node,
                       b.service_account, b.ready, b.terminating, b.terminated, b.host_network));
    ASSERT_EQ(a.ports.size(), b.ports.size());
    for (size_t j = 0; j < a.ports.size(); ++j)
      EXPECT_EQ(std::tie(a.ports[j].name, a.ports[j].port, a.ports[j].protocol),
                std::tie(b.ports[j].name, b.ports[j].port, b.ports[j].protocol));
  }
  EXPECT_EQ(world.find_ip(*Ip::parse("fd00:5a11::5")), world.find_pod("inference", "model-0"));

  ASSERT_EQ(world.services.size(), 2U);  // the name for something outside is left out
  const k8s::Service& model = *world.services[0];
  EXPECT_EQ(model.cluster_ips,
            (std::vector<Ip>{*Ip::parse("198.19.0.7"), *Ip::parse("fd00:5a11:0:1::7")}));
  EXPECT_TRUE(model.session_affinity);
  EXPECT_EQ(model.session_affinity_seconds, 77);
  EXPECT_EQ(model.meta.annotations.at("a/b"), "c");
  ASSERT_EQ(model.ports.size(), 2U);
  EXPECT_EQ(model.ports[0].app_protocol, "http");
  EXPECT_EQ(model.ports[1].protocol, k8s::Protocol::kUdp);
  EXPECT_TRUE(world.services[1]->headless);
  EXPECT_TRUE(world.services[1]->publish_not_ready);
  EXPECT_EQ(world::service_endpoints(world, model, model.ports[0], Family::kV4),
            (std::vector<world::ServiceEndpoint>{{*Ip::parse("198.18.0.5"), 8080}}));
}

TEST(Config, PoliciesMeanTheSame) {
  ProxyConfig before = sample();
  auto after = decode(encode(before));
  ASSERT_TRUE(after) << after.error().message;
  for (const char* from : {"198.18.0.9", "198.18.0.6"})
    for (int port : {8080, 9000}) {
      auto ask = [&](const world::World& world) {
        policy::Query query;
        query.from = *Ip::parse(from);
        query.to = *Ip::parse("198.18.0.5");
        query.from_pod = world.find_ip(query.from);
        query.to_pod = world.find_ip(query.to);
        query.protocol = k8s::Protocol::kTcp;
        query.port = port;
        return policy::evaluate(world, query).allow;
      };
      EXPECT_EQ(ask(after->world), ask(before.world));
      EXPECT_EQ(ask(after->world), std::string(from) == "198.18.0.9" && port == 8080);
    }
}

TEST(Config, WhatDecidesNothingStaysAtHome) {
  std::string text = encode(sample());
  EXPECT_EQ(text.find("the\\\": "), std::string::npos) << "last-applied-configuration is sent";
  EXPECT_NE(text.find("because"), std::string::npos);
  // Objects that a node has and a proxy must not.
  for (const char* kind :
       {"Secret", "ConfigMap", "Pod", "Deployment", "ServiceAccount", "ValidatingWebhook"}) {
    ProxyConfig config = sample();
    auto value = codec::parse_json(encode(config));
    ASSERT_TRUE(value);
    codec::Value object = codec::Value::map();
    object.set("apiVersion", std::string_view(kind) == "Deployment" ? "apps/v1" : "v1");
    object.set("kind", kind);
    object.set("metadata", codec::Value::map()).set("name", "x");
    value->find("objects")->push(std::move(object));
    EXPECT_FALSE(decode(codec::write_json(*value))) << kind;
  }
}

TEST(Config, APolicyWithoutManifestIsRefusedRatherThanLost) {
  ProxyConfig config = sample();
  auto policy = std::make_shared<k8s::NetworkPolicy>();
  policy->api_version = "networking.k8s.io/v1";
  policy->kind = "NetworkPolicy";
  policy->meta.ns = "inference";
  policy->meta.name = "by-code";
  config.world.network_policies.push_back(policy);
  auto after = decode(encode(config));
  ASSERT_FALSE(after);
  EXPECT_NE(after.error().message.find("by-code"), std::string::npos) << after.error().message;
}

// Every member is looked at: whatever is taken out or replaced is named, and nothing is half-read.
TEST(Config, NamesWhatIsWrong) {
  auto good = codec::parse_json(encode(sample()));
  ASSERT_TRUE(good);
  for (const codec::Value::Member& member : good->members()) {
    codec::Value without = *good;
    without.erase(member.key);
    auto missing = decode(codec::write_json(without));
    ASSERT_FALSE(missing) << member.key;
    EXPECT_EQ(missing.error().code, Code::kInvalid);
    EXPECT_NE(missing.error().message.find(member.key), std::string::npos)
        << missing.error().message;
    codec::Value other = *good;
    other.set(member.key, codec::Value::floating(1.5));
    EXPECT_FALSE(decode(codec::write_json(other))) << member.key;
  }
  for (const codec::Value::Member& member : (*good)["pods"].items()[0].members()) {
    codec::Value other = *good;
    other.find("pods")->items()[0].erase(member.key);
    EXPECT_FALSE(decode(codec::write_json(other))) << member.key;
    other.find("pods")->items()[0].set(member.key, codec::Value::floating(1.5));
    EXPECT_FALSE(decode(codec::write_json(other))) << member.key;
  }
  codec::Value more = *good;
  more.set("surprise", "x");
  EXPECT_FALSE(decode(codec::write_json(more)));
  codec::Value schema = *good;
  schema.set("schema", codec::Value::integer(kConfigSchema + 1));
  EXPECT_FALSE(decode(codec::write_json(schema)));
  for (const char* text : {"", "[]", "{", "null", "\"x\""}) EXPECT_FALSE(decode(text)) << text;
}

}  // namespace
}  // namespace sallyport::mesh
