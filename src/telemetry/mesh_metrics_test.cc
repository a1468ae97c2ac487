#include "telemetry/mesh_metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "telemetry/testing_promtool.h"

namespace sallyport::telemetry {
namespace {

std::string text_of(const MeshMetrics& metrics) {
  Exposition out;
  MeshMetrics::declare(out);
  metrics.render(out);
  return out.text();
}

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(("\n" + text).find("\n" + line + "\n"), std::string::npos) << line << "\nin\n" << text;
}

TEST(MeshMetrics, HandshakesByResultAndGroup) {
  MeshMetrics metrics;
  metrics.handshake(HandshakeSide::kServer, HandshakeResult::kOk, 0x11ec);
  metrics.handshake(HandshakeSide::kServer, HandshakeResult::kOk, 0x11ec);
  metrics.handshake(HandshakeSide::kClient, HandshakeResult::kWrongPeer, 0x001d);
  metrics.handshake(HandshakeSide::kClient, HandshakeResult::kTimeout, 0);
  metrics.handshake(HandshakeSide::kServer, HandshakeResult::kOther, 0xffff);
  const std::string text = text_of(metrics);
  const std::string name = "sallyport_mesh_handshakes_total";
  expect_line(text, name + "{side=\"server\",result=\"ok\",group=\"X25519MLKEM768\"} 2");
  expect_line(text, name + "{side=\"client\",result=\"wrong_peer\",group=\"X25519\"} 1");
  expect_line(text, name + "{side=\"client\",result=\"timeout\",group=\"none\"} 1");
  expect_line(text, name + "{side=\"server\",result=\"other\",group=\"other\"} 1");
  EXPECT_EQ(promtool(text), "");
}

TEST(MeshMetrics, DecisionsByPolicyAndRule) {
  MeshMetrics metrics;
  for (int i = 0; i < 3; ++i) {
    metrics.decision(Reporter::kDestination, Verdict::kAllow, "inference/inference-authz", 0);
  }
  metrics.decision(Reporter::kDestination, Verdict::kDeny, "inference/inference-authz", -1);
  metrics.decision(Reporter::kSource, Verdict::kDeny, "inference/ingress", 1, true);
  metrics.decision(Reporter::kDestination, Verdict::kAllow, "", -1);
  const std::string text = text_of(metrics);
  const std::string name = "sallyport_mesh_decisions_total";
  expect_line(text, name +
                        "{reporter=\"destination\",gate=\"mesh\",verdict=\"allow\","
                        "policy=\"inference/inference-authz\",rule=\"0\"} 3");
  expect_line(text, name +
                        "{reporter=\"destination\",gate=\"mesh\",verdict=\"deny\","
                        "policy=\"inference/inference-authz\",rule=\"\"} 1");
  expect_line(text, name +
                        "{reporter=\"source\",gate=\"network\",verdict=\"deny\","
                        "policy=\"inference/ingress\",rule=\"1\"} 1");
  expect_line(text, name +
                        "{reporter=\"destination\",gate=\"mesh\",verdict=\"allow\",policy=\"\","
                        "rule=\"\"} 1");
  EXPECT_EQ(promtool(text), "");
}

TEST(MeshMetrics, DecisionsAreBounded) {
  MeshMetrics metrics(10);
  for (int i = 0; i < 1000; ++i) {
    metrics.decision(Reporter::kDestination, Verdict::kAllow, "n/p" + std::to_string(i), 0);
  }
  const std::string text = text_of(metrics);
  EXPECT_NE(text.find("policy=\"other\",rule=\"\"} 990\n"), std::string::npos) << text;
}

TEST(MeshMetrics, AddedLatencyInMicroseconds) {
  MeshMetrics metrics;
  metrics.added_latency(Reporter::kDestination, 42'000);
  const std::string text = text_of(metrics);
  const std::string name = "sallyport_mesh_added_latency_microseconds";
  expect_line(text, name + "_bucket{reporter=\"destination\",le=\"30\"} 0");
  expect_line(text, name + "_bucket{reporter=\"destination\",le=\"50\"} 1");
  expect_line(text, name + "_sum{reporter=\"destination\"} 42");
  expect_line(text, name + "_count{reporter=\"source\"} 0");
}

TEST(MeshMetrics, FactsOfProcessesMerge) {
  const NamedCount limits[] = {{"header_bytes", 2}, {"rapid_reset", 0}};
  const CertificateFacts early[] = {{"spiffe://cluster.local/ns/a/sa/b", 1000}};
  const CertificateFacts late[] = {{"spiffe://cluster.local/ns/a/sa/b", 2000}};
  Exposition one, two, all;
  for (Exposition* out : {&one, &two, &all}) declare_all(*out);
  render(one, {.limits = limits, .certificates = late, .pods = 2, .generation = 5});
  render(two, {.limits = limits,
               .certificates = early,
               .pods = 3,
               .inbound_connections = 4,
               .generation = 4});
  IstioMetrics::render_build(one, "1.2.3");
  IstioMetrics::render_build(two, "1.2.3");
  ASSERT_TRUE(all.add_text(one.text()).has_value());
  ASSERT_TRUE(all.add_text(two.text()).has_value());
  const std::string text = all.text();
  expect_line(text, "sallyport_mesh_limit_hits_total{limit=\"header_bytes\"} 4");
  expect_line(text, "sallyport_mesh_limit_hits_total{limit=\"rapid_reset\"} 0");
  expect_line(text,
              "sallyport_mesh_certificate_expiry_timestamp_seconds"
              "{identity=\"spiffe://cluster.local/ns/a/sa/b\"} 1000");
  expect_line(text, "sallyport_mesh_pods 5");
  expect_line(text, "sallyport_mesh_connections{direction=\"inbound\"} 4");
  expect_line(text, "sallyport_mesh_configuration_generation 4");
  expect_line(text, "istio_build{component=\"proxy\",tag=\"1.2.3\"} 1");
  EXPECT_EQ(promtool(text), "");
}

}  // namespace
}  // namespace sallyport::telemetry
