#include "telemetry/istio_metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "telemetry/mesh_metrics.h"
#include "telemetry/testing_promtool.h"

namespace sallyport::telemetry {
namespace {

SeriesLabels example() {
  SeriesLabels out;
  out.reporter = Reporter::kDestination;
  out.source = make_party("api-gateway", "gateway", "spiffe://cluster.local/ns/api-gateway/sa/gw",
                          {{"app", "gateway"}, {"version", "v3"}});
  out.destination =
      make_party("inference", "model-server", "spiffe://cluster.local/ns/inference/sa/model",
                 {{"app.kubernetes.io/name", "model"}});
  out.service = "model.inference.svc.cluster.local";
  out.service_name = "model";
  out.service_namespace = "inference";
  out.security = SecurityPolicy::kMutualTls;
  return out;
}

std::string text_of(const IstioMetrics& metrics) {
  Exposition out;
  IstioMetrics::declare(out);
  metrics.render(out);
  return out.text();
}

// Names, labels and their order are an interface: dashboards and alerts of others rely on them.
TEST(IstioMetrics, HasIstiosNamesLabelsAndOrder) {
  IstioMetrics metrics;
  metrics.http(example()).record(
      {.code = 200, .duration_ns = 7'000'000, .request_bytes = 100, .response_bytes = 3000});
  const std::string text = text_of(metrics);
  const std::string labels =
      "{reporter=\"destination\",source_workload=\"gateway\",source_canonical_service=\"gateway\","
      "source_canonical_revision=\"v3\",source_workload_namespace=\"api-gateway\","
      "source_principal=\"spiffe://cluster.local/ns/api-gateway/sa/gw\",source_app=\"gateway\","
      "source_version=\"v3\",source_cluster=\"Kubernetes\",destination_workload=\"model-server\","
      "destination_workload_namespace=\"inference\","
      "destination_principal=\"spiffe://cluster.local/ns/inference/sa/model\","
      "destination_app=\"model\",destination_version=\"unknown\","
      "destination_service=\"model.inference.svc.cluster.local\","
      "destination_canonical_service=\"model\",destination_canonical_revision=\"latest\","
      "destination_service_name=\"model\",destination_service_namespace=\"inference\","
      "destination_cluster=\"Kubernetes\",request_protocol=\"http\",response_code=\"200\","
      "grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"mutual_tls\"";
  EXPECT_NE(text.find("\nistio_requests_total" + labels + "} 1\n"), std::string::npos) << text;
  const auto bucket = [&](const char* name, const char* le, int count) {
    const std::string line = std::string("\n") + name + "_bucket" + labels + ",le=\"" + le +
                             "\"} " + std::to_string(count) + "\n";
    EXPECT_NE(text.find(line), std::string::npos) << line;
  };
  bucket("istio_request_duration_milliseconds", "5", 0);
  bucket("istio_request_duration_milliseconds", "10", 1);
  bucket("istio_request_duration_milliseconds", "3600000", 1);
  bucket("istio_request_bytes", "50", 0);
  bucket("istio_request_bytes", "100", 1);  // inclusive
  bucket("istio_response_bytes", "2500", 0);
  bucket("istio_response_bytes", "5000", 1);
  for (const char* le : {"0.5",   "1",      "5",      "10",      "25",      "50",    "100",
                         "250",   "500",    "1000",   "2500",    "5000",    "10000", "30000",
                         "60000", "300000", "600000", "1800000", "3600000", "+Inf"}) {
    EXPECT_NE(text.find(std::string("le=\"") + le + "\"}"), std::string::npos) << le;
  }
  EXPECT_EQ(text.find("messages_total"), std::string::npos);  // not gRPC
  EXPECT_EQ(promtool(text), "");
}

TEST(IstioMetrics, MissingPartsAreUnknown) {
  IstioMetrics metrics;
  SeriesLabels labels;
  labels.service = kPassthrough;
  metrics.http(labels).record({.code = 0, .flag = ResponseFlag::kDownstreamClosed});
  const std::string text = text_of(metrics);
  for (const char* part :
       {"reporter=\"source\"", "source_workload=\"unknown\"", "source_principal=\"unknown\"",
        "source_canonical_revision=\"latest\"", "destination_service=\"PassthroughCluster\"",
        "destination_service_name=\"PassthroughCluster\"", "response_code=\"0\"",
        "response_flags=\"DC\"", "connection_security_policy=\"unknown\"",
        "destination_cluster=\"unknown\""}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

TEST(IstioMetrics, GrpcHasStatusAndMessages) {
  IstioMetrics metrics;
  SeriesLabels labels = example();
  labels.protocol = RequestProtocol::kGrpc;
  metrics.http(labels).record(
      {.code = 200, .grpc_status = 7, .request_messages = 3, .response_messages = 9});
  const std::string text = text_of(metrics);
  EXPECT_NE(text.find("request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"7\""),
            std::string::npos);
  EXPECT_NE(text.find("istio_request_messages_total{"), std::string::npos);
  EXPECT_NE(text.find("mutual_tls\"} 9\n"), std::string::npos);
  EXPECT_EQ(promtool(text), "");
}

TEST(IstioMetrics, TcpCounters) {
  IstioMetrics metrics;
  SeriesLabels labels = example();
  labels.protocol = RequestProtocol::kTcp;
  TcpSeries& series = metrics.tcp(labels);
  series.opened();
  series.opened();
  series.closed();
  series.received(10);
  series.sent(200);
  series.sent(22);
  EXPECT_EQ(&series, &metrics.tcp(labels));
  const std::string text = text_of(metrics);
  const auto has = [&](const std::string& name, const std::string& value) {
    const size_t at = text.find("\n" + name + "{reporter=\"destination\"");
    ASSERT_NE(at, std::string::npos) << name;
    const std::string line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
    EXPECT_TRUE(
        line.ends_with("request_protocol=\"tcp\",response_flags=\"-\",connection_security_policy="
                       "\"mutual_tls\"} " +
                       value))
        << line;
  };
  has("istio_tcp_connections_opened_total", "2");
  has("istio_tcp_connections_closed_total", "1");
  has("istio_tcp_received_bytes_total", "10");
  has("istio_tcp_sent_bytes_total", "222");
  EXPECT_EQ(promtool(text), "");
}

// An application that answers with ever new codes, and clients from ever new places.
TEST(IstioMetrics, SeriesAreBounded) {
  IstioMetrics metrics(4);
  HttpSeries& series = metrics.http(example());
  for (uint16_t code = 100; code < 1000; ++code) series.record({.code = code});
  std::string text = text_of(metrics);
  EXPECT_NE(text.find("response_code=\"unknown\",grpc_response_status=\"\","
                      "response_flags=\"unknown\""),
            std::string::npos);
  uint64_t total = 0;
  size_t lines = 0;
  for (size_t at = 0; (at = text.find("\nistio_requests_total{", at)) != std::string::npos; ++at) {
    const size_t end = text.find('\n', at + 1);
    const size_t space = text.rfind(' ', end);
    total += std::stoull(text.substr(space + 1, end - space - 1));
    ++lines;
  }
  EXPECT_EQ(total, 900u);
  EXPECT_EQ(lines, HttpSeries::kOutcomes + 1);

  for (int i = 0; i < 100; ++i) {
    SeriesLabels labels = example();
    labels.source.workload = "w" + std::to_string(i);
    metrics.http(labels).record({.code = 200});
    labels.protocol = RequestProtocol::kTcp;
    metrics.tcp(labels).opened();
  }
  EXPECT_EQ(metrics.overflowed(), 97u + 96u);
  text = text_of(metrics);
  EXPECT_NE(text.find("source_workload=\"w2\""), std::string::npos);
  EXPECT_EQ(text.find("source_workload=\"w3\",source_canonical_service=\"gateway\","
                      "source_canonical_revision=\"v3\",source_workload_namespace=\"api-gateway\","
                      "source_principal=\"spiffe://cluster.local/ns/api-gateway/sa/gw\","
                      "source_app=\"gateway\",source_version=\"v3\",source_cluster=\"Kubernetes\","
                      "destination_workload=\"model-server\",destination_workload_namespace="
                      "\"inference\",destination_principal=\"spiffe://cluster.local/ns/inference/"
                      "sa/model\",destination_app=\"model\",destination_version=\"unknown\","
                      "destination_service=\"model.inference.svc.cluster.local\",destination_"
                      "canonical_service=\"model\",destination_canonical_revision=\"latest\","
                      "destination_service_name=\"model\",destination_service_namespace="
                      "\"inference\",destination_cluster=\"Kubernetes\",request_protocol=\"http\""),
            std::string::npos);
  EXPECT_EQ(promtool(text), "");
}

TEST(IstioMetrics, CanonicalNamesComeFromLabelsInIstiosOrder) {
  const Party explicit_names = make_party("n", "w", "",
                                          {{"service.istio.io/canonical-name", "c"},
                                           {"service.istio.io/canonical-revision", "r"},
                                           {"app.kubernetes.io/name", "k"},
                                           {"app", "a"},
                                           {"version", "v"}});
  EXPECT_EQ(explicit_names.canonical_service, "c");
  EXPECT_EQ(explicit_names.canonical_revision, "r");
  EXPECT_EQ(explicit_names.app, "a");
  const Party bare = make_party("n", "w", "", {});
  EXPECT_EQ(bare.canonical_service, "w");
  EXPECT_EQ(bare.canonical_revision, "latest");
}

// Rendering while the worker writes and makes series: for ThreadSanitizer.
TEST(IstioMetrics, RendersWhileTheWorkerWrites) {
  IstioMetrics metrics;
  MeshMetrics mesh;
  std::atomic<bool> stop{false};
  std::jthread worker([&] {
    for (int i = 0; i < 20'000; ++i) {
      SeriesLabels labels = example();
      labels.source.workload = "w" + std::to_string(i / 500);
      metrics.http(labels).record({.code = static_cast<uint16_t>(200 + i / 100 % 30),
                                   .duration_ns = static_cast<uint64_t>(i) * 1000});
      mesh.decision(Reporter::kDestination, Verdict::kAllow,
                    "inference/p" + std::to_string(i / 300), i % 3);
      mesh.handshake(HandshakeSide::kServer, HandshakeResult::kOk, 0x11ec);
      mesh.added_latency(Reporter::kSource, static_cast<uint64_t>(i));
    }
    stop = true;
  });
  size_t largest = 0;
  do {
    Exposition out;
    declare_all(out);
    metrics.render(out);
    mesh.render(out);
    largest = std::max(largest, out.text().size());
  } while (!stop);
  EXPECT_GT(largest, 10'000u);
}

}  // namespace
}  // namespace sallyport::telemetry
