// Service (core/v1).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kNoOutside = "Services are reached from pods of this node only";
constexpr std::string_view kBothFamilies = "every Service has an address of each family";

constexpr FieldSchema kService[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "ServiceSpec!"},  {"status", "object"},
};

constexpr FieldSchema kServiceSpec[] = {
    {"allocateLoadBalancerNodePorts", "bool", Use::kIgnored, kNoOutside},
    {"clusterIP", "string"},
    {"clusterIPs", "[]string"},
    {"externalIPs", "[]ip", Use::kRefused, kNoOutside},
    {"externalName", "string", Use::kRefused, "the node offers ClusterIP and headless Services"},
    {"externalTrafficPolicy", "enum:Cluster|Local", Use::kIgnored, kNoOutside},
    {"healthCheckNodePort", "port", Use::kIgnored, kNoOutside},
    {"internalTrafficPolicy", "enum:Cluster|Local", Use::kIgnored, "there is one node", "Cluster"},
    {"ipFamilies", "[]enum:IPv4|IPv6", Use::kIgnored, kBothFamilies},
    {"ipFamilyPolicy", "enum:SingleStack|PreferDualStack|RequireDualStack", Use::kIgnored,
     kBothFamilies, "PreferDualStack"},
    {"loadBalancerClass", "labelKey", Use::kRefused, kNoOutside},
    {"loadBalancerIP", "ip", Use::kRefused, kNoOutside},
    {"loadBalancerSourceRanges", "[]string", Use::kRefused, kNoOutside},
    {"ports", "[]ServicePort"},
    {"publishNotReadyAddresses", "bool"},
    {"selector", "labels"},
    {"sessionAffinity", "enum:None|ClientIP"},
    {"sessionAffinityConfig", "SessionAffinityConfig"},
    {"topologyKeys", "[]string", Use::kIgnored, "there is one node"},
    {"trafficDistribution", "enum:PreferClose|PreferSameZone|PreferSameNode", Use::kIgnored,
     "there is one node"},
    {"type", "enum:ClusterIP|NodePort|LoadBalancer|ExternalName", Use::kRefused,
     "the node offers ClusterIP and headless Services", "ClusterIP"},
};

constexpr FieldSchema kServicePort[] = {
    {"appProtocol", "labelKey"},
    {"name", "dnsLabel"},
    {"nodePort", "port", Use::kRefused, kNoOutside},
    {"port", "port!"},
    {"protocol", "protocol"},
    {"targetPort", "intOrString"},
};

constexpr FieldSchema kSessionAffinityConfig[] = {{"clientIP", "ClientIPConfig"}};
constexpr FieldSchema kClientIPConfig[] = {{"timeoutSeconds", "affinitySeconds"}};

constexpr TypeSchema kTypes[] = {
    {"Service", kService},
    {"ServiceSpec", kServiceSpec},
    {"ServicePort", kServicePort},
    {"SessionAffinityConfig", kSessionAffinityConfig},
    {"ClientIPConfig", kClientIPConfig},
};

}  // namespace

std::span<const TypeSchema> service_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
