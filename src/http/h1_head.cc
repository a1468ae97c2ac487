#include "http/h1_head.h"

#include <cstring>

#include "http/h1_fields.h"
#include "http/syntax.h"

namespace sallyport::http::h1 {
namespace {

constexpr Violation kBadLine{Counter::kMalformedLine, 400};
constexpr Violation kBadHost{Counter::kMalformedHost, 400};
constexpr Violation kBadFraming{Counter::kMalformedFraming, 400};

FieldLimits head_limits(const Limits& limits) {
  return {limits.head_bytes, limits.head_fields, Counter::kHeadBytes, Counter::kHeadFields};
}

std::optional<Violation> parse_version(std::string_view text, Version& version) {
  if (text == "HTTP/1.1") {
    version = Version::kHttp11;
  } else if (text == "HTTP/1.0") {
    version = Version::kHttp10;
  } else if (text.size() == 8 && text.starts_with("HTTP/") && text[5] >= '0' && text[5] <= '9' &&
             text[6] == '.' && text[7] >= '0' && text[7] <= '9') {
    return Violation{Counter::kVersionRefused, 505};
  } else {
    return kBadLine;
  }
  return std::nullopt;
}

// Splits "http://authority/path" into its parts; `target` keeps the path and query.
bool split_absolute(std::string_view& target, std::string_view& scheme,
                    std::string_view& authority) {
  const size_t colon = target.find("://");
  if (colon == std::string_view::npos) return false;
  const std::string_view given = target.substr(0, colon);
  if (equal_fold(given, "http"))
    scheme = "http";
  else if (equal_fold(given, "https"))
    scheme = "https";
  else
    return false;
  std::string_view rest = target.substr(colon + 3);
  const size_t end = rest.find_first_of("/?");
  authority = rest.substr(0, end);
  // "http://host?query" has the path "/", which the text has no byte for: refused rather than made.
  if (end != std::string_view::npos && rest[end] == '?') return false;
  target = end == std::string_view::npos ? std::string_view("/") : rest.substr(end);
  return true;
}

std::optional<Violation> parse_request_line(std::string_view line, const Limits& limits,
                                            RequestHead& head, std::string_view& absolute_host) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) return kBadLine;
  const size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    // Nothing but a target: HTTP/0.9.
    return kBadLine;
  }
  const std::string_view method = line.substr(0, first);
  if (method.size() > limits.method_bytes || !is_method(method)) return kBadLine;
  if (method == "CONNECT") return Violation{Counter::kMethodRefused, 405};
  std::string_view target = line.substr(first + 1, second - first - 1);
  if (target.size() > limits.target_bytes) return Violation{Counter::kTargetBytes, 414};
  if (auto violation = parse_version(line.substr(second + 1), head.version)) return violation;

  std::string_view scheme;
  if (!target.empty() && target.front() != '/' && target != "*") {
    if (!split_absolute(target, scheme, absolute_host)) return kBadLine;
    if (!is_authority(absolute_host)) return kBadHost;
    head.scheme = scheme;
  }
  if (!is_target(target)) return kBadLine;
  if (target == "*" && method != "OPTIONS") return kBadLine;
  head.method = method;
  head.target = target;
  return std::nullopt;
}

}  // namespace

size_t HeadFinder::find(Bytes bytes, size_t limit, std::optional<Violation>& violation) {
  const uint8_t* data = bytes.data();
  const size_t size = bytes.size();
  while (scanned_ < size) {
    const void* hit = std::memchr(data + scanned_, '\n', size - scanned_);
    if (hit == nullptr) {
      scanned_ = size;
      break;
    }
    const auto at = static_cast<size_t>(static_cast<const uint8_t*>(hit) - data);
    if (at == 0 || data[at - 1] != '\r') {
      violation = Violation{Counter::kMalformedField, 400};
      return 0;
    }
    // An empty line: nothing but CR since the line feed before.
    if (at >= 3 && data[at - 2] == '\n') {
      if (at + 1 > limit) break;
      return at + 1;
    }
    scanned_ = at + 1;
  }
  if (size > limit) violation = Violation{Counter::kHeadBytes, 431};
  return 0;
}

