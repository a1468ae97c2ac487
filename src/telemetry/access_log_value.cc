#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

#include "telemetry/access_log_operator.h"

namespace sallyport::telemetry {
namespace {

using Kind = OperatorValue::Kind;

OperatorValue text_value(std::string_view text) {
  if (text.empty()) return {};
  return {.kind = Kind::kText, .text = text};
}
OperatorValue number_value(int64_t number) {
  if (number < 0) return {};
  return {.kind = Kind::kNumber, .number = number};
}
OperatorValue milliseconds(int64_t ns) {
  return number_value(ns < 0 ? -1 : ns / 1'000'000);
}

OperatorValue number_text(int64_t number, Scratch& scratch) {
  const auto end = std::to_chars(scratch.bytes, scratch.bytes + sizeof(scratch.bytes), number);
  return text_value({scratch.bytes, static_cast<size_t>(end.ptr - scratch.bytes)});
}

OperatorValue slot_value(std::span<const std::string_view> values, size_t slot) {
  if (slot >= values.size()) return {};
  return text_value(values[slot]);
}

OperatorValue header_value(const HeaderRef& ref, const LogEntry& entry, Scratch& scratch) {
  switch (ref.source) {
    case HeaderSource::kNone:
      return {};
    case HeaderSource::kMethod:
      return text_value(entry.method);
    case HeaderSource::kPath:
      return text_value(entry.path);
    case HeaderSource::kOriginalPath:
      return text_value(entry.original_path);
    case HeaderSource::kAuthority:
      return text_value(entry.authority);
    case HeaderSource::kStatus:
      return entry.response_code == 0 ? OperatorValue{} : number_text(entry.response_code, scratch);
    case HeaderSource::kServiceTime:
      return entry.upstream_service_ms < 0 ? OperatorValue{}
                                           : number_text(entry.upstream_service_ms, scratch);
    case HeaderSource::kRequestSlot:
      return slot_value(entry.request_headers, ref.slot);
    case HeaderSource::kResponseSlot:
      return slot_value(entry.response_headers, ref.slot);
    case HeaderSource::kTrailerSlot:
      return slot_value(entry.response_trailers, ref.slot);
  }
  return {};
}

const LogAddress& address_of(AddressOf which, const LogEntry& entry) {
  switch (which) {
    case AddressOf::kUpstream:
      return entry.upstream;
    case AddressOf::kUpstreamLocal:
      return entry.upstream_local;
    case AddressOf::kLocal:
      return entry.downstream_local;
    case AddressOf::kRemote:
      return entry.downstream_remote;
    case AddressOf::kDirect:
      return entry.downstream_direct;
  }
  return entry.upstream;
}

OperatorValue address_value(const LogAddress& address, AddressPart part, Scratch& scratch) {
  if (!address.set) return {};
  if (part == AddressPart::kPort) return number_value(address.port);
  char* out = scratch.bytes;
  const bool v4 = address.ip.family() == Family::kV4;
  const bool brackets = !v4 && part == AddressPart::kBoth;
  if (brackets) *out++ = '[';
  const void* raw = v4 ? address.ip.bytes.data() + 12 : address.ip.bytes.data();
  if (inet_ntop(v4 ? AF_INET : AF_INET6, raw, out, INET6_ADDRSTRLEN) == nullptr) return {};
  out += std::strlen(out);
  if (brackets) *out++ = ']';
  if (part == AddressPart::kBoth) {
    *out++ = ':';
    out = std::to_chars(out, scratch.bytes + sizeof(scratch.bytes), address.port).ptr;
  }
  return text_value({scratch.bytes, static_cast<size_t>(out - scratch.bytes)});
}

struct GrpcName {
  std::string_view camel, snake;
};
constexpr GrpcName kGrpcNames[] = {
    {"OK", "OK"},
    {"Canceled", "CANCELLED"},
    {"Unknown", "UNKNOWN"},
    {"InvalidArgument", "INVALID_ARGUMENT"},
    {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
    {"NotFound", "NOT_FOUND"},
    {"AlreadyExists", "ALREADY_EXISTS"},
    {"PermissionDenied", "PERMISSION_DENIED"},
    {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
    {"FailedPrecondition", "FAILED_PRECONDITION"},
    {"Aborted", "ABORTED"},
    {"OutOfRange", "OUT_OF_RANGE"},
    {"Unimplemented", "UNIMPLEMENTED"},
    {"Internal", "INTERNAL"},
    {"Unavailable", "UNAVAILABLE"},
    {"DataLoss", "DATA_LOSS"},
    {"Unauthenticated", "UNAUTHENTICATED"},
};

OperatorValue grpc_value(int status, GrpcForm form, Scratch& scratch) {
  if (status < 0) return {};
  if (form == GrpcForm::kNumber) return number_value(status);
  if (static_cast<size_t>(status) >= std::size(kGrpcNames)) return number_text(status, scratch);
  const GrpcName& name = kGrpcNames[static_cast<size_t>(status)];
  return text_value(form == GrpcForm::kCamel ? name.camel : name.snake);
}

// Conversions of strftime that need no more than the time itself.
constexpr std::string_view kPlainConversions = "YCymdeHIMSTFDRjabABhpuwGgVUWzZnt%";

}  // namespace

Status check_time_format(std::string_view format) {
  if (format.size() > 128) return fail(Code::kInvalid, "a time format has at most 128 characters");
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    ++i;
    if (i < format.size() && format[i] >= '1' && format[i] <= '9') {
      ++i;
      if (i < format.size() && format[i] == 'f') continue;
      return fail(Code::kInvalid, "expected f after the digit in a time format");
    }
    if (i < format.size() && (format[i] == 's' || format[i] == 'f' ||
                              kPlainConversions.find(format[i]) != std::string_view::npos)) {
      continue;
    }
    return fail(Code::kInvalid, "unknown conversion in a time format");
  }
  return {};
}

std::string_view format_time(std::string_view format, WallTime time, Scratch& scratch) {
  if (format.empty()) format = "%Y-%m-%dT%H:%M:%S.%3fZ";
  const int64_t ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  const time_t seconds = ns / 1'000'000'000 - (ns % 1'000'000'000 < 0 ? 1 : 0);
  const int64_t fraction = ns - seconds * 1'000'000'000;
  struct tm parts{};
  gmtime_r(&seconds, &parts);
  char* out = scratch.bytes;
  char* const end = scratch.bytes + sizeof(scratch.bytes);
  for (size_t i = 0; i < format.size() && end - out > 32; ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      *out++ = format[i];
      continue;
    }
    char conversion = format[++i];
    int digits = 9;
    if (conversion >= '1' && conversion <= '9' && i + 1 < format.size()) {
      digits = conversion - '0';
      conversion = format[++i];
    }
    if (conversion == 's') {
      out = std::to_chars(out, end, static_cast<int64_t>(seconds)).ptr;
    } else if (conversion == 'f') {
      int64_t left = fraction;
      for (int64_t unit = 100'000'000; digits > 0; --digits, unit /= 10) {
        *out++ = static_cast<char>('0' + left / unit);
        left %= unit;
      }
    } else {
      const char pattern[3] = {'%', conversion, '\0'};
      out += std::strftime(out, static_cast<size_t>(end - out), pattern, &parts);
    }
  }
  return {scratch.bytes, static_cast<size_t>(out - scratch.bytes)};
}

