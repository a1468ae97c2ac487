// Istio's standard metrics: names, labels, their order and the buckets are Istio's, so that its
// dashboards work unchanged. One registry per worker: the worker alone writes, any thread renders.
//
// A series is resolved once for a pair of parties and kept by the connection; a request then costs
// a short search and a few additions, and no memory once its outcome was seen before. No label
// comes from request data: parties and Services come from the configuration, outcomes from small
// sets.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "telemetry/counters.h"
#include "telemetry/exposition.h"

namespace sallyport::telemetry {

enum class Reporter : uint8_t { kSource, kDestination };
enum class RequestProtocol : uint8_t { kHttp, kGrpc, kTcp };
// At the source always kUnknown, as Istio reports it.
enum class SecurityPolicy : uint8_t { kUnknown, kNone, kMutualTls };

// Envoy's response flags, those that we have a cause for.
enum class ResponseFlag : uint8_t {
  kNone,                   // -
  kUpstreamConnect,        // UF: the connection could not be made
  kUpstreamClosed,         // UC: it broke
  kUpstreamReset,          // UR: the stream was reset by the other side
  kNoHealthyUpstream,      // UH
  kUpstreamOverflow,       // UO
  kNoRoute,                // NR: refused by the network rule or an unknown address
  kDownstreamClosed,       // DC
  kDownstreamProtocol,     // DPE
  kLocalReset,             // LR
  kStreamIdle,             // SI
  kDurationTimeout,        // DT
  kUpstreamTimeout,        // UT
  kInvalidHeader,          // IH
  kOverload,               // OM
  kUnauthorizedExternal,   // UAEX
  kDownstreamRemoteReset,  // DR
};
inline constexpr size_t kResponseFlags = 17;
std::string_view to_string(ResponseFlag flag);  // "-" for kNone

// One side of a connection. Empty members are reported as `unknown` (the revision as `latest`).
struct Party {
  std::string workload, ns;
  std::string principal;  // "spiffe://…"
  std::string app, version;
  std::string canonical_service, canonical_revision;
  std::string cluster;
  bool operator==(const Party&) const = default;
};
// Fills app, version and the canonical names from a pod's labels as Istio does; the canonical
// service falls back to the workload's name.
Party make_party(std::string_view ns, std::string_view workload, std::string_view principal,
                 const std::map<std::string, std::string>& labels);

// Where the destination is not a known Service.
inline constexpr std::string_view kPassthrough = "PassthroughCluster";
inline constexpr std::string_view kBlackHole = "BlackHoleCluster";
inline constexpr std::string_view kInboundPassthrough = "InboundPassthroughCluster";

struct SeriesLabels {
  Reporter reporter = Reporter::kSource;
  Party source, destination;
  std::string service;  // host of a known Service ("a.ns.svc.cluster.local") or one of the above
  std::string service_name, service_namespace;
  RequestProtocol protocol = RequestProtocol::kHttp;
  SecurityPolicy security = SecurityPolicy::kUnknown;
};

// What one request came to.
struct RequestReport {
  uint16_t code = 0;         // 0: the client went away before an answer
  int16_t grpc_status = -1;  // -1: not gRPC
  ResponseFlag flag = ResponseFlag::kNone;
  uint64_t duration_ns = 0;
  uint64_t request_bytes = 0, response_bytes = 0;  // bodies
  uint64_t request_messages = 0, response_messages = 0;
};

// Envoy's default buckets: milliseconds and bytes alike.
inline constexpr std::array<double, 19> kIstioBounds = {
    0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
    2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

class HttpSeries {
 public:
  explicit HttpSeries(std::string labels);
  ~HttpSeries();
  HttpSeries(const HttpSeries&) = delete;
  HttpSeries& operator=(const HttpSeries&) = delete;
  void record(const RequestReport& report);
  void render(Exposition& out) const;

  // Outcomes beyond this number are counted together with response_code "unknown".
  static constexpr size_t kOutcomes = 48;

 private:
  struct Outcome;
  Outcome& outcome(const RequestReport& report);

  std::string labels_;  // all but the last of Istio's order that depend on the outcome
  std::array<std::atomic<Outcome*>, kOutcomes + 1> outcomes_{};
  std::atomic<size_t> count_{0};
};

// istio_tcp_*. Bytes are counted while the connection lives: give the difference since last time.
class TcpSeries {
 public:
  explicit TcpSeries(std::string labels) : labels_(std::move(labels)) {}
  void opened() { opened_.add(); }
  void closed() { closed_.add(); }
  void received(uint64_t bytes) { received_.add(bytes); }  // from the client
  void sent(uint64_t bytes) { sent_.add(bytes); }          // to the client
  void render(Exposition& out) const;

 private:
  std::string labels_;
  Counter opened_, closed_, received_, sent_;
};

class IstioMetrics {
 public:
  // At most this many series of each kind; what comes later is counted in one whose labels are all
  // `unknown`, so that totals stay right.
  explicit IstioMetrics(size_t max_series = 4096);
  ~IstioMetrics();
  IstioMetrics(const IstioMetrics&) = delete;
  IstioMetrics& operator=(const IstioMetrics&) = delete;

  // Valid as long as the registry. `labels.protocol` says which of the two is meant.
  HttpSeries& http(const SeriesLabels& labels);
  TcpSeries& tcp(const SeriesLabels& labels);

  // Any thread.
  void render(Exposition& out) const;
  static void declare(Exposition& out);
  // istio_build{component="proxy",tag="VERSION"} 1: once per process.
  static void render_build(Exposition& out, std::string_view version);

  [[nodiscard]] uint64_t overflowed() const { return overflowed_.value(); }

 private:
  template <class Series>
  struct Table;

  std::unique_ptr<Table<HttpSeries>> http_;
  std::unique_ptr<Table<TcpSeries>> tcp_;
  Counter overflowed_;
};

}  // namespace sallyport::telemetry
