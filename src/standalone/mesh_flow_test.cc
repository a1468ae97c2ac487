#include "standalone/mesh_flow.h"

#include <gtest/gtest.h>

#include <cstring>

#include "codec/json.h"
#include "standalone/flow_log.h"
#include "world/test_world.h"

namespace sallyport::standalone {
namespace {

template <size_t N>
void put(char (&field)[N], const char* text) {
  std::strncpy(field, text, N);
}

telemetry::FlowRecord sample() {
  telemetry::FlowRecord record;
  record.time_ns = 1'700'000'000'123'456'000;
  record.duration_ns = 4'200'000;
  Ip from = world::ip_of("198.18.0.1"), to = world::ip_of("198.18.0.2");
  std::memcpy(record.source_ip, from.bytes.data(), 16);
  std::memcpy(record.destination_ip, to.bytes.data(), 16);
  record.source_port = 40000;
  record.destination_port = 8080;
  record.status = 403;
  record.inbound = 1;
  record.rule = 2;
  record.tls_version = 0x0304;
  record.cipher = 0x1301;
  record.group = 0x11ec;
  record.protocol = 1;
  record.generation = 9;
  put(record.policy, "inference/authz");
  put(record.reason, "rule");
  put(record.peer, "spiffe://cluster.local/ns/a/sa/a");
  put(record.method, "POST");
  put(record.path, "/props");
  put(record.host, "model");
  return record;
}

world::World sample_world() {
  world::World world;
  world.endpoints = {world::make_pod("a", "client", "198.18.0.1", ""),
                     world::make_pod("b", "server", "198.18.0.2", "")};
  world.finish();
  return world;
}

TEST(MeshFlow, InWords) {
  world::World world = sample_world();
  codec::Value value = mesh_flow(sample(), &world).to_value("schema");
  EXPECT_EQ(value["schema"].as_string(), "schema");
  EXPECT_EQ(value["time"].as_string(), "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(value["kind"].as_string(), "request");
  EXPECT_EQ(value["verdict"].as_string(), "denied");
  EXPECT_EQ(value["protocol"].as_string(), "HTTP/1.1");
  EXPECT_EQ(value["source"]["pod"].as_string(), "client");
  EXPECT_EQ(value["destination"]["namespace"].as_string(), "b");
  EXPECT_EQ(value["destination"]["port"].as_int(), 8080);
  EXPECT_EQ(value["generation"].as_int(), 9);
  const codec::Value& mesh = value["mesh"];
  EXPECT_EQ(mesh["reporter"].as_string(), "destination");
  EXPECT_EQ(mesh["policy"].as_string(), "inference/authz");
  EXPECT_EQ(mesh["rule"].as_int(), 2);
  EXPECT_EQ(mesh["peer"].as_string(), "spiffe://cluster.local/ns/a/sa/a");
  EXPECT_EQ(mesh["tls"]["version"].as_string(), "TLSv1.3");
  EXPECT_EQ(mesh["tls"]["cipher"].as_string(), "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(mesh["tls"]["group"].as_string(), "X25519MLKEM768");
  EXPECT_EQ(mesh["method"].as_string(), "POST");
  EXPECT_EQ(mesh["path"].as_string(), "/props");
  EXPECT_EQ(mesh["status"].as_int(), 403);
  EXPECT_EQ(mesh["durationMicros"].as_int(), 4200);
  EXPECT_FALSE(value.find("network"));
}

TEST(MeshFlow, TheNetworksRuleStandsApart) {
  telemetry::FlowRecord record = sample();
  record.network_denied = 1;
  record.inbound = 0;
  record.tls_version = 0;
  codec::Value value = mesh_flow(record, nullptr).to_value("schema");
  EXPECT_EQ(value["network"]["policy"].as_string(), "inference/authz");
  EXPECT_FALSE(value["mesh"].find("policy"));
  EXPECT_TRUE(value["mesh"]["tls"].is_null());
  EXPECT_FALSE(value["source"].find("pod"));
}

// What an attacker's proxy writes is shown, not believed, and never breaks the reader.
TEST(MeshFlow, AnyBytesMakeARecord) {
  telemetry::FlowRecord record;
  std::memset(static_cast<void*>(&record), 0xff, sizeof record);
  codec::Value value = mesh_flow(record, nullptr).to_value("schema");
  EXPECT_EQ(value["kind"].as_string(), "unknown");
  EXPECT_TRUE(codec::parse_json(codec::write_json(value)));
}

TEST(FlowLog, HoldsBothGatesAndPutsTheMeshIntoWordsWhenAsked) {
  FlowLog log(3);
  world::World world = sample_world();
  log.learn(world);
  std::vector<std::string> followed;
  for (int i = 0; i < 4; ++i) {
    if (i == 2)
      log.follow([&](const codec::Value& record, WallTime) {
        followed.push_back(record["mesh"]["path"].as_string());
      });
    telemetry::FlowRecord record = sample();
    record.allow = i == 3;
    put(record.path, ("/" + std::to_string(i)).c_str());
    log.add_mesh(record, &world);
  }
  FlowFilter filter;
  auto all = log.last(filter, 10);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ((*all[0])["mesh"]["path"].as_string(), "/1");
  EXPECT_EQ(followed, (std::vector<std::string>{"/2", "/3"}));
  filter.verdict = "allowed";
  filter.from = "a/";
  EXPECT_EQ(log.last(filter, 10).size(), 1U);
  filter.to = "a/client";
  EXPECT_TRUE(log.last(filter, 10).empty());
  EXPECT_EQ(log.counts().by_kind.at("mesh-request"), 4U);
}

}  // namespace
}  // namespace sallyport::standalone
