#include "mesh/membership.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "world/service_endpoints.h"

namespace sallyport::mesh {
namespace {

constexpr char kOwnLabel[] = "sallyport.dev/mesh";
constexpr char kInjectionLabel[] = "istio-injection";
constexpr char kDataplaneLabel[] = "istio.io/dataplane-mode";
constexpr char kPodInject[] = "sidecar.istio.io/inject";
constexpr char kEscapedSlashes[] = "sallyport.dev/allow-escaped-slashes";
constexpr std::string_view kTraffic = "traffic.sidecar.istio.io/";

using Texts = std::map<std::string, std::string>;

std::string_view value_of(const Texts& texts, const char* key) {
  auto found = texts.find(key);
  return found == texts.end() ? std::string_view() : std::string_view(found->second);
}

enum class Wish { kNone, kIn, kOut };

// Our own label wins over Istio's, so that a namespace can move from one to the other.
Wish wish_of_namespace(const k8s::Labels& labels) {
  std::string_view own = value_of(labels, kOwnLabel);
  if (own == "enabled") return Wish::kIn;
  if (own == "disabled" || own == "none") return Wish::kOut;
  std::string_view injection = value_of(labels, kInjectionLabel);
  std::string_view dataplane = value_of(labels, kDataplaneLabel);
  if (injection == "enabled" || dataplane == "ambient") return Wish::kIn;
  return injection == "disabled" || dataplane == "none" ? Wish::kOut : Wish::kNone;
}

// A label wins over the older annotation; leaving wins over entering.
Wish wish_of_pod(const world::Endpoint& pod) {
  bool labelled = pod.labels.contains(kPodInject);
  std::string_view inject = value_of(labelled ? pod.labels : pod.annotations, kPodInject);
  std::string_view dataplane = value_of(pod.labels, kDataplaneLabel);
  if (inject == "false" || dataplane == "none") return Wish::kOut;
  return inject == "true" || dataplane == "ambient" ? Wish::kIn : Wish::kNone;
}

bool is_meshed(const world::World& world, const world::Endpoint& pod, UnlabelledPods unlabelled) {
  if (!pod.selectable()) return false;
  Wish own = wish_of_pod(pod);
  Wish ns = wish_of_namespace(world.namespace_labels(pod.ns));
  if (own == Wish::kOut || ns == Wish::kOut) return false;
  return own == Wish::kIn || ns == Wish::kIn || unlabelled == UnlabelledPods::kIn;
}

// The items of a list separated by commas, each read by `parse`; nothing where one is wrong, with
// its text in `wrong`.
template <class Parse>
bool read_list(std::string_view text, Parse parse, std::string& wrong) {
  if (trim(text).empty()) return true;
  for (const std::string& item : split(text, ',')) {
    if (parse(trim(item))) continue;
    wrong = std::string(trim(item));
    return false;
  }
  return true;
}

class Exclusions {
 public:
  Exclusions(const world::Endpoint& pod, Membership& out) : pod_(pod), out_(out) {}

  void ports(std::string_view name, std::set<uint16_t>& into) {
    std::set<uint16_t> read;
    bool sound = list(name, "a port from 1 to 65535", [&](std::string_view item) {
      auto port = parse_number<uint16_t>(item);
      if (port && *port > 0) read.insert(*port);
      return port && *port > 0;
    });
    if (sound) into = std::move(read);
  }

  void ranges(std::string_view name, std::vector<Cidr>& into) {
    std::vector<Cidr> read;
    bool sound = list(name, "a range such as 198.18.0.0/16", [&](std::string_view item) {
      auto cidr = Cidr::parse(item);
      if (cidr) read.push_back(*cidr);
      return cidr.has_value();
    });
    if (!sound) return;
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    into = std::move(read);
  }

  // Which would take out more than is wanted here; without them all traffic is in.
  void not_supported() {
    constexpr std::array<std::string_view, 4> kOthers{"includeInboundPorts", "includeOutboundPorts",
                                                      "includeOutboundIPRanges",
                                                      "excludeInterfaces"};
    for (std::string_view name : kOthers) {
      auto found = pod_.annotations.find(std::string(kTraffic) + std::string(name));
      if (found == pod_.annotations.end() || found->second.empty() || found->second == "*")
        continue;
      out_.problems.push_back(found->first +
                              ": has no effect: all TCP traffic is taken in but for what the "
                              "exclude annotations name");
    }
  }

