#include "dns/zone_builder.h"

#include <gtest/gtest.h>

namespace sallyport::dns {
namespace {

Ip ip(const char* text) {
  return *Ip::parse(text);
}
std::vector<Ip> ips(std::initializer_list<const char*> texts) {
  std::vector<Ip> result;
  for (const char* text : texts) result.push_back(ip(text));
  return result;
}

k8s::Service service(std::string ns, std::string name, bool headless) {
  k8s::Service result;
  result.meta.ns = std::move(ns);
  result.meta.name = std::move(name);
  result.headless = headless;
  result.selector = {{"app", "db"}};
  k8s::ServicePort port;
  port.name = "sql";
  port.port = 5432;
  port.target_port.name = "postgres";
  result.ports = {port};
  return result;
}

world::Endpoint endpoint(std::string name, std::vector<Ip> addresses, bool ready = true) {
  world::Endpoint result;
  result.ns = "data";
  result.name = std::move(name);
  result.labels = {{"app", "db"}, {"other", "label"}};
  result.ips = std::move(addresses);
  result.ports = {{"postgres", 6000, k8s::Protocol::kTcp}};
  result.ready = ready;
  return result;
}

Zone build(const std::vector<k8s::Service>& services, std::vector<world::Endpoint> endpoints,
           std::vector<Ip> cluster = ips({"198.19.0.5", "fd00:1::5"})) {
  world::World world;
  for (const k8s::Service& s : services)
    world.services.push_back(std::make_shared<const k8s::Service>(s));
  world.endpoints = std::move(endpoints);
  world.finish();
  return build_zone(world, [cluster](const k8s::Service&) { return cluster; });
}

TEST(ZoneBuilder, ClusterService) {
  const Zone zone = build({service("data", "db", false)}, {endpoint("db-0", ips({"198.18.0.1"}))});
  const std::string name = "db.data.svc.cluster.local";
  EXPECT_EQ(zone.addresses.at(name), ips({"198.19.0.5", "fd00:1::5"}));
  EXPECT_EQ(zone.addresses.size(), 1u);  // endpoints have no names of their own
  EXPECT_EQ(zone.services.at("_sql._tcp." + name), (std::vector<ServiceRecord>{{5432, name}}));
  EXPECT_EQ(zone.pointers.at("5.0.19.198.in-addr.arpa"), name);
  EXPECT_EQ(zone.pointers.size(), 2u);
  EXPECT_TRUE(zone.parents.contains("data.svc.cluster.local"));
}

TEST(ZoneBuilder, HeadlessService) {
  const Zone zone =
      build({service("data", "db", true)}, {endpoint("db-0", ips({"198.18.0.1", "fd00::1"})),
                                            endpoint("db-1", ips({"198.18.0.2", "fd00::2"}))});
  const std::string name = "db.data.svc.cluster.local";
  EXPECT_EQ(zone.addresses.at(name).size(), 4u);
  EXPECT_EQ(zone.addresses.at("db-0." + name), ips({"198.18.0.1", "fd00::1"}));
  EXPECT_EQ(zone.addresses.at("198-18-0-2." + name), ips({"198.18.0.2"}));
  EXPECT_EQ(zone.addresses.at("fd00--2." + name), ips({"fd00::2"}));
  EXPECT_EQ(zone.pointers.at("2.0.18.198.in-addr.arpa"), "db-1." + name);
  // The endpoint's own port, by the name in targetPort; one record for each pod.
  EXPECT_EQ(zone.services.at("_sql._tcp." + name),
            (std::vector<ServiceRecord>{{6000, "db-0." + name}, {6000, "db-1." + name}}));
}

TEST(ZoneBuilder, OnlyReadyEndpointsOfTheNamespace) {
  world::Endpoint unready = endpoint("unready", ips({"198.18.0.2"}), false);
  world::Endpoint ended = endpoint("ended", ips({"198.18.0.3"}));
  ended.terminated = true;
  world::Endpoint leaving = endpoint("leaving", ips({"198.18.0.4"}));
  leaving.terminating = true;
  world::Endpoint elsewhere = endpoint("elsewhere", ips({"198.18.0.5"}));
  elsewhere.ns = "other";
  world::Endpoint unlabelled = endpoint("unlabelled", ips({"198.18.0.6"}));
  unlabelled.labels = {{"app", "web"}};
  const std::vector<world::Endpoint> all = {
      endpoint("db-0", ips({"198.18.0.1"})), unready, ended, leaving, elsewhere, unlabelled};
  const std::string name = "db.data.svc.cluster.local";
  EXPECT_EQ(build({service("data", "db", true)}, all).addresses.at(name), ips({"198.18.0.1"}));

  k8s::Service early = service("data", "db", true);
  early.publish_not_ready = true;
  EXPECT_EQ(build({early}, all).addresses.at(name),
            ips({"198.18.0.1", "198.18.0.2", "198.18.0.4"}));
}

TEST(ZoneBuilder, WithoutEndpointsOrSelectorThereIsNoName) {
  EXPECT_TRUE(build({service("data", "db", true)}, {}).addresses.empty());
  k8s::Service free = service("data", "db", true);
  free.selector.clear();
  EXPECT_TRUE(build({free}, {endpoint("db-0", ips({"198.18.0.1"}))}).addresses.empty());
  EXPECT_TRUE(build({service("data", "db", false)}, {}, {}).addresses.empty());
}

TEST(ZoneBuilder, PortsWithoutNameOrMatchHaveNoServiceRecord) {
  k8s::Service odd = service("data", "db", true);
  odd.ports[0].target_port.name = "absent";
  EXPECT_TRUE(build({odd}, {endpoint("db-0", ips({"198.18.0.1"}))}).services.empty());
  k8s::Service unnamed = service("data", "db", false);
  unnamed.ports[0].name.clear();
  EXPECT_TRUE(build({unnamed}, {}).services.empty());
  k8s::Service number = service("data", "db", true);
  number.ports[0].target_port = {7000, ""};
  EXPECT_EQ(build({number}, {endpoint("db-0", ips({"198.18.0.1"}))})
                .services.at("_sql._tcp.db.data.svc.cluster.local")[0]
                .port,
            7000);
}

TEST(ZoneBuilder, NamesThatDnsCannotHaveAreLeftOut) {
  // Pod names may have dots; their endpoint is named by its address only.
  const Zone zone =
      build({service("data", "db", true)}, {endpoint("db.0", ips({"198.18.0.1", "fd00::"}))});
  EXPECT_EQ(zone.pointers.at("1.0.18.198.in-addr.arpa"), "198-18-0-1.db.data.svc.cluster.local");
  EXPECT_TRUE(zone.addresses.contains("fd00--0.db.data.svc.cluster.local"));
  EXPECT_FALSE(zone.addresses.contains("db.0.db.data.svc.cluster.local"));
  EXPECT_TRUE(build({service("data", "Not A Name", false)}, {}).addresses.empty());
  EXPECT_TRUE(parse_zone(write_zone(zone)).has_value());
}

TEST(ZoneBuilder, TheNameServersOwnName) {
  const Zone zone = build({service("kube-system", "kube-dns", false)}, {});
  EXPECT_EQ(zone.addresses.at("ns.dns.cluster.local"), ips({"198.19.0.5", "fd00:1::5"}));
  EXPECT_TRUE(zone.parents.contains("dns.cluster.local"));
  EXPECT_TRUE(parse_zone(write_zone(zone)).has_value());
}

}  // namespace
}  // namespace sallyport::dns
