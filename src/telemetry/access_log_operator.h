// Command operators of access log formats (Envoy's %NAME(ARGUMENT):LENGTH%), parsed. Internal to
// telemetry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/access_log.h"

namespace sallyport::telemetry {

enum class Op : uint8_t {
  kLiteral,
  kHeader,  // REQ, RESP, TRAILER: `source`, else `alternative`
  kStartTime,
  kProtocol,
  kResponseCode,
  kResponseFlags,
  kResponseCodeDetails,
  kTerminationDetails,
  kTransportFailure,
  kBytesReceived,
  kBytesSent,
  kDuration,
  kRequestDuration,
  kResponseDuration,
  kResponseTxDuration,
  kAddress,
  kUpstreamCluster,
  kServerName,
  kRoute,
  kPeer,
  kLocalId,
  kUpstreamPeer,
  kUpstreamLocalId,
  kPeerSerial,
  kTlsVersion,
  kTlsCipher,
  kUpstreamTlsVersion,
  kUpstreamTlsCipher,
  kHostname,
  kConnectionId,
  kGrpcStatus,
  kUnavailable,
};

enum class HeaderSource : uint8_t {
  kNone,
  kMethod,
  kPath,
  kOriginalPath,
  kAuthority,
  kStatus,
  kServiceTime,
  kRequestSlot,
  kResponseSlot,
  kTrailerSlot,
};
struct HeaderRef {
  HeaderSource source = HeaderSource::kNone;
  size_t slot = 0;
};

enum class AddressOf : uint8_t { kUpstream, kUpstreamLocal, kLocal, kRemote, kDirect };
enum class AddressPart : uint8_t { kBoth, kIp, kPort };
enum class GrpcForm : uint8_t { kCamel, kSnake, kNumber };

struct Operator {
  Op op = Op::kLiteral;
  std::string text;  // a literal, or the format of START_TIME
  HeaderRef header, alternative;
  AddressOf address = AddressOf::kUpstream;
  AddressPart part = AddressPart::kBoth;
  GrpcForm grpc = GrpcForm::kCamel;
  size_t length = AccessLogFormat::kMaxValue;
};

// Which headers a format needs, and what it names in vain.
struct Needs {
  std::vector<std::string> request, response, trailers;
  std::vector<std::string> unavailable;
};

// `where` begins error texts. Adjacent literals are joined.
Result<std::vector<Operator>> parse_operators(std::string_view format, std::string_view where,
                                              Needs& needs);

// What an operator comes to for one entry. `text` may point into the entry or into `scratch`.
struct OperatorValue {
  enum class Kind : uint8_t { kNone, kText, kNumber } kind = Kind::kNone;
  std::string_view text{};
  int64_t number = 0;
};
struct Scratch {
  char bytes[256];
};
OperatorValue evaluate(const Operator& what, const LogEntry& entry, Scratch& scratch);

// RFC 3339 with milliseconds, or a strftime format with the extensions %f, %1f to %9f and %s.
Status check_time_format(std::string_view format);
std::string_view format_time(std::string_view format, WallTime time, Scratch& scratch);

}  // namespace sallyport::telemetry
