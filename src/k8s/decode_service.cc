#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

void decode_addresses(const Field& spec, Service& out) {
  Field one = spec["clusterIP"];
  Field list = spec["clusterIPs"];
  std::vector<std::string> texts = list.texts();
  if (one.present() && !one.text().empty()) {
    if (!texts.empty() && texts[0] != one.text())
      list.error("the first item is " + quoted(texts[0]) + ", expected the value of clusterIP, " +
                 quoted(one.text()));
    if (texts.empty()) texts = {one.text()};
  }
  Field where = list.present() ? list : one;
  if (texts.size() > 2) list.error("more than two addresses, expected one of each family");
  for (const std::string& text : texts) {
    if (text == "None" && texts.size() == 1) {
      out.headless = true;
      continue;
    }
    if (text.empty()) continue;
    auto ip = Ip::parse(text);
    if (ip)
      out.cluster_ips.push_back(*ip);
    else
      where.error(quoted(text) + " is not an IP address, expected one or \"None\"");
  }
  if (out.cluster_ips.size() == 2 && out.cluster_ips[0].family() == out.cluster_ips[1].family())
    list.error("two addresses of one family, expected IPv4 and IPv6");
}

void decode_ports(const Field& spec, Service& out, bool on_nodes) {
  Field list = spec["ports"];
  std::set<std::string> names;
  std::set<std::pair<Protocol, int>> numbers;
  for (const Field& item : list.items()) {
    ServicePort port;
    port.name = item["name"].text();
    port.protocol = decode_protocol(item["protocol"]);
    port.port = item["port"].number();
    port.app_protocol = item["appProtocol"].text();
    Field target = item["targetPort"];
    // 0 and "" mean "not set", as in Go.
    bool set = target.present() && (target.integer() != 0 || !target.text().empty());
    port.target_port = set ? decode_port(target) : IntOrString{port.port, ""};
    if (port.name.empty()) {
      if (list.value().items().size() > 1)
        item["name"].error("is missing; it is required where a Service has several ports");
    } else if (!names.insert(port.name).second) {
      item["name"].error(quoted(port.name) + " is a duplicate");
    }
    if (port.port != 0 && !numbers.emplace(port.protocol, port.port).second)
      item["port"].error("port " + std::to_string(port.port) + " with protocol " +
                         std::string(to_string(port.protocol)) + " is a duplicate");
    if (item["nodePort"].integer() != 0 && !on_nodes)
      item["nodePort"].error("may only be set with type NodePort or LoadBalancer");
    out.ports.push_back(std::move(port));
  }
}

void decode_affinity(const Field& spec, Service& out) {
  out.session_affinity = spec["sessionAffinity"].text() == "ClientIP";
  Field config = spec["sessionAffinityConfig"];
  if (config.present() && !out.session_affinity)
    config.error_at_key("may only be set with sessionAffinity ClientIP");
  out.session_affinity_seconds = config["clientIP"]["timeoutSeconds"].number(10800);
}

void check_families(const Field& spec) {
  std::vector<std::string> families = spec["ipFamilies"].texts();
  if (families.size() > 2 || (families.size() == 2 && families[0] == families[1]))
    spec["ipFamilies"].error("expected each family at most once");
}

}  // namespace

void decode(const Field& root, Service& out) {
  Field spec = root["spec"];
  std::string type = spec["type"].text();
  bool external_name = type == "ExternalName";
  bool on_nodes = type == "NodePort" || type == "LoadBalancer";
  out.selector = decode_labels(spec["selector"]);
  decode_addresses(spec, out);
  decode_ports(spec, out, on_nodes);
  decode_affinity(spec, out);
  check_families(spec);
  out.publish_not_ready = spec["publishNotReadyAddresses"].boolean();

  if (out.ports.empty() && !out.headless && !external_name && spec.value().is_map())
    spec["ports"].error("is missing; a Service that is not headless needs at least one port");
  Field name = spec["externalName"];
  if (external_name) {
    if (auto wrong = check_dns_subdomain(name.text()))
      name.error(name.text().empty() ? "is missing; type ExternalName requires it"
                                     : quoted(name.text()) + ": " + *wrong);
    if (!out.cluster_ips.empty() || out.headless)
      spec["clusterIP"].error("may not be set with type ExternalName");
  }
  if (on_nodes && out.headless) spec["clusterIP"].error("may not be \"None\" with type " + type);
  if (spec["externalTrafficPolicy"].present() && !on_nodes && !spec["externalIPs"].present())
    spec["externalTrafficPolicy"].error_at_key(
        "may only be set with type NodePort or LoadBalancer");
}

}  // namespace sallyport::k8s
