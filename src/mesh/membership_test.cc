#include "mesh/membership.h"

#include <gtest/gtest.h>

#include "world/test_world.h"

namespace sallyport::mesh {
namespace {

using world::make_pod;
using world::make_service;

// The pod in a namespace with these labels, judged.
Membership judged(const k8s::Labels& ns_labels, const k8s::Labels& labels,
                  const std::map<std::string, std::string>& annotations = {},
                  UnlabelledPods unlabelled = UnlabelledPods::kOut) {
  world::World world;
  world.namespaces["ns"] = ns_labels;
  world::Endpoint pod = make_pod("ns", "p", "198.18.0.1", "", labels);
  pod.annotations = annotations;
  world.endpoints.push_back(pod);
  world.finish();
  return membership(world, world.endpoints[0], unlabelled);
}

const k8s::Labels kEnabled{{"sallyport.dev/mesh", "enabled"}};
const k8s::Labels kPlain{};

TEST(Membership, TheNamespaceDecides) {
  struct Row {
    k8s::Labels labels;
    bool meshed;
  };
  for (const Row& row :
       {Row{{}, false}, Row{{{"sallyport.dev/mesh", "enabled"}}, true},
        Row{{{"sallyport.dev/mesh", "true"}}, false}, Row{{{"istio-injection", "enabled"}}, true},
        Row{{{"istio-injection", "disabled"}}, false},
        Row{{{"istio.io/dataplane-mode", "ambient"}}, true},
        Row{{{"istio.io/dataplane-mode", "none"}}, false},
        Row{{{"istio-injection", "disabled"}, {"istio.io/dataplane-mode", "ambient"}}, true},
        // Our own label wins.
        Row{{{"sallyport.dev/mesh", "disabled"}, {"istio-injection", "enabled"}}, false},
        Row{{{"sallyport.dev/mesh", "enabled"}, {"istio-injection", "disabled"}}, true}}) {
    EXPECT_EQ(judged(row.labels, kPlain).meshed, row.meshed)
        << (row.labels.empty() ? "" : row.labels.begin()->first);
  }
}

TEST(Membership, PodsLeaveAndEnterByThemselves) {
  const k8s::Labels out_label{{"sidecar.istio.io/inject", "false"}};
  const k8s::Labels in_label{{"sidecar.istio.io/inject", "true"}};
  EXPECT_FALSE(judged(kEnabled, out_label).meshed);
  EXPECT_FALSE(judged(kEnabled, kPlain, out_label).meshed) << "as an annotation";
  EXPECT_FALSE(judged(kEnabled, {{"istio.io/dataplane-mode", "none"}}).meshed);
  EXPECT_TRUE(judged(kPlain, in_label).meshed);
  EXPECT_TRUE(judged(kPlain, kPlain, in_label).meshed) << "as an annotation";
  EXPECT_TRUE(judged(kPlain, {{"istio.io/dataplane-mode", "ambient"}}).meshed);
  EXPECT_FALSE(judged(kPlain, {{"istio.io/dataplane-mode", "sidecar"}}).meshed);
  // The label wins over the annotation, leaving over entering.
  EXPECT_TRUE(judged(kEnabled, in_label, out_label).meshed);
  EXPECT_FALSE(judged(kEnabled, out_label, in_label).meshed);
  EXPECT_FALSE(
      judged(kPlain, {{"sidecar.istio.io/inject", "true"}, {"istio.io/dataplane-mode", "none"}})
          .meshed);
  // A namespace that says no is not overruled by its pods.
  for (const k8s::Labels& no :
       {k8s::Labels{{"istio-injection", "disabled"}}, k8s::Labels{{"sallyport.dev/mesh", "none"}},
        k8s::Labels{{"istio.io/dataplane-mode", "none"}}})
    EXPECT_FALSE(judged(no, in_label).meshed);
}

TEST(Membership, OfflineWorldsCountUnlabelledPodsIn) {
  EXPECT_TRUE(judged(kPlain, kPlain, {}, UnlabelledPods::kIn).meshed);
  EXPECT_FALSE(
      judged(kPlain, {{"sidecar.istio.io/inject", "false"}}, {}, UnlabelledPods::kIn).meshed);
  EXPECT_FALSE(judged({{"istio-injection", "disabled"}}, kPlain, {}, UnlabelledPods::kIn).meshed);
}

TEST(Membership, HostNetworkAndEndedPodsNeverAre) {
  for (bool ended : {false, true}) {
    world::World world;
    world.namespaces["ns"] = kEnabled;
    world::Endpoint pod = make_pod("ns", "p", "198.18.0.1", "");
    (ended ? pod.terminated : pod.host_network) = true;
    world.endpoints.push_back(pod);
    world.finish();
    EXPECT_FALSE(membership(world, world.endpoints[0]).meshed);
    EXPECT_FALSE(membership(world, world.endpoints[0], UnlabelledPods::kIn).meshed);
  }
}

TEST(Membership, Exclusions) {
  Membership found =
      judged(kEnabled, kPlain,
             {{"traffic.sidecar.istio.io/excludeInboundPorts", "8081, 9090,9090"},
              {"traffic.sidecar.istio.io/excludeOutboundPorts", "5432"},
              {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "198.18.1.0/24,fd00::/8"}});
  EXPECT_TRUE(found.problems.empty());
  EXPECT_EQ(found.exclude_inbound_ports, (std::set<uint16_t>{8081, 9090}));
  EXPECT_EQ(found.exclude_outbound_ports, (std::set<uint16_t>{5432}));
  ASSERT_EQ(found.exclude_outbound_ranges.size(), 2u);
  EXPECT_EQ(found.exclude_outbound_ranges[0].to_string(), "198.18.1.0/24");
  EXPECT_EQ(found.exclude_outbound_ranges[1].to_string(), "fd00::/8");
  EXPECT_EQ(judged(kEnabled, kPlain, {{"traffic.sidecar.istio.io/excludeInboundPorts", " "}}),
            judged(kEnabled, kPlain));
  // They mean nothing where the pod is not meshed.
  EXPECT_EQ(judged(kPlain, kPlain, {{"traffic.sidecar.istio.io/excludeInboundPorts", "1"}}),
            Membership{});
}

TEST(Membership, WrongExclusionsExcludeNothing) {
  for (const char* wrong : {"80,http", "0", "65536", "80,,81", "80 81", "*", "-1", "80,"}) {
    for (const char* name : {"excludeInboundPorts", "excludeOutboundPorts"}) {
      Membership found =
          judged(kEnabled, kPlain, {{std::string("traffic.sidecar.istio.io/") + name, wrong}});
      EXPECT_TRUE(found.exclude_inbound_ports.empty() && found.exclude_outbound_ports.empty());
      ASSERT_EQ(found.problems.size(), 1u) << wrong;
      EXPECT_TRUE(found.problems[0].starts_with(std::string("traffic.sidecar.istio.io/") + name));
    }
  }
  for (const char* wrong : {"198.18.0.1", "198.18.0.0/33", "198.18.0.0/16,*", "a"}) {
    Membership found =
        judged(kEnabled, kPlain, {{"traffic.sidecar.istio.io/excludeOutboundIPRanges", wrong}});
    EXPECT_TRUE(found.exclude_outbound_ranges.empty()) << wrong;
    ASSERT_EQ(found.problems.size(), 1u) << wrong;
  }
  EXPECT_EQ(
      judged(kEnabled, kPlain, {{"traffic.sidecar.istio.io/excludeInboundPorts", "x"}}).problems[0],
      "traffic.sidecar.istio.io/excludeInboundPorts: \"x\" is not a port from 1 to 65535; "
      "nothing is excluded by it");
}

TEST(Membership, EscapedSlashesAreAllowedByAnnotation) {
  const char* kName = "sallyport.dev/allow-escaped-slashes";
  EXPECT_FALSE(judged(kEnabled, kPlain).allow_escaped_slashes);
  EXPECT_TRUE(judged(kEnabled, kPlain, {{kName, "true"}}).allow_escaped_slashes);
  EXPECT_FALSE(judged(kEnabled, kPlain, {{kName, "false"}}).allow_escaped_slashes);
  Membership wrong = judged(kEnabled, kPlain, {{kName, "yes"}});
  EXPECT_FALSE(wrong.allow_escaped_slashes);
  EXPECT_EQ(wrong.problems.size(), 1u);
}

TEST(Membership, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(judged(kEnabled, kPlain,
                   {{"traffic.sidecar.istio.io/includeOutboundIPRanges", "198.18.0.0/16"},
                    {"traffic.sidecar.istio.io/includeInboundPorts", "*"}})
                .problems.size(),
            1u);
}

k8s::ServicePort port_of(const char* name, const char* app_protocol, int number = 80) {
  return {name, k8s::Protocol::kTcp, number, {number, ""}, app_protocol};
}

TEST(DeclaredProtocol, ByAppProtocolAndName) {
  using enum AppProtocol;
  struct Row {
    const char *name, *app;
    AppProtocol wanted;
  };
  for (const Row& row : {Row{"", "", kUndeclared},
                         Row{"http", "", kHttp},
                         Row{"http-web", "", kHttp},
                         Row{"HTTP-web", "", kHttp},
                         Row{"httpweb", "", kUndeclared},
                         Row{"web-http", "", kUndeclared},
                         Row{"http2-a", "", kHttp2},
                         Row{"grpc", "", kGrpc},
                         Row{"grpc-web", "", kHttp},
                         Row{"grpc-web-x", "", kHttp},
                         Row{"https-a", "", kTls},
                         Row{"tls", "", kTls},
                         Row{"tcp-a", "", kTcp},
                         Row{"redis", "", kTcp},
                         Row{"mysql", "", kTcp},
                         Row{"mongo-x", "", kTcp},
                         Row{"tcp", "http", kHttp},
                         Row{"http", "tcp", kTcp},
                         Row{"http", "example.com/own", kUndeclared},
                         Row{"", "kubernetes.io/h2c", kHttp2},
                         Row{"", "kubernetes.io/ws", kHttp},
                         Row{"", "kubernetes.io/wss", kTls},
                         Row{"", "grpc-web", kHttp},
                         Row{"", "GRPC", kGrpc}})
    EXPECT_EQ(declared_protocol(port_of(row.name, row.app)), row.wanted)
        << row.name << " " << row.app;
}

TEST(DeclaredProtocol, PortsOnWhichServersSpeakFirst) {
  for (int port : {25, 53, 3306, 27017}) {
    EXPECT_EQ(declared_protocol(port_of("x", "", port)), AppProtocol::kTcp);
    EXPECT_EQ(declared_protocol(port_of("http", "", port)), AppProtocol::kHttp);
  }
  EXPECT_EQ(declared_protocol(port_of("x", "", 5432)), AppProtocol::kUndeclared);
}

TEST(InboundProtocol, ByTheServicesThatLeadThere) {
  world::World world;
  world.endpoints.push_back(make_pod("ns", "p", "198.18.0.1", ""));
  world.endpoints[0].ports = {{"web", 8080, k8s::Protocol::kTcp}};
  auto add = [&](const char* ns, const char* name, k8s::Labels selector, k8s::ServicePort port) {
    auto service = make_service(ns, name);
    service->selector = std::move(selector);
    service->ports = {std::move(port)};
    world.services.push_back(service);
  };
  const k8s::Labels app{{"app", "web"}};
  add("other", "a", app, {"http", k8s::Protocol::kTcp, 80, {8080, ""}, ""});
  add("ns", "none", {}, {"http", k8s::Protocol::kTcp, 80, {8080, ""}, ""});
  add("ns", "udp", app, {"http", k8s::Protocol::kUdp, 80, {8080, ""}, ""});
  add("ns", "a-plain", app, {"x", k8s::Protocol::kTcp, 81, {8080, ""}, ""});
  world.finish();
  EXPECT_EQ(inbound_protocol(world, world.endpoints[0], 8080), AppProtocol::kUndeclared);
  add("ns", "web", app, {"grpc", k8s::Protocol::kTcp, 80, {0, "web"}, ""});
  add("ns", "zz", app, {"tcp", k8s::Protocol::kTcp, 80, {8080, ""}, ""});
  world.finish();
  EXPECT_EQ(inbound_protocol(world, world.endpoints[0], 8080), AppProtocol::kGrpc)
      << "the first that declares one, by name";
  EXPECT_EQ(inbound_protocol(world, world.endpoints[0], 80), AppProtocol::kUndeclared)
      << "the workload's port counts, not the Service's";
  EXPECT_EQ(to_string(AppProtocol::kGrpc), "grpc");
}

}  // namespace
}  // namespace sallyport::mesh