std::optional<Violation> parse_request(std::string_view text, const Limits& limits,
                                       std::string_view scheme, RequestHead& head,
                                       Framing& framing) {
  head.clear();
  framing = {};
  const auto line = next_line(text);
  if (!line) return kBadLine;
  std::string_view absolute_host;
  if (auto violation = parse_request_line(*line, limits, head, absolute_host)) return violation;
  if (head.scheme.empty()) head.scheme = scheme;

  FieldReader fields(head.headers, head_limits(limits));
  if (auto violation = fields.read(text)) return violation;
  fields.remove_nominated();

  const bool old = head.version == Version::kHttp10;
  if (!fields.has_host) {
    if (!old) return kBadHost;
    head.authority = absolute_host;
  } else {
    if (!is_authority(fields.host)) return kBadHost;
    if (!absolute_host.empty() && !equal_fold(absolute_host, fields.host)) return kBadHost;
    head.authority = fields.host;
  }

  if (fields.has_coding && (fields.has_length || old)) return kBadFraming;
  if (fields.chunked) {
    framing.chunked = true;
    head.body = Body::kStream;
  } else if (fields.has_length) {
    head.content_length = fields.length;
    head.body = fields.length == 0 ? Body::kNone : Body::kLength;
  }
  if (head.method == "TRACE" && head.body != Body::kNone)
    return Violation{Counter::kMethodRefused, 400};
  if (fields.bad_expectation) return Violation{Counter::kMalformedField, 417};
  head.expect_continue = fields.expect_continue && !old && head.body != Body::kNone;

  // Other upgrades are not offered, and h2c least of all: it would carry requests past policy.
  if (fields.wants_upgrade && !old && equal_fold(fields.upgrade, "websocket")) {
    if (head.body != Body::kNone || head.method != "GET") return kBadFraming;
    head.body = Body::kTunnel;
    head.upgrade = "websocket";
  }
  framing.keep_alive = old ? fields.keep_alive && !fields.close : !fields.close;
  return std::nullopt;
}

std::optional<Violation> parse_response(std::string_view text, const Limits& limits,
                                        ResponseContext context, ResponseHead& head,
                                        Framing& framing) {
  head.clear();
  framing = {};
  const auto line = next_line(text);
  constexpr Violation bad_line{Counter::kMalformedLine, 502};
  if (!line || line->size() < 12 || (*line)[8] != ' ') return bad_line;
  if (auto violation = parse_version(line->substr(0, 8), head.version))
    return Violation{violation->what, 502};
  const std::string_view code = line->substr(9, 3);
  for (const char c : code)
    if (c < '0' || c > '9') return bad_line;
  head.status = static_cast<uint16_t>((code[0] - '0') * 100 + (code[1] - '0') * 10 + code[2] - '0');
  if (head.status < 100 || head.status > 599) return bad_line;
  if (line->size() > 12 && ((*line)[12] != ' ' || !is_text(line->substr(13)))) return bad_line;

  FieldReader fields(head.headers, head_limits(limits));
  if (auto violation = fields.read(text)) return Violation{violation->what, 502};
  fields.remove_nominated();
  const bool old = head.version == Version::kHttp10;
  if (fields.has_coding && (fields.has_length || old))
    return Violation{Counter::kMalformedFraming, 502};
  framing.keep_alive = old ? fields.keep_alive && !fields.close : !fields.close;

  if (head.status == 101) {
    if (!context.upgrade || !equal_fold(fields.upgrade, "websocket"))
      return Violation{Counter::kMalformedLine, 502};
    head.body = Body::kTunnel;
    return std::nullopt;
  }
  if (head.status < 200 || head.status == 204) return std::nullopt;
  head.has_length = fields.has_length;
  head.content_length = fields.length;
  if (context.head_request || head.status == 304) return std::nullopt;
  if (fields.chunked) {
    framing.chunked = true;
    head.body = Body::kStream;
  } else if (fields.has_length) {
    head.body = fields.length == 0 ? Body::kNone : Body::kLength;
  } else {
    framing.until_close = true;
    framing.keep_alive = false;
    head.body = Body::kStream;
  }
  return std::nullopt;
}

std::optional<Violation> parse_trailers(std::string_view text, const Limits& limits,
                                        HeaderList& trailers) {
  trailers.clear();
  FieldReader fields(trailers, {limits.trailer_bytes, limits.trailer_fields, Counter::kTrailerBytes,
                                Counter::kTrailerBytes});
  if (auto violation = fields.read(text)) return violation;
  fields.remove_nominated();
  trailers.remove_unless([](Field field) { return !is_forbidden_trailer(field.name); });
  return std::nullopt;
}

}  // namespace sallyport::http::h1
