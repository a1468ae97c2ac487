// The control channel between the node and one proxy process: a SOCK_SEQPACKET Unix socketpair.
// Every message is a small JSON object (below 64 KiB) with file descriptors beside it (SCM_RIGHTS,
// at most 200); what may be larger travels as a sealed memfd. Both sides use these types; neither
// blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::mesh {

// --- node to proxy ---------------------------------------------------------------------------

// fds: one memfd with mesh::encode(ProxyConfig).
struct ConfigMessage {
  uint64_t generation = 0;
  Fd content;
};

// A pod that the process serves from now on. fds: the four listeners.
struct PodMessage {
  std::string uid;
  Fd outbound4, outbound6, inbound4, inbound6;
};
struct PodGoneMessage {
  std::string uid;
};

// Ready-made sockets inside a pod's network namespace, unbound, non-blocking.
enum class SocketKind : uint8_t {
  kOutbound = 0,  // marked so that the pod's own redirection lets it pass
  kToApp = 1,     // transparent and marked: binds a client's address, reaches the pod's own address
};
struct SocketsMessage {
  std::string uid;
  SocketKind kind = SocketKind::kOutbound;
  Family family = Family::kV4;
  std::vector<Fd> sockets;
};

// fds: one memfd with JSON: {"id","chain":[base64 DER, leaf first],"key":base64 PKCS#8,
// "notBefore","notAfter" (seconds),"roots":{"TRUST_DOMAIN":[base64 DER]}}.
struct SvidMessage {
  std::string id;  // SPIFFE ID
  Fd content;
};

// Answered by MetricsAnswer / StatusAnswer with the same number.
struct MetricsRequest {
  uint64_t number = 0;
};
struct StatusRequest {
  uint64_t number = 0;
};
// fds: the file that access log lines go to; none: no access log.
struct AccessLogMessage {
  Fd file;
};
// fds: the memfd of a telemetry::FlowRing that the process writes (one per worker).
struct FlowRingMessage {
  int worker = 0;
  Fd ring;
};

using ToProxy = std::variant<ConfigMessage, PodMessage, PodGoneMessage, SocketsMessage, SvidMessage,
                             MetricsRequest, StatusRequest, AccessLogMessage, FlowRingMessage>;

// --- proxy to node ---------------------------------------------------------------------------

struct ReadyMessage {
  uint64_t generation = 0;  // this configuration is in force
};
// The configuration was refused; the last good one stays in force.
struct RefusedMessage {
  uint64_t generation = 0;
  std::string why;
};
struct NeedSockets {
  std::string uid;
  SocketKind kind = SocketKind::kOutbound;
  Family family = Family::kV4;
  int count = 0;
};
struct MetricsAnswer {
  uint64_t number = 0;
  Fd content;  // memfd with Prometheus text
};
struct StatusAnswer {
  uint64_t number = 0;
  Fd content;  // memfd with JSON: per pod open connections and so on
};

// A process outlives the node that started it. To the next node that attaches it tells what it
// still serves: one for each pod, with the listeners, then AttachedMessage.
struct ServingMessage {
  std::string uid;
  Fd outbound4, outbound6, inbound4, inbound6;
};
struct AttachedMessage {
  uint64_t generation = 0;  // in force; the next must be newer
  int schema = 0;           // kConfigSchema of the process
};

using ToNode = std::variant<ReadyMessage, RefusedMessage, NeedSockets, MetricsAnswer, StatusAnswer,
                            ServingMessage, AttachedMessage>;

// The two ends of a new channel, close-on-exec and non-blocking.
Result<std::pair<Fd, Fd>> make_channel();

// Closes what it holds. Not thread-safe.
class Channel {
 public:
  explicit Channel(Fd socket) : socket_(std::move(socket)) {}
  [[nodiscard]] int fd() const { return socket_.get(); }

  // kUnavailable: the other side reads too slowly (try again when writable); kNotFound: it is gone.
  Status send(const ToProxy& message);
  Status send(const ToNode& message);
  // kUnavailable: nothing there. kNotFound: the other side is gone. kInvalid: not a message.
  Result<ToProxy> receive_to_proxy();
  Result<ToNode> receive_to_node();

 private:
  Fd socket_;
};

// A sealed memfd with the content, and its whole content back (at most `most` bytes, else
// kExhausted; kInvalid: no sealed memfd).
Result<Fd> to_memfd(std::string_view content, const char* name);
Result<std::string> from_memfd(const Fd& fd, size_t most);

}  // namespace sallyport::mesh
