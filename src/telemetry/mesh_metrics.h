// Gate 2's own metrics, beside Istio's: handshakes, decisions, added latency, certificates, limits.
// One registry per worker: the worker alone writes, any thread renders.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "telemetry/counters.h"
#include "telemetry/exposition.h"
#include "telemetry/istio_metrics.h"

namespace sallyport::telemetry {

enum class HandshakeSide : uint8_t { kClient, kServer };
enum class HandshakeResult : uint8_t {
  kOk,
  kTimeout,
  kClosed,  // the other side went away
  kNoCertificate,
  kUntrusted,  // the chain does not lead to a root of its trust domain
  kExpired,
  kWrongPeer,  // a valid certificate of another identity than the expected one
  kProtocol,   // not TLS 1.3, no common parameters, malformed
  kOther,
};
inline constexpr size_t kHandshakeResults = 9;
std::string_view to_string(HandshakeResult result);

// IANA numbers of the groups that we offer; others count as "other", 0 as "none".
std::string_view group_name(uint16_t iana);

enum class Verdict : uint8_t { kAllow, kDeny, kAudit, kDryRunAllow, kDryRunDeny };
std::string_view to_string(Verdict verdict);

// Microseconds that one proxy added to a request: last input byte read to first output byte
// written, request plus response.
inline constexpr std::array<double, 18> kAddedBounds = {5,    10,   20,    30,    50,     75,
                                                        100,  150,  200,   300,   500,    1000,
                                                        2000, 5000, 10000, 50000, 100000, 1000000};

class MeshMetrics {
 public:
  explicit MeshMetrics(size_t max_decisions = 8192);
  ~MeshMetrics();
  MeshMetrics(const MeshMetrics&) = delete;
  MeshMetrics& operator=(const MeshMetrics&) = delete;

  void handshake(HandshakeSide side, HandshakeResult result, uint16_t group);
  // `policy`: "ns/name", empty where no policy applied; `rule`: its index, -1 for the implicit
  // deny. No memory once the pair was seen. `network`: gate 1 was asked and decided.
  void decision(Reporter where, Verdict verdict, std::string_view policy, int rule,
                bool network = false);
  void added_latency(Reporter where, uint64_t nanoseconds);

  void render(Exposition& out) const;
  static void declare(Exposition& out);

 private:
  struct Decision;
  Counter& decision_counter(Reporter where, Verdict verdict, std::string_view policy, int rule,
                            bool network);

  static constexpr size_t kGroups = 5;
  std::array<Counter, 2 * kHandshakeResults * kGroups> handshakes_;
  std::array<Histogram<kAddedBounds>, 2> added_;
  size_t slots_;  // a power of two, at most half of them used
  size_t used_ = 0;
  size_t max_decisions_;
  std::unique_ptr<std::atomic<Decision*>[]> table_;
  std::unique_ptr<Decision> overflow_;
};

// Values that live elsewhere and are told at rendering.
struct NamedCount {
  std::string_view name;
  uint64_t value = 0;
};
struct CertificateFacts {
  std::string identity;   // SPIFFE ID
  int64_t not_after = 0;  // seconds since the epoch
};
struct ProcessFacts {
  std::span<const NamedCount> limits;  // sallyport_mesh_limit_hits_total{limit=…}
  std::span<const CertificateFacts> certificates;
  uint64_t pods = 0;
  uint64_t inbound_connections = 0, outbound_connections = 0;  // open now
  uint64_t generation = 0;                                     // of the configuration in force
  uint64_t flow_records_lost = 0;
  uint64_t access_log_lines_lost = 0;
  uint64_t memory_bytes = 0, memory_budget_bytes = 0;
};
void render(Exposition& out, const ProcessFacts& facts);

// Declares every family of gate 2, Istio's included, with its way of merging: a node calls this
// before it adds the texts of its proxies.
void declare_all(Exposition& out);

}  // namespace sallyport::telemetry
