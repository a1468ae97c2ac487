#include <charconv>

#include "codec/json.h"
#include "codec/utf8.h"
#include "telemetry/access_log.h"
#include "telemetry/access_log_operator.h"

namespace sallyport::telemetry {
namespace {

using Kind = OperatorValue::Kind;

constexpr std::string_view kDefaultText =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

constexpr std::string_view kDefaultJson = R"({
  "start_time": "%START_TIME%",
  "route_name": "%ROUTE_NAME%",
  "method": "%REQ(:METHOD)%",
  "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  "protocol": "%PROTOCOL%",
  "response_code": "%RESPONSE_CODE%",
  "response_flags": "%RESPONSE_FLAGS%",
  "response_code_details": "%RESPONSE_CODE_DETAILS%",
  "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
  "bytes_received": "%BYTES_RECEIVED%",
  "bytes_sent": "%BYTES_SENT%",
  "duration": "%DURATION%",
  "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
  "user_agent": "%REQ(USER-AGENT)%",
  "request_id": "%REQ(X-REQUEST-ID)%",
  "authority": "%REQ(:AUTHORITY)%",
  "upstream_host": "%UPSTREAM_HOST%",
  "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
  "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
  "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
  "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
  "requested_server_name": "%REQUESTED_SERVER_NAME%",
  "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%"
})";

constexpr char kHex[] = "0123456789abcdef";

void append_number(std::string& out, int64_t number) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof(text), number);
  out.append(text, end.ptr);
}

// Nothing that could end a quoted field or a line, or that a terminal would obey.
void append_text(std::string& out, std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

void append_json(std::string& out, std::string_view value) {
  size_t at = 0;
  while (at < value.size()) {
    const auto byte = static_cast<unsigned char>(value[at]);
    if (byte >= 0x20 && byte < 0x7f) {
      if (byte == '"' || byte == '\\') out += '\\';
      out += value[at++];
    } else if (byte < 0x80) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      ++at;
    } else {
      const size_t start = at;
      const uint32_t code = codec::next_code_point(value, at);
      // C1 controls and the line separators are escaped for those who print the log.
      if (code == codec::kInvalidCodePoint) {
        out += "\\ufffd";
      } else if (code < 0xa0 || code == 0x2028 || code == 0x2029) {
        out += "\\u";
        for (int shift = 12; shift >= 0; shift -= 4) out += kHex[code >> shift & 15];
      } else {
        out += value.substr(start, at - start);
      }
    }
  }
}

}  // namespace

// A format is a row of segments: text as it stands, then operators. In JSON a segment is one string
// value; one that is a single operator keeps its type.
struct AccessLogFormat::Parsed {
  struct Segment {
    std::string before;
    std::vector<Operator> operators;
    bool typed = false;
  };
  bool json = false;
  std::vector<Segment> segments;
  std::string end;
  Needs needs;

  Status flatten(const codec::Value& value, const std::string& where);
};

namespace {

std::string place(const std::string& where, std::string_view key) {
  return where.empty() ? std::string(key) : where + "." + std::string(key);
}

}  // namespace

// `end` gathers the text since the last operator.
Status AccessLogFormat::Parsed::flatten(const codec::Value& value, const std::string& where) {
  if (value.is_map()) {
    end += '{';
    bool first = true;
    for (const auto& member : value.members()) {
      if (!first) end += ',';
      first = false;
      end += codec::quote_json(member.key);
      end += ':';
      SP_CHECK_OK(flatten(member.value, place(where, member.key)));
    }
    end += '}';
    return {};
  }
  if (value.is_list()) {
    end += '[';
    bool first = true;
    for (const auto& item : value.items()) {
      if (!first) end += ',';
      first = false;
      SP_CHECK_OK(flatten(item, where));
    }
    end += ']';
    return {};
  }
  if (!value.is_string()) {
    end += codec::write_json(value);
    return {};
  }
  Segment segment;
  SP_TRY(segment.operators, parse_operators(value.as_string(), "accessLogFormat: " + where, needs));
  segment.before = std::move(end);
  end.clear();
  segment.typed = segment.operators.size() == 1 && segment.operators[0].op != Op::kLiteral;
  segments.push_back(std::move(segment));
  return {};
}

Result<AccessLogFormat> AccessLogFormat::text(std::string_view format) {
  auto parsed = std::make_unique<Parsed>();
  std::string whole(format.empty() ? kDefaultText : format);
  if (!whole.ends_with('\n')) whole += '\n';
  Parsed::Segment segment;
  SP_TRY(segment.operators, parse_operators(whole, "accessLogFormat", parsed->needs));
  parsed->segments.push_back(std::move(segment));
  return AccessLogFormat(std::move(parsed));
}

Result<AccessLogFormat> AccessLogFormat::json(std::string_view json_template) {
  if (json_template.empty()) json_template = kDefaultJson;
  auto parsed = std::make_unique<Parsed>();
  parsed->json = true;
  auto value = codec::parse_json(json_template, 64 << 10, 8);
  if (!value) return fail_in("accessLogFormat", value.error());
  if (!value->is_map()) {
    return fail(Code::kInvalid,
                "accessLogFormat: with accessLogEncoding JSON a JSON object is "
                "expected, not a " +
                    std::string(value->type_name()));
  }
  SP_CHECK_OK(parsed->flatten(*value, ""));
  parsed->end += '\n';
  return AccessLogFormat(std::move(parsed));
}

AccessLogFormat::AccessLogFormat(std::unique_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}
AccessLogFormat::AccessLogFormat(AccessLogFormat&&) noexcept = default;
AccessLogFormat& AccessLogFormat::operator=(AccessLogFormat&&) noexcept = default;
AccessLogFormat::~AccessLogFormat() = default;

const std::vector<std::string>& AccessLogFormat::request_headers() const {
  return parsed_->needs.request;
}
const std::vector<std::string>& AccessLogFormat::response_headers() const {
  return parsed_->needs.response;
}
const std::vector<std::string>& AccessLogFormat::response_trailers() const {
  return parsed_->needs.trailers;
}
const std::vector<std::string>& AccessLogFormat::unavailable() const {
  return parsed_->needs.unavailable;
}

void AccessLogFormat::append(std::string& out, const LogEntry& entry) const {
  Scratch scratch;
  for (const Parsed::Segment& segment : parsed_->segments) {
    out += segment.before;
    if (segment.typed) {
      const OperatorValue value = evaluate(segment.operators[0], entry, scratch);
      if (value.kind == Kind::kNone) {
        out += "null";
      } else if (value.kind == Kind::kNumber) {
        append_number(out, value.number);
      } else {
        out += '"';
        append_json(out, value.text);
        out += '"';
      }
      continue;
    }
    if (parsed_->json) out += '"';
    for (const Operator& what : segment.operators) {
      if (what.op == Op::kLiteral && !parsed_->json) {
        out += what.text;
        continue;
      }
      const OperatorValue value = evaluate(what, entry, scratch);
      if (value.kind == Kind::kNone) {
        out += '-';
      } else if (value.kind == Kind::kNumber) {
        append_number(out, value.number);
      } else if (parsed_->json) {
        append_json(out, value.text);
      } else {
        append_text(out, value.text);
      }
    }
    if (parsed_->json) out += '"';
  }
  out += parsed_->end;
}

}  // namespace sallyport::telemetry
