// What a worker tells: Istio's metrics and gate 2's own, flow records, access log lines.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "http/limits.h"
#include "proxy/event_loop.h"
#include "proxy/session.h"
#include "proxy/snapshot.h"
#include "proxy/stream.h"
#include "telemetry/access_log.h"
#include "telemetry/flow_ring.h"
#include "telemetry/istio_metrics.h"
#include "telemetry/mesh_metrics.h"

namespace sallyport::proxy {

// Everything that the labels of a series depend on. `source` and `destination` may be null: unknown
// (a plaintext client, an address outside).
struct SeriesOf {
  telemetry::Reporter reporter = telemetry::Reporter::kSource;
  const PodInfo* source = nullptr;
  const PodInfo* destination = nullptr;
  const ServiceInfo* service = nullptr;
  // Inbound: the caller's verified identity where no pod of the snapshot has its address.
  std::string_view source_principal;
  telemetry::RequestProtocol protocol = telemetry::RequestProtocol::kTcp;
  telemetry::SecurityPolicy security = telemetry::SecurityPolicy::kUnknown;
  bool refused = false;  // an unknown address: BlackHoleCluster
};

class Reporting final : private TurnWork {
 public:
  explicit Reporting(EventLoop& loop) : loop_(loop) {}

  // Resolved once per pair of parties and remembered; keep the reference for the connection's life.
  telemetry::HttpSeries& http(const SeriesOf& of);
  telemetry::TcpSeries& tcp(const SeriesOf& of);
  telemetry::MeshMetrics& mesh() { return mesh_; }

  [[nodiscard]] bool flows() const { return ring_ != nullptr; }
  void flow(const telemetry::FlowRecord& record) {
    if (ring_) ring_->push(record);
  }
  // Null: no access log.
  [[nodiscard]] const telemetry::AccessLogFormat* log_format() const {
    return log_ && format_ ? &*format_ : nullptr;
  }
  // Written at the end of the turn.
  void log(const telemetry::LogEntry& entry) {
    if (!log_ || !format_) return;
    log_->append(*format_, entry);
    loop_.at_turn_end(*this);
  }

  void set_ring(std::unique_ptr<telemetry::FlowRing> ring) { ring_ = std::move(ring); }
  void set_log(std::optional<telemetry::AccessLogWriter> log) { log_ = std::move(log); }
  void set_format(const k8s::MeshSettings& settings);

  // Any thread.
  void render(telemetry::Exposition& out) const {
    istio_.render(out);
    mesh_.render(out);
  }
  [[nodiscard]] uint64_t lost_flows() const { return ring_ ? ring_->lost() : 0; }
  [[nodiscard]] uint64_t lost_lines() const { return log_ ? log_->lost() : 0; }

 private:
  struct Key {
    uint64_t source = 0, destination = 0, service = 0, principal = 0;
    uint32_t kinds = 0;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      return (key.source * 3 + key.destination * 5 + key.service * 7 + key.principal * 11) ^
             key.kinds;
    }
  };
  static Key key(const SeriesOf& of);
  static telemetry::SeriesLabels labels(const SeriesOf& of);
  void on_turn() override {
    if (log_ && log_->pending() != 0) log_->flush();
  }

  EventLoop& loop_;
  telemetry::IstioMetrics istio_;
  telemetry::MeshMetrics mesh_;
  std::unordered_map<Key, telemetry::HttpSeries*, Hash> http_;
  std::unordered_map<Key, telemetry::TcpSeries*, Hash> tcp_;
  std::unique_ptr<telemetry::FlowRing> ring_;
  std::optional<telemetry::AccessLogWriter> log_;
  std::optional<telemetry::AccessLogFormat> format_;
};

// Text into a fixed field of a flow record: cut to fit, control bytes as '?'.
template <size_t N>
void put(char (&field)[N], std::string_view text) {
  size_t n = text.size() < N ? text.size() : N;
  for (size_t i = 0; i < n; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    field[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
  }
  if (n < N) field[n] = 0;
}
void put_addresses(telemetry::FlowRecord& record, const SocketAddress& source,
                   const SocketAddress& destination);
void put_tls(telemetry::FlowRecord& record, const TlsFacts* tls);
uint64_t wall_ns(WallTime time);

}  // namespace sallyport::proxy