 private:
  template <class Parse>
  bool list(std::string_view name, const char* expected, Parse parse) {
    auto found = pod_.annotations.find(std::string(kTraffic) + std::string(name));
    if (found == pod_.annotations.end()) return false;
    std::string wrong;
    if (read_list(found->second, parse, wrong)) return true;
    out_.problems.push_back(found->first + ": \"" + wrong.substr(0, 80) + "\" is not " + expected +
                            "; nothing is excluded by it");
    return false;
  }

  const world::Endpoint& pod_;
  Membership& out_;
};

AppProtocol protocol_named(std::string_view name) {
  struct Known {
    std::string_view name;
    AppProtocol protocol;
  };
  constexpr std::array kKnown{
      Known{"http", AppProtocol::kHttp}, Known{"http2", AppProtocol::kHttp2},
      Known{"grpc", AppProtocol::kGrpc}, Known{"https", AppProtocol::kTls},
      Known{"tls", AppProtocol::kTls},   Known{"tcp", AppProtocol::kTcp},
      Known{"mongo", AppProtocol::kTcp}, Known{"mysql", AppProtocol::kTcp},
      Known{"redis", AppProtocol::kTcp}};
  for (const Known& known : kKnown)
    if (known.name == name) return known.protocol;
  return AppProtocol::kUndeclared;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

}  // namespace

Membership membership(const world::World& world, const world::Endpoint& pod,
                      UnlabelledPods unlabelled) {
  Membership out;
  out.meshed = is_meshed(world, pod, unlabelled);
  if (!out.meshed) return out;
  Exclusions exclusions(pod, out);
  exclusions.ports("excludeInboundPorts", out.exclude_inbound_ports);
  exclusions.ports("excludeOutboundPorts", out.exclude_outbound_ports);
  exclusions.ranges("excludeOutboundIPRanges", out.exclude_outbound_ranges);
  exclusions.not_supported();
  std::string_view slashes = value_of(pod.annotations, kEscapedSlashes);
  out.allow_escaped_slashes = slashes == "true";
  if (!slashes.empty() && slashes != "true" && slashes != "false")
    out.problems.push_back(std::string(kEscapedSlashes) + ": \"" +
                           std::string(slashes.substr(0, 80)) +
                           "\" is neither true nor false; escaped slashes are refused");
  return out;
}

AppProtocol declared_protocol(const k8s::ServicePort& port) {
  // As written, appProtocol has names of Kubernetes' own.
  if (port.app_protocol == "kubernetes.io/h2c") return AppProtocol::kHttp2;
  if (port.app_protocol == "kubernetes.io/ws") return AppProtocol::kHttp;
  if (port.app_protocol == "kubernetes.io/wss") return AppProtocol::kTls;
  std::string name = lower(port.app_protocol.empty() ? port.name : port.app_protocol);
  if (name.starts_with("grpc-web")) return AppProtocol::kHttp;
  AppProtocol found = protocol_named(name.substr(0, name.find('-')));
  if (found != AppProtocol::kUndeclared) return found;
  // Servers that speak first, on their usual ports: SMTP, DNS, MySQL, MongoDB.
  for (int opaque : {25, 53, 3306, 27017})
    if (port.port == opaque) return AppProtocol::kTcp;
  return AppProtocol::kUndeclared;
}

AppProtocol inbound_protocol(const world::World& world, const world::Endpoint& pod, uint16_t port) {
  for (const auto& service : world.services) {
    if (service->meta.ns != pod.ns || service->selector.empty() ||
        !world::selects(service->selector, pod.labels))
      continue;
    for (const k8s::ServicePort& offered : service->ports) {
      if (offered.protocol != k8s::Protocol::kTcp || world::target_port(offered, pod) != port)
        continue;
      if (AppProtocol found = declared_protocol(offered); found != AppProtocol::kUndeclared)
        return found;
    }
  }
  return AppProtocol::kUndeclared;
}

std::string_view to_string(AppProtocol protocol) {
  switch (protocol) {
    case AppProtocol::kUndeclared:
      return "undeclared";
    case AppProtocol::kTcp:
      return "tcp";
    case AppProtocol::kHttp:
      return "http";
    case AppProtocol::kHttp2:
      return "http2";
    case AppProtocol::kGrpc:
      return "grpc";
    case AppProtocol::kTls:
      return "tls";
  }
  return "?";
}

}  // namespace sallyport::mesh
