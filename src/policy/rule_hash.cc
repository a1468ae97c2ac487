#include "policy/rule_hash.h"

#include "base/strings.h"

namespace sallyport::policy {
namespace {

// Every field is written with its length or as a number, every list with its size: two different
// rules never give the same bytes.
class Bytes {
 public:
  Bytes& add(std::string_view text) {
    add(static_cast<int64_t>(text.size()));
    data_ += text;
    return *this;
  }
  Bytes& add(int64_t number) {
    data_ += std::to_string(number) + ';';
    return *this;
  }
  Bytes& add(const Cidr& cidr) { return add(cidr.to_string()); }
  Bytes& add(const k8s::LabelSelector& selector) {
    count(selector.match_labels.size());
    for (const auto& [key, value] : selector.match_labels) add(key).add(value);
    count(selector.match_expressions.size());
    for (const auto& requirement : selector.match_expressions) {
      add(requirement.key).add(static_cast<int64_t>(requirement.op));
      count(requirement.values.size());
      for (const std::string& value : requirement.values) add(value);
    }
    return *this;
  }
  Bytes& add(const std::optional<k8s::LabelSelector>& selector) {
    add(static_cast<int64_t>(selector.has_value()));
    return selector ? add(*selector) : *this;
  }
  Bytes& count(size_t n) { return add(static_cast<int64_t>(n)); }
  [[nodiscard]] uint64_t hash() const { return fnv1a(data_); }

 private:
  std::string data_;
};

}  // namespace

uint64_t rule_hash(const k8s::NetworkPolicyRule& rule) {
  Bytes bytes;
  bytes.count(rule.peers.size());
  for (const k8s::NetworkPolicyPeer& peer : rule.peers) {
    bytes.add(peer.pod_selector).add(peer.namespace_selector);
    bytes.count(peer.ip_block ? peer.ip_block->except.size() + 1 : 0);
    if (!peer.ip_block) continue;
    bytes.add(peer.ip_block->cidr);
    for (const Cidr& except : peer.ip_block->except) bytes.add(except);
  }
  bytes.count(rule.ports.size());
  for (const k8s::NetworkPolicyPort& port : rule.ports) {
    bytes.add(static_cast<int64_t>(port.protocol)).add(static_cast<int64_t>(port.port.has_value()));
    if (port.port) bytes.add(port.port->name).add(int64_t{port.port->number});
    bytes.add(int64_t{port.end_port.value_or(-1)});
  }
  return bytes.hash();
}

uint64_t rule_hash(const k8s::CnpRule& rule) {
  Bytes bytes;
  bytes.add(static_cast<int64_t>(rule.action)).count(rule.peers.size());
  for (const k8s::CnpPeer& peer : rule.peers) {
    bytes.count(peer.pods ? 1 : 0);
    if (peer.pods) bytes.add(peer.pods->namespace_selector).add(peer.pods->pod_selector);
    bytes.count(peer.networks.size());
    for (const Cidr& cidr : peer.networks) bytes.add(cidr);
    bytes.add(peer.nodes).count(peer.domain_names.size());
    for (const std::string& name : peer.domain_names) bytes.add(name);
  }
  bytes.count(rule.protocols.size());
  for (const k8s::CnpProtocol& protocol : rule.protocols) {
    bytes.add(protocol.protocol ? static_cast<int64_t>(*protocol.protocol) : -1);
    bytes.add(int64_t{protocol.first_port})
        .add(int64_t{protocol.last_port})
        .add(protocol.named_port);
  }
  return bytes.hash();
}

}  // namespace sallyport::policy
