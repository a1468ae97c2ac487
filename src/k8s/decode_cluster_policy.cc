#include "k8s/decode.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostItems = 25;
constexpr size_t kMostName = 100;

void check_count(const Field& field) {
  size_t count = field.value().items().size();
  if (count > kMostItems)
    field.error(std::to_string(count) + " items, expected at most " + std::to_string(kMostItems));
}

CnpPods decode_pods(const Field& field) {
  return {decode_selector(field["namespaceSelector"]), decode_selector(field["podSelector"])};
}

// pods and namespaces have the same meaning in subjects and peers.
std::optional<CnpPods> decode_pods_or_namespaces(const Field& field) {
  if (field["pods"].present()) return decode_pods(field["pods"]);
  if (field["namespaces"].present()) return CnpPods{decode_selector(field["namespaces"]), {}};
  return std::nullopt;
}

CnpPeer decode_ingress_peer(const Field& field) {
  if (field.value().is_map() && field.count({"namespaces", "pods"}) != 1)
    field.error("expected exactly one of namespaces and pods");
  CnpPeer peer;
  peer.pods = decode_pods_or_namespaces(field);
  return peer;
}

CnpPeer decode_egress_peer(const Field& field) {
  if (field.value().is_map() &&
      field.count({"namespaces", "pods", "networks", "nodes", "domainNames"}) != 1)
    field.error("expected exactly one of namespaces, pods, networks, nodes and domainNames");
  CnpPeer peer;
  peer.pods = decode_pods_or_namespaces(field);
  Field networks = field["networks"];
  if (networks.value().is_list() && networks.value().items().empty())
    networks.error("is empty, expected at least one network");
  check_count(networks);
  std::set<std::string> seen;
  for (const Field& item : networks.items()) {
    if (!item.value().is_string()) continue;
    if (!seen.insert(item.text()).second) item.error(quoted(item.text()) + " is a duplicate");
    auto cidr = Cidr::parse(item.text());
    if (cidr)
      peer.networks.push_back(*cidr);
    else
      item.error(cidr.error().message);
  }
  if (field["nodes"].present()) peer.nodes = decode_selector(field["nodes"]);
  Field names = field["domainNames"];
  if (names.value().is_list() && names.value().items().empty())
    names.error("is empty, expected at least one domain name");
  check_count(names);
  peer.domain_names = names.texts();
  return peer;
}

void decode_ports(const Field& field, Protocol protocol, CnpProtocol& out) {
  out.protocol = protocol;
  if (field.value().is_map() && field.value().members().empty())
    field.error("is empty, expected destinationPort");
  Field port = field["destinationPort"];
  if (!port.present()) return;
  if (port.value().is_map() && port.count({"number", "range"}) != 1)
    port.error("expected exactly one of number and range");
  Field range = port["range"];
  if (range.present()) {
    out.first_port = range["start"].number();
    out.last_port = range["end"].number();
    if (range["start"].present() && range["end"].present() && out.first_port >= out.last_port)
      range["end"].error(std::to_string(out.last_port) + " is not greater than start " +
                         std::to_string(out.first_port));
  } else if (port["number"].present()) {
    out.first_port = out.last_port = port["number"].number();
  }
}

CnpProtocol decode_cnp_protocol(const Field& field) {
  CnpProtocol out;
  if (field.value().is_map() && field.count({"tcp", "udp", "sctp", "destinationNamedPort"}) != 1)
    field.error("expected exactly one of tcp, udp, sctp and destinationNamedPort");
  if (field["tcp"].present()) decode_ports(field["tcp"], Protocol::kTcp, out);
  if (field["udp"].present()) decode_ports(field["udp"], Protocol::kUdp, out);
  if (field["sctp"].present()) decode_ports(field["sctp"], Protocol::kSctp, out);
  out.named_port = field["destinationNamedPort"].text();
  return out;
}

// A named port means a container's port, which networks, nodes and domain names do not have.
void check_named_ports(const Field& rule, const CnpRule& out, std::string_view peers) {
  bool outside = false;
  bool domains = false;
  for (const CnpPeer& peer : out.peers) {
    outside = outside || !peer.networks.empty() || peer.nodes || !peer.domain_names.empty();
    domains = domains || !peer.domain_names.empty();
  }
  for (const Field& protocol : rule["protocols"].items())
    if (outside && protocol["destinationNamedPort"].present())
      protocol["destinationNamedPort"].error_at_key(
          "a named port with networks, nodes or domainNames, expected a number");
  if (domains && out.action != CnpAction::kAccept)
    rule[peers].error("domainNames in a rule that does not accept; expected action Accept");
}

std::vector<CnpRule> decode_rules(const Field& field, std::string_view peers, bool egress) {
  check_count(field);
  std::vector<CnpRule> rules;
  for (const Field& item : field.items()) {
    CnpRule rule;
    rule.name = item["name"].text();
    if (rule.name.size() > kMostName)
      item["name"].error("is " + std::to_string(rule.name.size()) +
                         " characters long, expected at most " + std::to_string(kMostName));
    const std::string& action = item["action"].text();
    rule.action = action == "Accept" ? CnpAction::kAccept
                  : action == "Pass" ? CnpAction::kPass
                                     : CnpAction::kDeny;
    check_count(item[peers]);
    for (const Field& peer : item[peers].items())
      rule.peers.push_back(egress ? decode_egress_peer(peer) : decode_ingress_peer(peer));
    Field protocols = item["protocols"];
    check_count(protocols);
    if (protocols.value().is_list() && protocols.value().items().empty())
      protocols.error("is empty; leave it out to mean every protocol");
    for (const Field& protocol : protocols.items())
      rule.protocols.push_back(decode_cnp_protocol(protocol));
    if (egress) check_named_ports(item, rule, peers);
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

void decode(const Field& root, ClusterNetworkPolicy& out) {
  Field spec = root["spec"];
  out.tier = spec["tier"].text() == "Baseline" ? CnpTier::kBaseline : CnpTier::kAdmin;
  out.priority = spec["priority"].number();
  Field subject = spec["subject"];
  if (subject.value().is_map() && subject.count({"namespaces", "pods"}) != 1)
    subject.error("expected exactly one of namespaces and pods");
  if (auto pods = decode_pods_or_namespaces(subject)) out.subject = std::move(*pods);
  out.ingress = decode_rules(spec["ingress"], "from", false);
  out.egress = decode_rules(spec["egress"], "to", true);
}

}  // namespace sallyport::k8s
