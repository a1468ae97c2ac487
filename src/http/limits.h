// Every limit of gate 2's data plane in one place: value and reason. What crosses a limit is
// counted (Counter) and shown as a metric. Peers inside the mesh are authenticated but not trusted:
// the limits hold for them too.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport::http {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Limits {
  // --- heads -------------------------------------------------------------------------------------
  // Bytes of all names and values of a head as the application would see them, dropped fields and
  // cookie crumbs included: HPACK turns a few bytes into many. Twice what browsers and tokens need.
  size_t head_bytes = 64 << 10;
  size_t head_fields = 100;         // as Envoy and h2o
  size_t method_bytes = 32;         // the longest registered method has 17
  size_t target_bytes = 16 << 10;   // policies' paths are far shorter; longer is an attack
  size_t trailer_bytes = 16 << 10;  // trailers carry a status and a message
  size_t trailer_fields = 32;
  size_t informational = 16;            // 1xx responses before the final one
  size_t chunk_line_bytes = 256;        // a chunk's size with its extensions, which are ignored
  size_t chunk_extension_bytes = 8192;  // of one message: extensions cost us, not the sender

  // --- times -------------------------------------------------------------------------------------
  seconds head_time{10};      // from a head's first byte to its last: slow clients hold memory
  seconds handshake_time{5};  // TLS, and the ClientHello before it
  seconds idle_mesh{3600};    // a connection between proxies without a stream
  seconds idle_plain{300};    // a connection of a client or to an application without a request
  seconds stream_idle{3600};  // no byte of a stream in either direction; token streams pause
  seconds write_stall{60};    // bytes wait, and the peer takes none: a slow reader
  seconds connect_time{10};   // TCP connect of the second leg
  seconds settings_ack{10};   // an HTTP/2 peer that never acknowledges our SETTINGS
  seconds ping_interval{10};  // between proxies: a pod's network can vanish without a FIN
  seconds ping_timeout{20};
  seconds drain_time{30};       // after GOAWAY or `connection: close`
  milliseconds sniff_time{50};  // first bytes of an undeclared port

  // --- TLS entry ---------------------------------------------------------------------------------
  size_t client_hello_bytes = 16 << 10;  // with ML-KEM one has 1.5 KiB; extensions may grow

  // --- HTTP/2 ------------------------------------------------------------------------------------
  uint32_t streams_at_start = 100;  // concurrent streams offered to a peer
  uint32_t streams_most = 1000;     // ... offered to a proxy of the mesh
  uint32_t streams_per_turn = 16;   // new streams handled in one loop turn: others get their turn
  uint32_t stream_window = 256 << 10;
  uint32_t connection_window =
      4 << 20;                      // more than a stream's: one stalled stream must not stop all
  uint32_t frame_bytes = 16 << 10;  // the least allowed, and the largest TLS record
  uint32_t hpack_table_bytes = 4096;
  // Rapid reset (CVE-2023-44487): a stream reset by the peer within reset_early of its start
  // counts; with at least reset_least of them and more than reset_percent of all streams the
  // connection goes. Beside that a bucket of tokens for RST_STREAM of any kind.
  uint32_t reset_least = 500;
  uint32_t reset_percent = 50;
  seconds reset_early{1};
  uint32_t reset_burst = 1000, reset_per_second = 33;  // nghttp2's numbers
  uint32_t continuations = 8;      // frames of one header block (CVE-2024-27316 and its kin)
  uint32_t settings_entries = 32;  // of one SETTINGS frame
  // PING, SETTINGS and RST_STREAM answers waiting to be sent: a peer that asks and never reads.
  uint32_t control_queued = 1000;
  uint32_t control_burst = 1000, control_per_second = 100;  // PING, SETTINGS, GOAWAY received
  uint32_t empty_frames = 1;           // consecutive DATA or CONTINUATION without bytes or an end
  uint32_t priority_per_stream = 100;  // PRIORITY frames against 100 * (streams + 1)
  // WINDOW_UPDATE frames against 5 + 2 * (streams + 10 * DATA frames sent); as Envoy.
  uint32_t window_updates_base = 5, window_updates_streams = 2, window_updates_data = 10;
  // Anything odd but legal counts as a glitch: at three quarters of the burst the connection is
  // drained, at the burst it is cut; HAProxy's two steps.
  uint32_t glitch_burst = 10000, glitch_per_second = 330;
  // DATA frames under tiny_data bytes that wait unread, each accounted as tiny_data bytes, against
  // half the connection's window: token streams send small frames all day, unread ones are a flood.
  uint32_t tiny_data = 256;

  // --- memory ------------------------------------------------------------------------------------
  size_t write_high = 256 << 10;  // unsent bytes of a stream or connection: stop reading its source
  size_t write_low = 64 << 10;    // ... and go on
  size_t read_chunk = 16 << 10;   // one read: a TLS record
  size_t pipelined_bytes = 64 << 10;  // read ahead of a request that is still being answered
  // Of buffers in one proxy process; --memory-budget. At shrink_percent idle pools are given back,
  // at shed_percent new requests get 503 with retry-after and new connections are refused.
  size_t memory_budget = size_t{512} << 20;
  unsigned shrink_percent = 90, shed_percent = 95;

  // --- connections -------------------------------------------------------------------------------
  size_t connections = 20000;     // of one proxy process; its descriptors are bounded as well
  size_t pool_connections = 256;  // HTTP/1 connections to one destination from one source
  size_t pool_waiting = 1024;     // requests that wait for one of them
};

// What was refused, cut or limited, one for each limit above and for each class of malformed input.
enum class Counter : uint8_t {
  kHeadBytes,
  kHeadFields,
  kTargetBytes,
  kTrailerBytes,
  kInformational,
  kChunkLine,
  kHeadTime,
  kHandshakeTime,
  kIdleTime,
  kStreamIdle,
  kWriteStall,
  kConnectTime,
  kSettingsAck,
  kPingTimeout,
  kClientHelloBytes,
  kClientHelloMalformed,
  kStreams,
  kStreamsPerTurn,
  kRapidReset,
  kResetRate,
  kContinuations,
  kSettingsEntries,
  kControlQueued,
  kControlRate,
  kEmptyFrames,
  kPriority,
  kWindowUpdates,
  kGlitchDrain,
  kGlitches,
  kTinyData,
  kMemoryBudget,
  kConnections,
  kPoolWaiting,
  kMalformedLine,     // request or status line
  kMalformedField,    // name, value, folding, line end
  kMalformedHost,     // none, several, or one that contradicts the target
  kMalformedFraming,  // Content-Length and Transfer-Encoding
  kMalformedChunk,
  kMethodRefused,  // CONNECT, TRACE with a body and the like
  kVersionRefused,
  kHttp2Protocol,  // a connection error found by the HTTP/2 layer
  kHttp2Message,   // a malformed message on one stream
  kBodyShort,      // the connection ended before the body did
  kCount,
};
inline constexpr size_t kCounters = static_cast<size_t>(Counter::kCount);

// "head_bytes", "rapid_reset", ...: the label `limit` of sallyport_proxy_limit_total.
std::string_view to_string(Counter counter);

struct Counters {
  std::array<uint64_t, kCounters> values{};
  void add(Counter counter) { ++values[static_cast<size_t>(counter)]; }
  [[nodiscard]] uint64_t get(Counter counter) const { return values[static_cast<size_t>(counter)]; }
};

}  // namespace sallyport::http
