#include <algorithm>

#include "k8s/decode.h"

namespace sallyport::k8s {
namespace {

IpBlock decode_ip_block(const Field& field) {
  IpBlock block;
  Field text = field["cidr"];
  bool sound = false;
  if (text.value().is_string() && !text.text().empty()) {
    auto cidr = Cidr::parse(text.text(), true);
    if (cidr)
      block.cidr = *cidr, sound = true;
    else
      text.error(cidr.error().message);
  }
  for (const Field& item : field["except"].items()) {
    if (!item.value().is_string()) continue;
    auto except = Cidr::parse(item.text(), true);
    if (!except) {
      item.error(except.error().message);
      continue;
    }
    if (sound && (!block.cidr.contains(*except) || *except == block.cidr))
      item.error(quoted(item.text()) + " is not a strict part of the cidr " +
                 block.cidr.to_string());
    block.except.push_back(*except);
  }
  return block;
}

NetworkPolicyPeer decode_peer(const Field& field) {
  NetworkPolicyPeer peer;
  bool pods = field["podSelector"].present();
  bool namespaces = field["namespaceSelector"].present();
  bool block = field["ipBlock"].present();
  if (!pods && !namespaces && !block && field.value().is_map())
    field.error("an empty peer, expected podSelector, namespaceSelector or ipBlock");
  if (block && (pods || namespaces))
    field["ipBlock"].error_at_key(
        "ipBlock beside a selector, expected either ipBlock alone or selectors");
  if (pods) peer.pod_selector = decode_selector(field["podSelector"]);
  if (namespaces) peer.namespace_selector = decode_selector(field["namespaceSelector"]);
  if (block) peer.ip_block = decode_ip_block(field["ipBlock"]);
  return peer;
}

NetworkPolicyPort decode_policy_port(const Field& field) {
  NetworkPolicyPort port;
  port.protocol = decode_protocol(field["protocol"]);
  Field number = field["port"];
  if (number.present()) port.port = decode_port(number);
  Field end = field["endPort"];
  if (!end.maybe_integer()) return port;  // absent, or reported already
  port.end_port = end.number();
  if (!port.port)
    end.error("endPort without port");
  else if (port.port->is_name())
    end.error("endPort with a named port, expected a number as port");
  else if (*port.end_port < port.port->number)
    end.error(std::to_string(*port.end_port) + " is less than port " +
              std::to_string(port.port->number));
  else if (*port.end_port > 65535)
    end.error(std::to_string(*port.end_port) + " is out of range, expected at most 65535");
  return port;
}

std::vector<NetworkPolicyRule> decode_rules(const Field& field, std::string_view peers) {
  std::vector<NetworkPolicyRule> rules;
  for (const Field& item : field.items()) {
    NetworkPolicyRule rule;
    rule.mark = item.mark();
    for (const Field& peer : item[peers].items()) rule.peers.push_back(decode_peer(peer));
    for (const Field& port : item["ports"].items()) rule.ports.push_back(decode_policy_port(port));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

void decode(const Field& root, NetworkPolicy& out) {
  Field spec = root["spec"];
  out.pod_selector = decode_selector(spec["podSelector"]);
  out.ingress = decode_rules(spec["ingress"], "from");
  out.egress = decode_rules(spec["egress"], "to");
  Field types = spec["policyTypes"];
  std::vector<std::string> names = types.texts();
  if (names.size() > 2) types.error("more than two policy types, expected Ingress and Egress");
  auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  // The API server's defaulting: Ingress always, Egress where there are egress rules.
  out.isolates_ingress = names.empty() || has("Ingress");
  out.isolates_egress = names.empty() ? !out.egress.empty() : has("Egress");
}

}  // namespace sallyport::k8s
