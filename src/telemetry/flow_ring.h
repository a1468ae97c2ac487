// Flow records of gate 2 on their way from a proxy's worker to the node: a ring of fixed-size
// records in shared memory, one writer, one reader, no locks and no system calls. A full ring loses
// the new record and counts it. The reader trusts nothing that it finds there.
#pragma once

#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::telemetry {

enum class FlowKind : uint8_t { kRequest = 1, kConnection = 2, kRefused = 3, kClosed = 4 };

// Text is cut to fit and never holds control bytes; shorter text ends with a zero byte.
struct FlowRecord {
  uint64_t time_ns = 0;  // CLOCK_REALTIME
  uint64_t duration_ns = 0;
  uint64_t bytes_received = 0, bytes_sent = 0;
  uint64_t generation = 0;                              // of the configuration that decided
  uint8_t source_ip[16] = {}, destination_ip[16] = {};  // as base/ip.h keeps them
  uint16_t source_port = 0, destination_port = 0;
  uint16_t status = 0;  // HTTP; 0: none
  FlowKind kind = FlowKind::kRequest;
  uint8_t inbound = 0;  // reported by the destination's proxy
  uint8_t allow = 0;
  uint8_t audited = 0;
  uint8_t network_denied = 0;  // gate 1 was asked and refused
  int16_t rule = -1;
  uint16_t tls_version = 0;  // 0x0304; 0: plaintext
  uint16_t cipher = 0;       // IANA number
  uint16_t group = 0;        // IANA number
  uint8_t protocol = 0;      // 0 tcp, 1 http/1, 2 http/2, 3 grpc
  char policy[96] = {};      // "ns/name", mesh or network
  char reason[40] = {};
  char peer[120] = {};  // SPIFFE ID of the other side
  char method[12] = {};
  char path[120] = {};
  char host[64] = {};
};

class FlowRing {
 public:
  static Result<std::unique_ptr<FlowRing>> create(size_t records);  // by the node
  static Result<std::unique_ptr<FlowRing>> open(Fd memfd);          // by the proxy
  virtual ~FlowRing() = default;
  [[nodiscard]] virtual const Fd& fd() const = 0;

  virtual void push(const FlowRecord& record) = 0;  // writer
  virtual bool pop(FlowRecord& record) = 0;         // reader
  [[nodiscard]] virtual uint64_t lost() const = 0;  // since creation
};

}  // namespace sallyport::telemetry
