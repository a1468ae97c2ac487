// ObjectMeta, selectors, and the small kinds of core/v1.
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr FieldSchema kObjectMeta[] = {
    {"name", "string"},
    {"generateName", "string"},
    {"namespace", "dnsLabel"},
    {"selfLink", "string"},
    {"uid", "string"},
    {"resourceVersion", "string"},
    {"generation", "int64"},
    {"creationTimestamp", "time"},
    {"deletionTimestamp", "time"},
    {"deletionGracePeriodSeconds", "int64"},
    {"labels", "labels"},
    {"annotations", "map[]string"},
    {"ownerReferences", "[]OwnerReference"},
    {"finalizers", "[]string"},
    {"managedFields", "[]object"},
};

constexpr FieldSchema kOwnerReference[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},    {"name", "string!"},
    {"uid", "string!"},        {"controller", "bool"}, {"blockOwnerDeletion", "bool"},
};

constexpr FieldSchema kLabelSelector[] = {
    {"matchLabels", "labels"},
    {"matchExpressions", "[]LabelSelectorRequirement"},
};

constexpr FieldSchema kLabelSelectorRequirement[] = {
    {"key", "labelKey!"},
    {"operator", "enum:In|NotIn|Exists|DoesNotExist!"},
    {"values", "[]labelValue"},
};

constexpr FieldSchema kNamespace[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},           {"metadata", "ObjectMeta!"},
    {"spec", "NamespaceSpec"}, {"status", "NamespaceStatus"},
};
constexpr FieldSchema kNamespaceSpec[] = {{"finalizers", "[]string"}};
constexpr FieldSchema kNamespaceStatus[] = {{"phase", "string"}, {"conditions", "[]object"}};

constexpr FieldSchema kServiceAccount[] = {
    {"apiVersion", "string!"},
    {"kind", "string!"},
    {"metadata", "ObjectMeta!"},
    {"secrets", "[]ObjectReference", Use::kIgnored, "no API server issues tokens"},
    {"imagePullSecrets", "[]LocalObjectReference", Use::kIgnored, "no images are pulled"},
    {"automountServiceAccountToken", "bool", Use::kIgnored, "no tokens are mounted", "false"},
};

constexpr FieldSchema kObjectReference[] = {
    {"kind", "string"},      {"namespace", "string"},  {"name", "string"},
    {"uid", "string"},       {"apiVersion", "string"}, {"resourceVersion", "string"},
    {"fieldPath", "string"},
};
constexpr FieldSchema kLocalObjectReference[] = {{"name", "string"}};

constexpr FieldSchema kConfigMap[] = {
    {"apiVersion", "string!"},
    {"kind", "string!"},
    {"metadata", "ObjectMeta!"},
    {"data", "map[]string"},
    {"binaryData", "map[]base64"},
    {"immutable", "bool", Use::kIgnored, "a changed file replaces the ConfigMap"},
};

constexpr FieldSchema kSecret[] = {
    {"apiVersion", "string!"},
    {"kind", "string!"},
    {"metadata", "ObjectMeta!"},
    {"data", "map[]base64"},
    {"stringData", "map[]string"},
    {"type", "string"},
    {"immutable", "bool", Use::kIgnored, "a changed file replaces the Secret"},
};

constexpr FieldSchema kNode[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},      {"metadata", "ObjectMeta!"},
    {"spec", "NodeSpec"},      {"status", "NodeStatus"},
};
constexpr FieldSchema kNodeSpec[] = {
    {"podCIDR", "string"},     {"podCIDRs", "[]string"}, {"providerID", "string"},
    {"unschedulable", "bool"}, {"taints", "[]Taint"},    {"configSource", "object"},
    {"externalID", "string"},
};
constexpr FieldSchema kTaint[] = {
    {"key", "labelKey!"},
    {"value", "labelValue"},
    {"effect", "enum:NoSchedule|PreferNoSchedule|NoExecute!"},
    {"timeAdded", "time"},
};
constexpr FieldSchema kNodeStatus[] = {
    {"addresses", "[]NodeAddress"},
    {"allocatable", "map[]quantity"},
    {"capacity", "map[]quantity"},
    {"conditions", "[]object"},
    {"config", "object"},
    {"daemonEndpoints", "object"},
    {"features", "object"},
    {"images", "[]object"},
    {"nodeInfo", "object"},
    {"phase", "string"},
    {"runtimeHandlers", "[]object"},
    {"volumesAttached", "[]object"},
    {"volumesInUse", "[]string"},
    {"declaredFeatures", "[]string"},
};
constexpr FieldSchema kNodeAddress[] = {{"type", "string!"}, {"address", "string!"}};

// What is checked of a kind that is only passed through.
constexpr FieldSchema kOther[] = {
    {"apiVersion", "string!"}, {"kind", "string!"}, {"metadata", "ObjectMeta!"}};

constexpr TypeSchema kTypes[] = {
    {"ObjectMeta", kObjectMeta},
    {"OwnerReference", kOwnerReference},
    {"LabelSelector", kLabelSelector},
    {"LabelSelectorRequirement", kLabelSelectorRequirement},
    {"Namespace", kNamespace},
    {"NamespaceSpec", kNamespaceSpec},
    {"NamespaceStatus", kNamespaceStatus},
    {"ServiceAccount", kServiceAccount},
    {"ObjectReference", kObjectReference},
    {"LocalObjectReference", kLocalObjectReference},
    {"ConfigMap", kConfigMap},
    {"Secret", kSecret},
    {"Node", kNode},
    {"NodeSpec", kNodeSpec},
    {"Taint", kTaint},
    {"NodeStatus", kNodeStatus},
    {"NodeAddress", kNodeAddress},
    {"OtherObject", kOther},
};

}  // namespace

std::span<const TypeSchema> meta_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
