// What a request costs in memory: nothing, once its outcome was seen before.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "telemetry/access_log.h"
#include "telemetry/flow_ring.h"
#include "telemetry/istio_metrics.h"
#include "telemetry/mesh_metrics.h"

namespace {
thread_local uint64_t allocations = 0;
}  // namespace

// Replaced for the whole executable; counting is per thread.
void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace sallyport::telemetry {
namespace {

TEST(HotPath, WarmRequestsNeedNoMemory) {
  IstioMetrics istio;
  MeshMetrics mesh;
  auto ring = FlowRing::create(64);
  const auto text = AccessLogFormat::text();
  const auto json = AccessLogFormat::json();
  auto writer = AccessLogWriter::open(Fd(::open("/dev/null", O_WRONLY)));
  ASSERT_TRUE(ring && text && json && writer);
  SeriesLabels labels;
  labels.service = "model.inference.svc.cluster.local";
  HttpSeries& series = istio.http(labels);
  LogEntry entry;
  entry.start = std::chrono::system_clock::now();
  entry.method = "POST";
  entry.path = "/v1/chat/completions\x01\xff\"";
  entry.authority = "model.inference";
  entry.upstream = entry.downstream_remote = {*Ip::parse("fd00::1"), 80, true};
  entry.response_code = 200;
  entry.duration_ns = 5'000'000;
  const auto request = [&](int i) {
    series.record({.code = static_cast<uint16_t>(i % 2 == 0 ? 200 : 403),
                   .duration_ns = static_cast<uint64_t>(i) * 1000,
                   .request_bytes = 100,
                   .response_bytes = 1000});
    mesh.decision(Reporter::kDestination, Verdict::kAllow, "inference/inference-authz", i % 3);
    mesh.added_latency(Reporter::kDestination, 40'000);
    mesh.handshake(HandshakeSide::kServer, HandshakeResult::kOk, 0x11ec);
    (*ring)->push(FlowRecord{});
    writer->append(*text, entry);
    writer->append(*json, entry);
    writer->flush();
  };
  for (int i = 0; i < 6; ++i) request(i);
  const uint64_t before = allocations;
  for (int i = 0; i < 10'000; ++i) request(i);
  EXPECT_EQ(allocations, before);
  // The counter counts.
  const auto made = std::make_unique<int>(1);
  EXPECT_EQ(allocations, before + 1);
}

}  // namespace
}  // namespace sallyport::telemetry
