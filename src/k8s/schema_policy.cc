// NetworkPolicy (networking.k8s.io/v1) and ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2,
// experimental channel, which holds the standard one).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr FieldSchema kNetworkPolicy[] = {
    {"apiVersion", "string!"},     {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "NetworkPolicySpec"}, {"status", "object"},
};
constexpr FieldSchema kNetworkPolicySpec[] = {
    {"egress", "[]NetworkPolicyEgressRule"},
    {"ingress", "[]NetworkPolicyIngressRule"},
    {"podSelector", "LabelSelector"},
    {"policyTypes", "[]enum:Ingress|Egress"},
};
constexpr FieldSchema kIngressRule[] = {{"from", "[]NetworkPolicyPeer"},
                                        {"ports", "[]NetworkPolicyPort"}};
constexpr FieldSchema kEgressRule[] = {{"to", "[]NetworkPolicyPeer"},
                                       {"ports", "[]NetworkPolicyPort"}};
constexpr FieldSchema kPeer[] = {{"ipBlock", "IPBlock"},
                                 {"namespaceSelector", "LabelSelector"},
                                 {"podSelector", "LabelSelector"}};
constexpr FieldSchema kIPBlock[] = {{"cidr", "cidr!"}, {"except", "[]cidr"}};
constexpr FieldSchema kPort[] = {
    {"endPort", "int32"}, {"port", "intOrString"}, {"protocol", "protocol"}};

constexpr FieldSchema kCnp[] = {
    {"apiVersion", "string!"},   {"kind", "string!"},
    {"metadata", "ObjectMeta!"}, {"spec", "ClusterNetworkPolicySpec!"},
    {"status", "object"},
};
constexpr FieldSchema kCnpSpec[] = {
    {"egress", "[]ClusterNetworkPolicyEgressRule"},
    {"ingress", "[]ClusterNetworkPolicyIngressRule"},
    {"priority", "cnpPriority!"},
    {"subject", "ClusterNetworkPolicySubject!"},
    {"tier", "enum:Admin|Baseline!"},
};
constexpr FieldSchema kCnpSubject[] = {{"namespaces", "LabelSelector"}, {"pods", "NamespacedPod"}};
constexpr FieldSchema kNamespacedPod[] = {{"namespaceSelector", "LabelSelector!"},
                                          {"podSelector", "LabelSelector!"}};
constexpr FieldSchema kCnpIngressRule[] = {
    {"action", "enum:Accept|Deny|Pass!"},
    {"from", "[]ClusterNetworkPolicyIngressPeer!"},
    {"name", "string"},
    {"protocols", "[]ClusterNetworkPolicyProtocol"},
};
constexpr FieldSchema kCnpEgressRule[] = {
    {"action", "enum:Accept|Deny|Pass!"},
    {"name", "string"},
    {"protocols", "[]ClusterNetworkPolicyProtocol"},
    {"to", "[]ClusterNetworkPolicyEgressPeer!"},
};
constexpr FieldSchema kCnpIngressPeer[] = {{"namespaces", "LabelSelector"},
                                           {"pods", "NamespacedPod"}};
constexpr FieldSchema kCnpEgressPeer[] = {{"domainNames", "[]domainPattern"},
                                          {"namespaces", "LabelSelector"},
                                          {"networks", "[]cidr"},
                                          {"nodes", "LabelSelector"},
                                          {"pods", "NamespacedPod"}};
constexpr FieldSchema kCnpProtocol[] = {{"destinationNamedPort", "string"},
                                        {"sctp", "ClusterNetworkPolicyPorts"},
                                        {"tcp", "ClusterNetworkPolicyPorts"},
                                        {"udp", "ClusterNetworkPolicyPorts"}};
constexpr FieldSchema kCnpPorts[] = {{"destinationPort", "ClusterNetworkPolicyPort"}};
constexpr FieldSchema kCnpPort[] = {{"number", "port"}, {"range", "PortRange"}};
constexpr FieldSchema kPortRange[] = {{"end", "port!"}, {"start", "port!"}};

constexpr TypeSchema kTypes[] = {
    {"NetworkPolicy", kNetworkPolicy},
    {"NetworkPolicySpec", kNetworkPolicySpec},
    {"NetworkPolicyIngressRule", kIngressRule},
    {"NetworkPolicyEgressRule", kEgressRule},
    {"NetworkPolicyPeer", kPeer},
    {"IPBlock", kIPBlock},
    {"NetworkPolicyPort", kPort},
    {"ClusterNetworkPolicy", kCnp},
    {"ClusterNetworkPolicySpec", kCnpSpec},
    {"ClusterNetworkPolicySubject", kCnpSubject},
    {"NamespacedPod", kNamespacedPod},
    {"ClusterNetworkPolicyIngressRule", kCnpIngressRule},
    {"ClusterNetworkPolicyEgressRule", kCnpEgressRule},
    {"ClusterNetworkPolicyIngressPeer", kCnpIngressPeer},
    {"ClusterNetworkPolicyEgressPeer", kCnpEgressPeer},
    {"ClusterNetworkPolicyProtocol", kCnpProtocol},
    {"ClusterNetworkPolicyPorts", kCnpPorts},
    {"ClusterNetworkPolicyPort", kCnpPort},
    {"PortRange", kPortRange},
};

}  // namespace

std::span<const TypeSchema> policy_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
