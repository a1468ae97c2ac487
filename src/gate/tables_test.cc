#include "gate/tables.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "gate/compiled_builder.h"

namespace sallyport::gate {

namespace {

using policy::Direction;

GateConfig ranges() {
  GateConfig config;
  config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
  config.node_ranges = {cidr("198.19.0.0/17")};
  config.node_addresses = {ip("198.19.128.1")};
  return config;
}

std::map<std::string, sp_prefix> prefixes_of(const Tables& tables) {
  std::map<std::string, sp_prefix> out;
  for (const auto& [key, prefix] : tables.prefixes) {
    Ip base;
    std::memcpy(base.bytes.data(), key.address, 16);
    out[base.to_string() + "/" + std::to_string(key.bits)] = prefix;
  }
  return out;
}

TEST(Tables, AddressesKeepTheirBytes) {
  for (const char* text : {"198.18.0.1", "fd00:18::1", "::", "0.0.0.0"})
    EXPECT_EQ(from_kernel(to_kernel(ip(text))), ip(text));
}

TEST(Tables, EndpointsCarryTheirWiringAndSets) {
  CompiledBuilder b;
  const auto in = b.deny_set(Direction::kIngress, 1);
  const auto out = b.deny_set(Direction::kEgress, 2);
  b.endpoint(7, {ip("198.18.0.7"), ip("fd00:18::7")}, out, in);
  const auto tables = build_tables(b.get(), {{7, 70}}, ranges());
  ASSERT_TRUE(tables) << tables.error().message;
  ASSERT_EQ(tables->endpoints.size(), 2u);
  for (const auto& [address, endpoint] : tables->endpoints) {
    EXPECT_EQ(endpoint.id, 7u);
    EXPECT_EQ(endpoint.ifindex, 70u);
    EXPECT_EQ(endpoint.peer_class, 7u);
    EXPECT_EQ(endpoint.egress_set, out);
    EXPECT_EQ(endpoint.ingress_set, in);
  }
  ASSERT_EQ(tables->interfaces.size(), 1u);
  EXPECT_EQ(tables->interfaces[0], (std::pair<uint32_t, uint32_t>{70, 7}));
}

TEST(Tables, AnUnwiredEndpointOfTheOwnRangeStaysUnknown) {
  CompiledBuilder b;
  b.endpoint(1, {ip("198.18.0.1")}, 0, 0);
  b.endpoint(2, {ip("198.19.222.2")}, 0, 0);  // of another node
  const auto tables = build_tables(b.get(), {}, ranges());
  ASSERT_TRUE(tables);
  ASSERT_EQ(tables->endpoints.size(), 1u);
  EXPECT_EQ(tables->endpoints[0].second.id, 2u);
  EXPECT_EQ(tables->endpoints[0].second.ifindex, 0u);
}

TEST(Tables, PrefixesInheritClassAndRanges) {
  CompiledBuilder b;
  b.classed_cidr("::/0", 60);
  b.classed_cidr("fd00::/8", 61);
  b.classed_cidr("198.16.0.0/12", 40);
  b.classed_cidr("198.18.5.0/24", 41);
  const auto tables = build_tables(b.get(), {}, ranges());
  ASSERT_TRUE(tables);
  const auto p = prefixes_of(*tables);
  EXPECT_EQ(p.at("::/0").peer_class, 60u);
  // IPv6's ::/0 does not reach IPv4.
  EXPECT_EQ(p.at("0.0.0.0/96").peer_class, 0u);
  EXPECT_EQ(p.at("198.16.0.0/108").peer_class, 40u);
  EXPECT_EQ(p.at("198.16.0.0/108").ranges, 0u);
  EXPECT_EQ(p.at("198.18.0.0/112").peer_class, 40u);
  EXPECT_EQ(p.at("198.18.0.0/112").ranges, SP_RANGE_POD);
  EXPECT_EQ(p.at("198.18.5.0/120").peer_class, 41u);
  EXPECT_EQ(p.at("198.18.5.0/120").ranges, SP_RANGE_POD);
  EXPECT_EQ(p.at("198.19.0.0/113").ranges, SP_RANGE_SERVICE);
  EXPECT_EQ(p.at("198.19.128.1/128").ranges, SP_RANGE_NODE);
  EXPECT_EQ(p.at("198.19.128.1/128").peer_class, 40u);
  EXPECT_EQ(p.at("fd00:18::/64").peer_class, 61u);
  EXPECT_EQ(p.at("fd00:18::/64").ranges, SP_RANGE_POD);
}

TEST(Tables, EqualPieceListsAreStoredOnce) {
  CompiledBuilder b;
  const auto in = b.deny_set(Direction::kIngress, 1);
  b.allow(in, 5, 6, 80, 90, 2);
  b.allow(in, 6, 6, 80, 90, 2);
  const auto tables = build_tables(b.get(), {}, ranges());
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->programs.size(), 3u);
  ASSERT_EQ(tables->pieces.size(), 4u);  // deny everything; deny, allow, deny
}

TEST(Tables, WhatContradictsItselfIsRefused) {
  CompiledBuilder b;
  const auto in = b.deny_set(Direction::kIngress, 1);
  b.endpoint(1, {ip("198.18.0.1")}, 0, in);
  const auto refused = [&](auto change) {
    policy::Compiled compiled = b.get();
    std::vector<EndpointPort> ports = {{1, 11}};
    GateConfig config = ranges();
    change(compiled, ports, config);
    return !build_tables(compiled, ports, config).has_value();
  };
  using Ports = std::vector<EndpointPort>;
  EXPECT_FALSE(refused([](policy::Compiled&, Ports&, GateConfig&) {}));
  EXPECT_TRUE(
      refused([](policy::Compiled& c, Ports&, GateConfig&) { c.sets[0].default_program = 9; }));
  EXPECT_TRUE(refused([](policy::Compiled& c, Ports&, GateConfig&) {
    c.programs_of[policy::Compiled::key(1, 1)] = 9;
  }));
  EXPECT_TRUE(refused([](policy::Compiled& c, Ports&, GateConfig&) { c.programs[0].tcp.clear(); }));
  EXPECT_TRUE(refused(
      [](policy::Compiled& c, Ports&, GateConfig&) { c.programs[0].udp[0].first_port = 1; }));
  EXPECT_TRUE(refused([](policy::Compiled& c, Ports&, GateConfig&) {
    c.programs[0].sctp.push_back(c.programs[0].sctp[0]);
  }));
  EXPECT_TRUE(refused(
      [](policy::Compiled& c, Ports&, GateConfig&) { c.endpoints.push_back(c.endpoints[0]); }));
  EXPECT_TRUE(
      refused([](policy::Compiled& c, Ports&, GateConfig&) { c.endpoints[0].ingress_set = 2; }));
  EXPECT_TRUE(
      refused([](policy::Compiled& c, Ports&, GateConfig&) { c.endpoints[0].endpoint_id = 0; }));
  EXPECT_TRUE(refused([](policy::Compiled&, Ports& p, GateConfig&) { p.push_back({1, 12}); }));
  EXPECT_TRUE(refused([](policy::Compiled&, Ports& p, GateConfig&) { p.push_back({2, 11}); }));
  EXPECT_TRUE(refused([](policy::Compiled&, Ports& p, GateConfig&) { p[0].ifindex = 0; }));
  EXPECT_TRUE(refused([](policy::Compiled&, Ports&, GateConfig& c) { c.max_endpoints = 0; }));
}

TEST(Tables, DemandsOfTlsAreOfEndpointsThatThereAre) {
  CompiledBuilder b;
  b.endpoint(1, {ip("198.18.0.1")}, 0, 0);
  b.endpoint(2, {ip("198.18.0.2"), ip("fd00:18::2")}, 0, 0);
  b.endpoint(3, {ip("198.18.0.3")}, 0, 0);
  TlsNames names;
  const std::vector<EndpointPort> wired = {{1, 11}, {2, 12}, {3, 13}};
  const auto build = [&](const std::vector<TlsDemand>& demands) {
    return build_tables(b.get(), wired, ranges(), demands, names);
  };
  const auto tables = build({{2, 9000, false, ""},
                             {2, 0, true, "inference/default"},
                             {3, 8443, true, "a/b"},
                             {1, 80, false, ""},
                             {77, 0, true, "gone/with-its-pod"}});
  ASSERT_TRUE(tables) << tables.error().message;
  const uint32_t inference = names.id_of("inference/default"), ab = names.id_of("a/b");
  using Row = std::pair<uint64_t, uint32_t>;
  EXPECT_EQ(tables->tls, (std::vector<Row>{{1ULL << 32 | 80, 0},
                                           {2ULL << 32, inference},
                                           {2ULL << 32 | 9000, 0},
                                           {3ULL << 32 | 8443, ab}}));
  EXPECT_EQ(tables->tls_names,
            (std::map<uint32_t, std::string>{{inference, "inference/default"}, {ab, "a/b"}}));
  for (const auto& [address, endpoint] : tables->endpoints)
    EXPECT_EQ(endpoint.tls, endpoint.id == 1 ? 0u : 1u) << endpoint.id;

  for (const TlsDemand& wrong : {TlsDemand{0, 80, true, "a/b"}, TlsDemand{2, 80, true, ""},
                                 TlsDemand{2, 80, true, std::string(320, 'x')}}) {
    const auto refused = build({wrong});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalid);
  }
  EXPECT_TRUE(build({{2, 80, true, std::string(319, 'x')}}));
  const auto twice = build({{2, 80, true, "a/b"}, {2, 80, false, ""}});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "two demands of TLS for endpoint 2, port 80");
}

TEST(Tables, NamesKeepTheirNumbers) {
  TlsNames names;
  EXPECT_EQ(names.id_of("a/a"), 1u);
  EXPECT_EQ(names.id_of("a/b"), 2u);
  EXPECT_EQ(names.id_of("a/a"), 1u);
  EXPECT_EQ(names.name_of(2), "a/b");
  EXPECT_EQ(names.name_of(3), "");
  names.keep({2});
  EXPECT_EQ(names.name_of(1), "");
  EXPECT_EQ(names.id_of("a/a"), 3u);  // no number is given twice
  names.restore(9, "a/c");
  EXPECT_EQ(names.id_of("a/c"), 9u);
  EXPECT_EQ(names.id_of("a/d"), 10u);
}

TEST(Tables, OffersAreSortedAndSingle) {
  GateConfig config = ranges();
  config.node_ports = {{17, 53}, {6, 9090}, {17, 53}};
  const auto tables = build_tables(policy::Compiled{}, {}, config);
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->offers, (std::vector<uint32_t>{6u << 16 | 9090, 17u << 16 | 53}));
}

}  // namespace

}  // namespace sallyport::gate
