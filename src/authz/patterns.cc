#include "authz/patterns.h"

#include <algorithm>

namespace sallyport::authz {
namespace {

constexpr std::string_view kOne = "{*}";
constexpr std::string_view kAny = "{**}";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}
bool is_unreserved(char c) {
  return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

// What Istio lets stand as a literal segment beside operators.
bool is_literal_segment(std::string_view segment) {
  constexpr std::string_view kOthers = "-._~%!$&'()+,;:@=";
  return !segment.empty() && std::all_of(segment.begin(), segment.end(), [&](char c) {
    return is_alnum(c) || kOthers.find(c) != std::string_view::npos;
  });
}

bool compare(const Glob& glob, std::string_view text) {
  switch (glob.kind) {
    case GlobKind::kExact:
      return text == glob.text;
    case GlobKind::kPrefix:
      return text.starts_with(glob.text);
    case GlobKind::kSuffix:
      return text.ends_with(glob.text);
    case GlobKind::kPresent:
      return !text.empty();
  }
  return false;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

Glob parse_glob(std::string_view value) {
  if (value == "*") return {GlobKind::kPresent, {}};
  if (value.starts_with('*')) return {GlobKind::kSuffix, value.substr(1)};
  if (value.ends_with('*')) return {GlobKind::kPrefix, value.substr(0, value.size() - 1)};
  return {GlobKind::kExact, value};
}

bool glob_matches(std::string_view value, std::string_view text) {
  return compare(parse_glob(value), text);
}

bool namespace_matches(std::string_view value, std::string_view ns) {
  if (ns.empty()) return false;
  const size_t first = value.find('*');
  if (first == std::string_view::npos) return value == ns;
  // The part before the first star and the part after the last are anchored; those between are
  // found from left to right, each at the earliest place.
  if (!ns.starts_with(value.substr(0, first))) return false;
  ns.remove_prefix(first);
  value.remove_prefix(first + 1);
  for (size_t star = value.find('*'); star != std::string_view::npos; star = value.find('*')) {
    const std::string_view part = value.substr(0, star);
    const size_t at = ns.find(part);
    if (at == std::string_view::npos) return false;
    ns.remove_prefix(at + part.size());
    value.remove_prefix(star + 1);
  }
  return ns.ends_with(value);
}

bool PathTemplate::is_template(std::string_view value) {
  return value.find_first_of("{}") != std::string_view::npos;
}

Result<PathTemplate> PathTemplate::parse(std::string_view value) {
  const std::string where = "path " + std::string(value) + ": ";
  if (!value.starts_with('/'))
    return fail(Code::kInvalid, where + "a template begins with a slash");
  PathTemplate out;
  std::string literal;
  bool done = false;
  std::string_view left = value.substr(1);
  while (!done) {
    const size_t slash = left.find('/');
    const std::string_view segment = left.substr(0, slash);
    done = slash == std::string_view::npos;
    literal += '/';
    if (segment == kOne || segment == kAny) {
      if (out.rest_) return fail(Code::kInvalid, where + "{**} is not the last operator");
      out.parts_.push_back(std::move(literal));
      literal.clear();
      out.rest_ = segment == kAny;
    } else if (segment.find_first_of("{}") != std::string_view::npos) {
      return fail(Code::kInvalid, where + "contains '{' or '}' beyond a supported path template");
    } else if (done && segment.empty()) {
      // A slash at the end.
    } else if (!is_literal_segment(segment)) {
      return fail(Code::kInvalid,
                  where + "segment \"" + std::string(segment) + "\" is no valid literal");
    } else {
      literal += segment;
    }
    if (!done) left.remove_prefix(slash + 1);
  }
  if (out.rest_)
    out.tail_ = std::move(literal);
  else
    out.parts_.push_back(std::move(literal));
  return out;
}

bool PathTemplate::matches(std::string_view path) const {
  // Behind each {*} the text goes on with a slash or ends, so that the segment is known: nothing is
  // tried twice.
  for (size_t i = 0; i < parts_.size(); ++i) {
    const std::string& part = parts_[i];
    const bool last = i + 1 == parts_.size();
    if (i > 0) {
      const size_t end = std::min(path.find('/'), path.size());
      if (end == 0) return false;
      path.remove_prefix(end);
    }
    if (!path.starts_with(part)) return false;
    path.remove_prefix(part.size());
    if (last) return rest_ ? path.ends_with(tail_) : path.empty();
  }
  return false;
}

std::string canonical_path_value(std::string_view value) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (c >= 0x80) {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
      continue;
    }
    const int high = c == '%' && i + 2 < value.size() ? hex_digit(value[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(value[i + 2]) : -1;
    if (low < 0) {
      out += value[i];
      continue;
    }
    const char decoded = static_cast<char>(high << 4 | low);
    if (is_unreserved(decoded)) {
      out += decoded;
    } else {
      out += '%';
      out += kHex[high];
      out += kHex[low];
    }
    i += 2;
  }
  return out;
}

LooseReading read_loosely(std::string_view path, std::span<char, kLooseRoom> room) {
  bool odd = false;
  for (size_t i = 0; i < path.size() && !odd; ++i)
    odd = path[i] == '%' || path[i] == ';' || (path[i] == '/' && i > 0 && path[i - 1] == '/');
  if (!odd) return {};
  size_t size = 0;
  bool parameters = false;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    const int high = c == '%' && i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(path[i + 2]) : -1;
    if (low >= 0) {
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (c == '\\') c = '/';
    if (c == '/') parameters = false;
    if (c == ';') parameters = true;
    if (parameters || (c == '/' && size > 0 && room[size - 1] == '/')) continue;
    if (size == room.size()) return {{}, true};
    room[size++] = c;
  }
  return {{room.data(), size}, false};
}

Peer parse_peer(std::string_view principal) {
  Peer out;
  const size_t slash = principal.find('/');
  out.trust_domain = principal.substr(0, slash);
  if (slash == std::string_view::npos) return out;
  std::string_view path = principal.substr(slash + 1);
  if (!path.starts_with("ns/")) return out;
  path.remove_prefix(3);
  const size_t ns_end = path.find('/');
  if (ns_end == std::string_view::npos || ns_end == 0) return out;
  const std::string_view rest = path.substr(ns_end);
  if (!rest.starts_with("/sa/") || rest.size() == 4) return out;
  if (rest.find('/', 4) != std::string_view::npos) return out;
  out.ns = path.substr(0, ns_end);
  out.account = path;
  return out;
}

std::string account_of(std::string_view value, std::string_view policy_ns) {
  const size_t slash = value.find('/');
  std::string out;
  if (slash == std::string_view::npos) {
    out += policy_ns;
    out += "/sa/";
    out += value;
  } else {
    out += value.substr(0, slash);
    out += "/sa/";
    out += value.substr(slash + 1);
  }
  return out;
}

std::string own_trust_domain(std::string_view principal, std::string_view mesh) {
  constexpr std::string_view kPointer = "cluster.local";
  const bool five = std::count(principal.begin(), principal.end(), '/') == 4;
  if (!five || !principal.starts_with(kPointer) || principal[kPointer.size()] != '/')
    return std::string(principal);
  return std::string(mesh) + std::string(principal.substr(kPointer.size()));
}

HostParts split_host(std::string_view host) {
  HostParts out;
  size_t digits = host.size();
  while (digits > 0 && is_digit(host[digits - 1])) --digits;
  // A colon within an IPv6 address that stands without brackets begins no port.
  const bool has_port = digits > 0 && host[digits - 1] == ':' &&
                        (host.find(':') == digits - 1 || (digits > 1 && host[digits - 2] == ']'));
  const size_t end = has_port ? digits - 1 : host.size();
  out.with_dot = host.substr(0, end);
  out.port = host.substr(end);
  out.name = out.with_dot;
  if (out.name.ends_with('.')) out.name.remove_suffix(1);
  return out;
}

bool RequestPrincipalPattern::matches(std::string_view iss, std::string_view sub) const {
  return !iss.empty() && !sub.empty() && compare(issuer, iss) && compare(subject, sub);
}

RequestPrincipalPattern parse_request_principal(std::string_view value) {
  const Glob any{GlobKind::kPresent, {}};
  const size_t slash = value.rfind('/');
  if (slash == std::string_view::npos) {
    const Glob glob = parse_glob(value);
    if (glob.kind == GlobKind::kSuffix) return {any, glob};
    if (glob.kind == GlobKind::kExact) return {glob, {GlobKind::kExact, {}}};  // matches nothing
    return {glob, any};
  }
  const std::string_view iss = value.substr(0, slash), sub = value.substr(slash + 1);
  if (sub == "*") {
    const Glob issuer = iss.starts_with('*') ? parse_glob(iss) : Glob{GlobKind::kExact, iss};
    return {issuer, any};
  }
  if (iss.starts_with('*')) return {parse_glob(iss), {GlobKind::kExact, sub}};
  if (sub.ends_with('*')) return {{GlobKind::kExact, iss}, parse_glob(sub)};
  return {{GlobKind::kExact, iss}, {GlobKind::kExact, sub}};
}

}  // namespace sallyport::authz
