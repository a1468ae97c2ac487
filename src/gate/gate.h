// Gate 1: NetworkPolicy in the kernel. The gate knows endpoints (which address is behind which
// interface), compiled policy and a kernel; never how pods are run.
//
// Life: open() once per run: loads or takes over the pinned program, tables and links of the run's
// bpffs directory. publish() for each new snapshot: builds a complete set of inner tables in the
// spare slot and switches one word. Nothing is ever half-applied: on any error the old generation
// stays in force and the error says what to raise or mend.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "policy/compiled.h"

namespace sallyport::gate {

inline constexpr int kLayoutVersion = 2;  // of the pinned maps and links

// Where an endpoint is wired. Anti-spoofing: packets from `ifindex` must carry one of the
// endpoint's addresses, and the addresses come from nowhere else.
struct EndpointPort {
  uint32_t endpoint_id = 0;
  int ifindex = 0;  // the node's side of the pod's veth
};

// On which TCP ports of an endpoint the kernel demands that connections begin as TLS, whatever
// proxy or pod do. One row speaks about one port; the row with port 0 speaks about every port of
// the endpoint that has no row of its own. A port without any row is not demanded.
//
// So "STRICT, but 9000 is PERMISSIVE and 15020 is excluded" is
//   {7, 0, true, "inference/default"}, {7, 9000, false, ""}, {7, 15020, false, ""}
// and "PERMISSIVE, but 8443 is STRICT" is {7, 8443, true, "inference/server"}.
struct TlsDemand {
  uint32_t endpoint_id = 0;
  uint16_t port = 0;  // of the pod; 0: all ports without a row of their own
  bool demanded = true;
  std::string policy;  // "namespace/name" of the PeerAuthentication, at most 319 bytes; for events
};

// What the gate has seen of how a TCP connection began.
enum class TlsState : uint8_t {
  kUnknown = 0,      // no payload yet, or no TCP
  kClientHello = 1,  // the initiator began with a ClientHello, the responder is silent yet
  kTls = 2,          // ... and the responder answered with a ServerHello or an alert
  kPlaintext = 3     // anything else
};
std::string_view tls_text(TlsState state);  // "unknown", "client hello", "tls", "plaintext"

struct GateConfig {
  std::string pin_dir;            // an existing directory on a bpffs, of this run alone
  int netns_fd = -1;              // the node's network namespace: links attach in it
  std::vector<Cidr> pod_ranges;   // addresses in it that are not endpoints: default deny
  std::vector<Cidr> node_ranges;  // Service ranges etc. that no pod may use as its source
  std::vector<Ip> node_addresses;
  struct NodePort {
    uint8_t protocol = 6;
    uint16_t port = 0;
  };
  std::vector<NodePort> node_ports;  // what the node offers to pods (LOCAL_IN)
  uint32_t max_connections = 262144;
  uint32_t max_connections_per_endpoint = 65536;
  uint32_t max_endpoints = 65536;
};

// What decided a packet or connection; matches enum sp_reason in gate/bpf/decision.h.
struct FlowEvent {
  enum class Kind : uint8_t { kNew = 1, kDenied = 2, kClosed = 3, kRevoked = 4 };
  Kind kind = Kind::kNew;
  uint64_t time_ns = 0;  // CLOCK_BOOTTIME or MONOTONIC of the kernel; converted to wall by events.h
  Ip source, destination;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: id in source_port, type<<8|code in dest.
  uint8_t protocol = 0;
  bool local = false;  // LOCAL_IN: to the node itself
  bool allow = false;
  uint8_t reason = 0;                                      // sp_reason
  uint32_t source_endpoint = 0, destination_endpoint = 0;  // 0: none
  policy::RuleId egress_rule = 0, ingress_rule = 0;
  uint64_t generation = 0;
  uint64_t packets[2] = {0, 0};  // by direction: from the initiator, back to it
  uint64_t bytes[2] = {0, 0};
  uint32_t repeats = 1;  // denied packets of the tuple that this event stands for
  int ifindex = 0;       // where it came in
  TlsState tls = TlsState::kUnknown;
  // The PeerAuthentication: in events, because of which it was denied, in one event of a
  // connection; in rows of the connection table, the one that demands TLS of it.
  std::string tls_policy;
};

struct GateStats {
  uint64_t generation = 0;
  uint64_t connections = 0, connections_limit = 0;
  uint64_t endpoints = 0, endpoints_limit = 0;
  uint64_t cidrs = 0, programs = 0, pairs = 0, pieces = 0;
  uint64_t tls_rows = 0;  // ports, or "all others" of an endpoint, that have a row about TLS
  uint64_t events_lost = 0;
  uint64_t connection_overflows = 0;  // new connections denied because a table or quota was full
  uint64_t last_publish_micros = 0;   // build and switch
  std::unordered_map<uint32_t, uint64_t> connections_of;  // endpoint id -> entries
  struct RuleCount {
    uint64_t verdicts = 0, packets = 0, bytes = 0;
  };
  std::unordered_map<policy::RuleId, RuleCount> rules;
  std::unordered_map<uint8_t, uint64_t> drops;  // sp_reason -> packets
};

struct Connection {  // one row of the connection table
  FlowEvent flow;    // kind kNew; counters so far
  uint64_t last_seen_ns = 0;
};

class Gate {
 public:
  virtual ~Gate() = default;

  // Returns the generation that is now in force: monotonic over the whole life of the pins.
  // `tls`: the ports that demand TLS, of this generation like everything else; rows about endpoints
  // that `compiled` does not have are left out. kInvalid: two rows of one port, endpoint 0, or a
  // demand without a (short enough) name.
  virtual Result<uint64_t> publish(const policy::Compiled& compiled,
                                   const std::vector<EndpointPort>& ports,
                                   const std::vector<TlsDemand>& tls = {}) = 0;

  // Attaches or detaches the links; the tables stay. For tests, benchmarks and removal.
  virtual Status attach() = 0;
  virtual Status detach() = 0;

  // Readable when events wait; then drain_events(). Lost events are counted in stats().
  [[nodiscard]] virtual int event_fd() const = 0;
  virtual void drain_events(const std::function<void(const FlowEvent&)>& sink) = 0;

  virtual Result<GateStats> stats() = 0;
  virtual Result<std::vector<Connection>> connections(size_t most) = 0;
  virtual void forget_endpoint(uint32_t endpoint_id) = 0;  // drops its connections

  // Unpins everything: enforcement ends. `down` calls it last.
  virtual Status remove() = 0;
};

// Takes over what is pinned in pin_dir where the layout version agrees (kConflict names both
// versions where it does not), else loads and pins afresh. Attached on return; until the first
// publish() everything in pod_ranges is denied.
Result<std::unique_ptr<Gate>> open_gate(const GateConfig& config);

std::string_view reason_text(uint8_t reason);  // "policy", "spoofed source", "no connection", ...

}  // namespace sallyport::gate