OperatorValue evaluate(const Operator& what, const LogEntry& entry, Scratch& scratch) {
  OperatorValue value;
  switch (what.op) {
    case Op::kLiteral:
      value = text_value(what.text);
      break;
    case Op::kHeader:
      value = header_value(what.header, entry, scratch);
      if (value.kind == Kind::kNone) value = header_value(what.alternative, entry, scratch);
      break;
    case Op::kStartTime:
      value = text_value(format_time(what.text, entry.start, scratch));
      break;
    case Op::kProtocol:
      value = text_value(entry.protocol);
      break;
    case Op::kResponseCode:
      value = number_value(entry.response_code);
      break;
    case Op::kResponseFlags:
      value = text_value(entry.flags.empty() ? "-" : entry.flags);
      break;
    case Op::kResponseCodeDetails:
      value = text_value(entry.details);
      break;
    case Op::kTerminationDetails:
      value = text_value(entry.termination_details);
      break;
    case Op::kTransportFailure:
      value = text_value(entry.transport_failure);
      break;
    case Op::kBytesReceived:
      value = number_value(static_cast<int64_t>(entry.bytes_received));
      break;
    case Op::kBytesSent:
      value = number_value(static_cast<int64_t>(entry.bytes_sent));
      break;
    case Op::kDuration:
      value = milliseconds(entry.duration_ns);
      break;
    case Op::kRequestDuration:
      value = milliseconds(entry.request_duration_ns);
      break;
    case Op::kResponseDuration:
      value = milliseconds(entry.response_duration_ns);
      break;
    case Op::kResponseTxDuration:
      if (entry.response_duration_ns >= 0) {
        value = milliseconds(entry.duration_ns - entry.response_duration_ns);
      }
      break;
    case Op::kAddress:
      value = address_value(address_of(what.address, entry), what.part, scratch);
      break;
    case Op::kUpstreamCluster:
      value = text_value(entry.upstream_cluster);
      break;
    case Op::kServerName:
      value = text_value(entry.server_name);
      break;
    case Op::kRoute:
      value = text_value(entry.route);
      break;
    case Op::kPeer:
      value = text_value(entry.downstream_peer);
      break;
    case Op::kLocalId:
      value = text_value(entry.downstream_local_id);
      break;
    case Op::kUpstreamPeer:
      value = text_value(entry.upstream_peer);
      break;
    case Op::kUpstreamLocalId:
      value = text_value(entry.upstream_local_id);
      break;
    case Op::kPeerSerial:
      value = text_value(entry.downstream_peer_serial);
      break;
    case Op::kTlsVersion:
      value = text_value(entry.downstream_tls_version);
      break;
    case Op::kTlsCipher:
      value = text_value(entry.downstream_tls_cipher);
      break;
    case Op::kUpstreamTlsVersion:
      value = text_value(entry.upstream_tls_version);
      break;
    case Op::kUpstreamTlsCipher:
      value = text_value(entry.upstream_tls_cipher);
      break;
    case Op::kHostname:
      value = text_value(entry.hostname);
      break;
    case Op::kConnectionId:
      value = number_value(static_cast<int64_t>(entry.connection_id));
      break;
    case Op::kGrpcStatus:
      value = grpc_value(entry.grpc_status, what.grpc, scratch);
      break;
    case Op::kUnavailable:
      break;
  }
  if (value.kind == Kind::kText && what.op != Op::kLiteral && value.text.size() > what.length) {
    value.text = value.text.substr(0, what.length);
  }
  return value;
}

}  // namespace sallyport::telemetry
