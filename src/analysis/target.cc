#include "analysis/target.h"

#include "analysis/names.h"
#include "base/strings.h"

namespace sallyport::analysis {
namespace {

std::unexpected<Error> wrong(std::string_view text, const std::string& what) {
  return fail(Code::kInvalid, "\"" + std::string(text) + "\": " + what);
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
  return true;
}

Status take_port(std::string_view whole, std::string_view port, Target& target) {
  if (port.empty()) return wrong(whole, "a port is missing after the colon");
  if (auto number = parse_number<int>(port)) {
    if (*number < 1 || *number > 65535) return wrong(whole, "port is not in 1..65535");
    target.port = k8s::IntOrString{*number, ""};
    return {};
  }
  if (!is_name(port) || port.size() > 15)
    return wrong(whole, "\"" + std::string(port) + "\" is neither a port number nor a name");
  target.port = k8s::IntOrString{0, std::string(port)};
  return {};
}

// The object, without port and protocol.
Status take_object(std::string_view whole, std::string_view text, Target& target) {
  std::vector<std::string> parts = split(text, '/');
  if (parts[0] == "svc" || parts[0] == "service") {
    target.kind = Target::Kind::kService;
    parts.erase(parts.begin());
  }
  bool names = parts.size() == 1 || parts.size() == 2;
  for (const std::string& part : parts) names = names && is_name(part);
  if (!names)
    return wrong(whole, "expected POD, NAMESPACE/POD, svc/NAME, svc/NAMESPACE/NAME or an address");
  target.ns = parts.size() == 2 ? parts[0] : "default";
  target.name = parts.back();
  return {};
}

}  // namespace

Result<Target> parse_target(std::string_view text, bool with_port) {
  Target target;
  std::string_view rest = text;
  if (size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    target.protocol = protocol_of(rest.substr(slash + 1));
    if (target.protocol) rest = rest.substr(0, slash);
  }
  std::optional<std::string_view> port;
  bool bracketed = rest.starts_with('[');
  if (bracketed) {
    size_t close = rest.find(']');
    if (close == std::string_view::npos) return wrong(text, "] is missing");
    std::string_view after = rest.substr(close + 1);
    if (!after.empty() && after[0] != ':') return wrong(text, "expected :PORT after ]");
    if (!after.empty()) port = after.substr(1);
    rest = rest.substr(1, close - 1);
  } else if (size_t colon = rest.rfind(':');
             colon != std::string_view::npos && colon == rest.find(':')) {
    port = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if ((port || target.protocol) && !with_port)
    return wrong(text, "the source has no port or protocol");
  if (port) {
    SP_CHECK_OK(take_port(text, *port, target));
  }
  if (target.protocol == k8s::Protocol::kIcmp && target.port)
    return wrong(text, "ICMP has no ports");
  if (auto ip = Ip::parse(rest)) {
    if (*ip == Ip{}) return wrong(text, "is the unspecified address");
    if (bracketed && ip->family() == Family::kV4) return wrong(text, "brackets are for IPv6");
    target.kind = Target::Kind::kAddress;
    target.ip = *ip;
    return target;
  }
  if (bracketed || rest.find(':') != std::string_view::npos)
    return wrong(text, "not an IPv6 address; with a port it is written [ADDRESS]:PORT");
  SP_CHECK_OK(take_object(text, rest, target));
  return target;
}

}  // namespace sallyport::analysis
