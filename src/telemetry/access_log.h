// One access log line per request: Istio's default text, Istio's JSON keys, or a format of the
// mesh's own (MeshConfig accessLogFormat), made of Envoy's command operators.
//
// A format is parsed once; making a line costs no memory beyond the buffer that it goes to. Values
// from requests cannot break out of their place: control bytes, quotes, backslashes and bytes above
// 7f are escaped in text (\xNN), and in JSON as JSON asks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::telemetry {

struct LogAddress {
  Ip ip;
  uint16_t port = 0;
  bool set = false;
};

// What is known of a request or connection when it ends. Empty text and negative numbers are
// "none": `-` in text, null in JSON.
struct LogEntry {
  WallTime start;
  int64_t duration_ns = -1;           // first byte in to last byte out
  int64_t request_duration_ns = -1;   // first byte in to last byte of the request in
  int64_t response_duration_ns = -1;  // first byte in to first byte of the answer from upstream
  int64_t upstream_service_ms = -1;   // x-envoy-upstream-service-time
  std::string_view method, path, original_path, authority, protocol;
  int response_code = 0;     // 0 is printed as 0: no answer
  std::string_view flags;    // "-" or Envoy's
  std::string_view details;  // RESPONSE_CODE_DETAILS, names the rule that refused
  std::string_view termination_details, transport_failure;
  uint64_t bytes_received = 0, bytes_sent = 0;
  int grpc_status = -1;
  LogAddress upstream, upstream_local, downstream_local, downstream_remote, downstream_direct;
  std::string_view upstream_cluster, route, server_name;
  std::string_view downstream_peer, downstream_local_id, upstream_peer, upstream_local_id;
  std::string_view downstream_peer_serial;
  std::string_view downstream_tls_version, downstream_tls_cipher;
  std::string_view upstream_tls_version, upstream_tls_cipher;
  std::string_view hostname;
  uint64_t connection_id = 0;

  // Values of the headers that the format names, in the order of request_headers(),
  // response_headers() and response_trailers(); missing ones have a null data pointer. Shorter
  // spans are read as if the rest were missing.
  std::span<const std::string_view> request_headers, response_headers, response_trailers;
};

class AccessLogFormat {
 public:
  // Empty: Istio's default. kInvalid says which operator is wrong and where.
  static Result<AccessLogFormat> text(std::string_view format = {});
  // `json_template`: a JSON object whose strings hold operators; a value that is one operator alone
  // keeps its type. Empty: Istio's default.
  static Result<AccessLogFormat> json(std::string_view json_template = {});

  AccessLogFormat(AccessLogFormat&&) noexcept;
  AccessLogFormat& operator=(AccessLogFormat&&) noexcept;
  ~AccessLogFormat();

  // Headers whose values the caller keeps for the line: lower case, without pseudo-headers.
  [[nodiscard]] const std::vector<std::string>& request_headers() const;
  [[nodiscard]] const std::vector<std::string>& response_headers() const;
  [[nodiscard]] const std::vector<std::string>& response_trailers() const;
  // Operators of Envoy that are accepted and always empty here; worth a warning.
  [[nodiscard]] const std::vector<std::string>& unavailable() const;

  // One line with its end. A value longer than kMaxValue bytes is cut there.
  void append(std::string& out, const LogEntry& entry) const;
  static constexpr size_t kMaxValue = 4096;

 private:
  struct Parsed;
  explicit AccessLogFormat(std::unique_ptr<Parsed> parsed);
  std::unique_ptr<Parsed> parsed_;
};

// A worker's lines on their way to a file: gathered, and written with one write() per loop turn or
// when the buffer is full. Never waits: what the file does not take at once is kept as far as the
// buffer reaches, later lines are dropped and counted. A line is never torn.
class AccessLogWriter {
 public:
  // `file` is opened for appending; a pipe, socket or terminal is made non-blocking here, so it
  // should be a description of its own.
  static Result<AccessLogWriter> open(Fd file, size_t capacity = 256 << 10);

  void append(const AccessLogFormat& format, const LogEntry& entry);
  void flush();  // at the end of a loop turn
  [[nodiscard]] uint64_t lost() const { return lost_; }
  [[nodiscard]] size_t pending() const { return buffer_.size() - begin_; }
  [[nodiscard]] const Fd& file() const { return file_; }

 private:
  AccessLogWriter(Fd file, size_t capacity);

  Fd file_;
  size_t capacity_;
  std::string buffer_;
  size_t begin_ = 0;  // bytes before it were written
  uint64_t lost_ = 0;
};

}  // namespace sallyport::telemetry
