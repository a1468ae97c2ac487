#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "telemetry/access_log_operator.h"

namespace sallyport::telemetry {
namespace {

constexpr size_t kMaxFormat = 16 << 10;
constexpr size_t kMaxOperators = 256;
constexpr size_t kMaxHeaders = 64;

struct Simple {
  std::string_view name;
  Op op;
};
constexpr Simple kSimple[] = {
    {"PROTOCOL", Op::kProtocol},
    {"RESPONSE_CODE", Op::kResponseCode},
    {"RESPONSE_FLAGS", Op::kResponseFlags},
    {"RESPONSE_CODE_DETAILS", Op::kResponseCodeDetails},
    {"CONNECTION_TERMINATION_DETAILS", Op::kTerminationDetails},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", Op::kTransportFailure},
    {"BYTES_RECEIVED", Op::kBytesReceived},
    {"BYTES_SENT", Op::kBytesSent},
    {"DURATION", Op::kDuration},
    {"REQUEST_DURATION", Op::kRequestDuration},
    {"RESPONSE_DURATION", Op::kResponseDuration},
    {"RESPONSE_TX_DURATION", Op::kResponseTxDuration},
    {"UPSTREAM_CLUSTER", Op::kUpstreamCluster},
    {"UPSTREAM_CLUSTER_RAW", Op::kUpstreamCluster},
    {"REQUESTED_SERVER_NAME", Op::kServerName},
    {"ROUTE_NAME", Op::kRoute},
    {"DOWNSTREAM_PEER_URI_SAN", Op::kPeer},
    {"DOWNSTREAM_LOCAL_URI_SAN", Op::kLocalId},
    {"UPSTREAM_PEER_URI_SAN", Op::kUpstreamPeer},
    {"UPSTREAM_LOCAL_URI_SAN", Op::kUpstreamLocalId},
    {"DOWNSTREAM_PEER_SERIAL", Op::kPeerSerial},
    {"DOWNSTREAM_TLS_VERSION", Op::kTlsVersion},
    {"DOWNSTREAM_TLS_CIPHER", Op::kTlsCipher},
    {"UPSTREAM_TLS_VERSION", Op::kUpstreamTlsVersion},
    {"UPSTREAM_TLS_CIPHER", Op::kUpstreamTlsCipher},
    {"HOSTNAME", Op::kHostname},
    {"CONNECTION_ID", Op::kConnectionId},
};

struct AddressName {
  std::string_view name;
  AddressOf address;
};
constexpr AddressName kAddresses[] = {
    {"UPSTREAM_HOST", AddressOf::kUpstream},
    {"UPSTREAM_REMOTE_ADDRESS", AddressOf::kUpstream},
    {"UPSTREAM_LOCAL_ADDRESS", AddressOf::kUpstreamLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS", AddressOf::kLocal},
    {"DOWNSTREAM_REMOTE_ADDRESS", AddressOf::kRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", AddressOf::kDirect},
};
// The variants that give a part: "…_ADDRESS_WITHOUT_PORT", and "…_PORT" in place of "…_ADDRESS".
constexpr std::string_view kWithoutPort = "_WITHOUT_PORT";

// Operators that Envoy has and that have no counterpart here.
constexpr std::string_view kElsewhere[] = {
    "ACCESS_LOG_TYPE",
    "CEL",
    "CLUSTER_METADATA",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DYNAMIC_METADATA",
    "EMIT_TIME",
    "ENVIRONMENT",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PATH",
    "QUERY_PARAM",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "ROUNDTRIP_DURATION",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER_METADATA",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_METADATA",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_header_name(std::string_view name) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return !name.empty() && name.size() <= 256 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// The place of a header in a list of names, made where it is new.
std::optional<size_t> slot_of(std::vector<std::string>& names, const std::string& name) {
  const auto it = std::ranges::find(names, name);
  if (it != names.end()) return static_cast<size_t>(it - names.begin());
  if (names.size() >= kMaxHeaders) return std::nullopt;
  names.push_back(name);
  return names.size() - 1;
}

// One command between percent signs, taken apart.
struct Command {
  std::string_view name, argument;
  bool has_argument = false;
  std::optional<size_t> length;
};

class Parser {
 public:
  Parser(std::string_view format, std::string_view where, Needs& needs)
      : format_(format), where_(where), needs_(needs) {}

  Result<std::vector<Operator>> run() {
    if (format_.size() > kMaxFormat) return wrong(0, "is longer than 16 KiB");
    size_t at = 0;
    while (at < format_.size()) {
      const size_t percent = std::min(format_.find('%', at), format_.size());
      if (percent > at) literal(format_.substr(at, percent - at));
      if (percent == format_.size()) break;
      if (format_.substr(percent, 2) == "%%") {
        literal("%");
        at = percent + 2;
        continue;
      }
      SP_TRY(at, command_at(percent));
      if (out_.size() > kMaxOperators) return wrong(percent, "more than 256 operators");
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong(size_t at, std::string_view what) const {
    return fail(Code::kInvalid, std::string(where_) + ", character " + std::to_string(at + 1) +
                                    ": " + std::string(what));
  }

  void literal(std::string_view text) {
    if (out_.empty() || out_.back().op != Op::kLiteral) out_.emplace_back();
    out_.back().text += text;
  }

  // Parses from the percent sign at `start`; returns the place after the closing one.
  Result<size_t> command_at(size_t start) {
    size_t at = start + 1;
    while (at < format_.size() &&
           ((format_[at] >= 'A' && format_[at] <= 'Z') || format_[at] == '_' ||
            (format_[at] >= '0' && format_[at] <= '9'))) {
      ++at;
    }
    Command command;
    command.name = format_.substr(start + 1, at - start - 1);
    if (command.name.empty()) {
      return wrong(start, "expected an operator after %, or %% for the sign itself");
    }
    if (at < format_.size() && format_[at] == '(') {
      // An argument may hold parentheses and percent signs (START_TIME, CEL): it ends at the first
      // one that is followed by the end of the operator.
      size_t close = at;
      do {
        close = format_.find(')', close + 1);
        if (close == std::string_view::npos) return wrong(at, "the argument does not end");
      } while (close + 1 >= format_.size() ||
               (format_[close + 1] != '%' && format_[close + 1] != ':'));
      command.has_argument = true;
      command.argument = format_.substr(at + 1, close - at - 1);
      at = close + 1;
    }
    if (at < format_.size() && format_[at] == ':') {
      const size_t end = std::min(format_.find('%', at), format_.size());
      const auto length = parse_number<size_t>(format_.substr(at + 1, end - at - 1));
      if (!length) return wrong(at, "expected a length after the colon");
      command.length = *length;
      at = end;
    }
    if (at >= format_.size() || format_[at] != '%') {
      return wrong(start, "the operator " + std::string(command.name) + " does not end with %");
    }
    SP_CHECK_OK(add(command, start));
    return at + 1;
  }

  Status add(const Command& command, size_t at) {
    Operator made;
    made.length =
        std::min(command.length.value_or(AccessLogFormat::kMaxValue), AccessLogFormat::kMaxValue);
    if (command.name == "REQ" || command.name == "RESP" || command.name == "TRAILER") {
      SP_CHECK_OK(header(command, at, made));
    } else if (command.name == "START_TIME") {
      made.op = Op::kStartTime;
      if (auto ok = check_time_format(command.argument); !ok) return wrong(at, ok.error().message);
      made.text = command.argument;
    } else if (command.name == "GRPC_STATUS" || command.name == "GRPC_STATUS_NUMBER") {
      SP_CHECK_OK(grpc(command, at, made));
    } else if (!address(command.name, made) && !simple(command.name, made)) {
      if (!std::ranges::binary_search(kElsewhere, command.name)) {
        return wrong(at, "there is no operator " + std::string(command.name));
      }
      made.op = Op::kUnavailable;
      if (std::ranges::find(needs_.unavailable, command.name) == needs_.unavailable.end()) {
        needs_.unavailable.emplace_back(command.name);
      }
    } else if (command.has_argument) {
      return wrong(at, std::string(command.name) + " takes no argument");
    }
    out_.push_back(std::move(made));
    return {};
  }

  Status header(const Command& command, size_t at, Operator& made) {
    made.op = Op::kHeader;
    const std::string names = lower(command.argument);
    const size_t mark = names.find('?');
    SP_TRY(made.header, header_ref(command.name, names.substr(0, mark), at));
    if (mark != std::string::npos) {
      SP_TRY(made.alternative, header_ref(command.name, names.substr(mark + 1), at));
    }
    return {};
  }

  Result<HeaderRef> header_ref(std::string_view of, const std::string& name, size_t at) {
    if (!is_header_name(name)) return wrong(at, "expected a header's name, found \"" + name + "\"");
    if (of == "REQ") {
      if (name == ":method") return HeaderRef{HeaderSource::kMethod};
      if (name == ":path") return HeaderRef{HeaderSource::kPath};
      if (name == ":authority" || name == "host") return HeaderRef{HeaderSource::kAuthority};
      if (name == "x-envoy-original-path") return HeaderRef{HeaderSource::kOriginalPath};
    } else if (of == "RESP") {
      if (name == ":status") return HeaderRef{HeaderSource::kStatus};
      if (name == "x-envoy-upstream-service-time") return HeaderRef{HeaderSource::kServiceTime};
    }
    if (name.starts_with(':')) return HeaderRef{HeaderSource::kNone};
    auto& names = of == "REQ" ? needs_.request : of == "RESP" ? needs_.response : needs_.trailers;
    const auto slot = slot_of(names, name);
    if (!slot) return wrong(at, "more than 64 headers");
    return HeaderRef{of == "REQ"    ? HeaderSource::kRequestSlot
                     : of == "RESP" ? HeaderSource::kResponseSlot
                                    : HeaderSource::kTrailerSlot,
                     *slot};
  }

  Status grpc(const Command& command, size_t at, Operator& made) const {
    made.op = Op::kGrpcStatus;
    const std::string_view form = command.argument;
    if (command.name == "GRPC_STATUS_NUMBER" || form == "NUMBER") {
      made.grpc = GrpcForm::kNumber;
    } else if (form == "SNAKE_STRING") {
      made.grpc = GrpcForm::kSnake;
    } else if (!form.empty() && form != "CAMEL_STRING") {
      return wrong(at, "GRPC_STATUS takes CAMEL_STRING, SNAKE_STRING or NUMBER");
    }
    return {};
  }

  static bool address(std::string_view name, Operator& made) {
    AddressPart part = AddressPart::kBoth;
    std::string whole(name);
    if (whole.ends_with(kWithoutPort)) {
      part = AddressPart::kIp;
      whole.resize(whole.size() - kWithoutPort.size());
    } else if (whole.ends_with("_PORT")) {
      part = AddressPart::kPort;
      whole.replace(whole.size() - 5, 5, "_ADDRESS");
    }
    for (const AddressName& known : kAddresses) {
      if (known.name != whole) continue;
      made.op = Op::kAddress;
      made.address = known.address;
      made.part = part;
      return true;
    }
    return false;
  }

  static bool simple(std::string_view name, Operator& made) {
    for (const Simple& known : kSimple) {
      if (known.name != name) continue;
      made.op = known.op;
      return true;
    }
    return false;
  }

  std::string_view format_, where_;
  Needs& needs_;
  std::vector<Operator> out_;
};

static_assert(std::ranges::is_sorted(kElsewhere));

}  // namespace

Result<std::vector<Operator>> parse_operators(std::string_view format, std::string_view where,
                                              Needs& needs) {
  return Parser(format, where, needs).run();
}

}  // namespace sallyport::telemetry
