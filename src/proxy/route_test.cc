#include "proxy/route.h"

#include <gtest/gtest.h>

#include <map>

#include "world/test_world.h"

namespace sallyport::proxy {
namespace {

SocketAddress at(const char* ip, uint16_t port) {
  return {Ip::parse(ip).value(), port};
}

class RouteTest : public ::testing::Test {
 protected:
  RouteTest() {
    config_.generation = 1;
    config_.world.namespaces["ai"] = {{"istio-injection", "enabled"}};
    config_.world.namespaces["out"] = {};
    add("ai", "caller", "198.18.0.1", {{"app", "caller"}});
    add("ai", "web-1", "198.18.0.2", {{"app", "web"}});
    add("ai", "web-2", "198.18.0.3", {{"app", "web"}});
    add("out", "plain", "198.18.0.4", {});
    auto web = world::make_service("ai", "web");
    web->cluster_ips = {Ip::parse("198.19.1.1").value()};
    web->ports[0].app_protocol = "http";
    services_.push_back(web);
    config_.pod_ranges = {Cidr::parse("198.18.0.0/16").value()};
    config_.service_ranges = {Cidr::parse("198.19.0.0/17").value()};
    config_.local_pods = {"uid-caller", "uid-web-1"};
  }
  void add(const char* ns, const char* name, const char* ip, const k8s::Labels& labels) {
    world::Endpoint pod = world::make_pod(ns, name, ip, "", labels);
    pod.uid = std::string("uid-") + name;
    pod.service_account = "sa";
    config_.world.endpoints.push_back(pod);
  }
  void build() {
    mesh::ProxyConfig config = config_;
    for (const auto& service : services_) config.world.services.push_back(service);
    config.world.finish();
    snapshot_ = Snapshot::build(std::move(config)).value();
    caller_ = snapshot_->local("uid-caller");
    ASSERT_NE(caller_, nullptr);
  }
  Route route(const char* ip, uint16_t port) { return resolve(*snapshot_, *caller_, at(ip, port)); }
  std::expected<Target, Refusal> pick(const char* ip, uint16_t port) {
    return choose(*snapshot_, *caller_, route(ip, port), caller_->info->ips.front(), load_,
                  random_);
  }
  mesh::ProxyConfig config_;
  std::vector<std::shared_ptr<k8s::Service>> services_;
  SnapshotPtr snapshot_;
  const LocalPod* caller_ = nullptr;
  LoadTable load_;
  Random random_{1};
};

TEST_F(RouteTest, KnowsWhatAnAddressIs) {
  build();
  EXPECT_EQ(route("198.19.1.1", 80).kind, Route::Kind::kService);
  EXPECT_EQ(route("198.19.1.1", 80).port.protocol, mesh::AppProtocol::kHttp);
  EXPECT_EQ(route("198.18.0.2", 8080).kind, Route::Kind::kPod);
  EXPECT_EQ(route("198.18.0.2", 8080).port.protocol, mesh::AppProtocol::kHttp);
  EXPECT_EQ(route("198.18.0.1", 1).kind, Route::Kind::kSelf);
  EXPECT_EQ(route("198.20.0.1", 443).kind, Route::Kind::kOutside);
  EXPECT_EQ(route("198.18.7.7", 80).refusal, RefusalKind::kUnknownPod);
  EXPECT_EQ(route("198.19.2.2", 80).refusal, RefusalKind::kUnknownService);
  EXPECT_EQ(route("198.19.1.1", 81).refusal, RefusalKind::kUnknownService);
  EXPECT_EQ(route("198.18.0.2", 15006).refusal, RefusalKind::kLoop);
  EXPECT_EQ(route("198.18.0.1", 15001).refusal, RefusalKind::kLoop);
  EXPECT_EQ(route("198.20.0.1", 15001).refusal, RefusalKind::kLoop);
}

TEST_F(RouteTest, DialsMeshedPodsUnderTlsAndOthersPlainly) {
  build();
  const Target meshed = pick("198.18.0.2", 8080).value();
  EXPECT_TRUE(meshed.mtls);
  EXPECT_FALSE(meshed.by_service);
  EXPECT_EQ(meshed.pod->spiffe, "spiffe://cluster.local/ns/ai/sa/sa");
  EXPECT_FALSE(pick("198.18.0.4", 80).value().mtls);
  EXPECT_FALSE(pick("198.20.0.1", 80).value().mtls);
  const Target service = pick("198.19.1.1", 80).value();
  EXPECT_TRUE(service.mtls);
  EXPECT_TRUE(service.by_service);
  EXPECT_EQ(service.service->sni, "outbound_.80_._.web.ai.svc.cluster.local");
}

TEST_F(RouteTest, ExcludedAndDisabledPortsAreDialledPlainly) {
  for (auto& pod : config_.world.endpoints)
    if (pod.name == "web-1")
      pod.annotations["traffic.sidecar.istio.io/excludeInboundPorts"] = "8080";
  auto object = std::make_shared<k8s::PeerAuthentication>();
  object->meta.ns = "ai";
  object->meta.name = "ports";
  object->selector = {{"app", "web"}};
  object->has_selector = true;
  object->mode = k8s::MutualTlsMode::kStrict;
  object->port_modes[9000] = k8s::MutualTlsMode::kDisable;
  config_.world.peer_authentications = {object};
  build();
  EXPECT_FALSE(pick("198.18.0.2", 8080).value().mtls);
  EXPECT_TRUE(pick("198.18.0.3", 8080).value().mtls);
  EXPECT_FALSE(pick("198.18.0.3", 9000).value().mtls);
}

TEST_F(RouteTest, PicksTheLessLoadedOfTwo) {
  build();
  load_.add(at("198.18.0.2", 8080));
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(pick("198.19.1.1", 80).value().address, at("198.18.0.3", 8080));
}

TEST_F(RouteTest, SpreadsOverEqualEndpoints) {
  build();
  std::map<SocketAddress, int> seen;
  for (int i = 0; i < 1000; ++i) ++seen[pick("198.19.1.1", 80).value().address];
  ASSERT_EQ(seen.size(), 2U);
  for (const auto& [address, count] : seen) EXPECT_GT(count, 400);
}

TEST_F(RouteTest, AffinityKeepsTheEndpoint) {
  services_[0]->session_affinity = true;
  build();
  const SocketAddress first = pick("198.19.1.1", 80).value().address;
  load_.add(first);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(pick("198.19.1.1", 80).value().address, first);
  // Another client may have another one, and of many clients both are used.
  std::map<SocketAddress, int> seen;
  for (uint32_t i = 0; i < 100; ++i)
    ++seen[choose(*snapshot_, *caller_, route("198.19.1.1", 80), Ip::v4(0xC6120100 + i), load_,
                  random_)
               .value()
               .address];
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(RouteTest, AServiceThatLeadsBackIsDialledPlainly) {
  build();
  const LocalPod* self = snapshot_->local("uid-web-1");
  bool plain = false, tls = false;
  for (int i = 0; i < 100; ++i) {
    const Target target =
        choose(*snapshot_, *self, resolve(*snapshot_, *self, at("198.19.1.1", 80)),
               self->info->ips.front(), load_, random_)
            .value();
    EXPECT_EQ(target.self, !target.mtls);
    EXPECT_EQ(target.self, target.address == at("198.18.0.2", 8080));
    (target.self ? plain : tls) = true;
  }
  EXPECT_TRUE(plain && tls);
}

TEST_F(RouteTest, WithoutAReadyEndpointItIsRefused) {
  for (auto& pod : config_.world.endpoints) pod.ready = false;
  build();
  EXPECT_EQ(pick("198.19.1.1", 80).error().kind, RefusalKind::kNoEndpoint);
}

TEST_F(RouteTest, TheNetworkPolicyIsNamed) {
  auto deny = std::make_shared<k8s::NetworkPolicy>();
  deny->meta.ns = "ai";
  deny->meta.name = "closed";
  deny->isolates_egress = true;
  deny->pod_selector.match_labels = {{"app", "caller"}};
  config_.world.network_policies = {deny};
  build();
  const Refusal refusal = pick("198.18.0.2", 8080).error();
  EXPECT_EQ(refusal.kind, RefusalKind::kNetworkPolicy);
  EXPECT_EQ(refusal.policy, "ai/closed");
  EXPECT_EQ(pick("198.20.0.1", 80).error().kind, RefusalKind::kNetworkPolicy);
  config_.check_network_policy = false;
  build();
  EXPECT_TRUE(pick("198.18.0.2", 8080));
}

TEST_F(RouteTest, TheLegToTheApplicationKeepsTheClientsAddress) {
  build();
  const LocalPod* self = snapshot_->local("uid-web-1");
  const Target target = to_application(*self, at("198.18.0.1", 4000), at("198.18.0.2", 8080));
  EXPECT_EQ(target.from, Ip::parse("198.18.0.1").value());
  EXPECT_EQ(target.socket, mesh::SocketKind::kToApp);
  EXPECT_FALSE(to_application(*self, at("198.18.0.2", 4000), at("198.18.0.2", 8080)).from);
}

TEST_F(RouteTest, AConfigurationWithoutItsPodsIsRefused) {
  config_.local_pods.push_back("uid-nobody");
  mesh::ProxyConfig config = config_;
  config.world.finish();
  const auto built = Snapshot::build(std::move(config));
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().code, Code::kInvalid);
}

TEST_F(RouteTest, WorkloadsAreNamedAsIstioNamesThem) {
  add("ai", "gateway-5d9c7-abcde", "198.18.0.9", {{"pod-template-hash", "5d9c7"}});
  add("ai", "db-0", "198.18.0.10", {{"statefulset.kubernetes.io/pod-name", "db-0"}});
  add("ai", "load-x2x", "198.18.0.11", {{"job-name", "load"}});
  build();
  EXPECT_EQ(snapshot_->pod(Ip::parse("198.18.0.9").value())->party.workload, "gateway");
  EXPECT_EQ(snapshot_->pod(Ip::parse("198.18.0.10").value())->party.workload, "db");
  EXPECT_EQ(snapshot_->pod(Ip::parse("198.18.0.11").value())->party.workload, "load");
  EXPECT_EQ(snapshot_->pod(Ip::parse("198.18.0.2").value())->party.workload, "web-1");
}

}  // namespace
}  // namespace sallyport::proxy
