// What of a PodSpec speaks to the scheduler (core/v1): read, so that a slip is found, and ignored.
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr FieldSchema kAffinity[] = {{"nodeAffinity", "NodeAffinity"},
                                     {"podAffinity", "PodAffinity"},
                                     {"podAntiAffinity", "PodAffinity"}};
constexpr FieldSchema kNodeAffinity[] = {
    {"preferredDuringSchedulingIgnoredDuringExecution", "[]PreferredSchedulingTerm"},
    {"requiredDuringSchedulingIgnoredDuringExecution", "NodeSelector"}};
constexpr FieldSchema kPreferredSchedulingTerm[] = {{"preference", "NodeSelectorTerm!"},
                                                    {"weight", "weight!"}};
constexpr FieldSchema kNodeSelector[] = {{"nodeSelectorTerms", "[]NodeSelectorTerm!"}};
constexpr FieldSchema kNodeSelectorTerm[] = {{"matchExpressions", "[]NodeSelectorRequirement"},
                                             {"matchFields", "[]NodeSelectorRequirement"}};
constexpr FieldSchema kNodeSelectorRequirement[] = {
    {"key", "labelKey!"},
    {"operator", "enum:In|NotIn|Exists|DoesNotExist|Gt|Lt!"},
    {"values", "[]string"}};
constexpr FieldSchema kPodAffinity[] = {
    {"preferredDuringSchedulingIgnoredDuringExecution", "[]WeightedPodAffinityTerm"},
    {"requiredDuringSchedulingIgnoredDuringExecution", "[]PodAffinityTerm"}};
constexpr FieldSchema kWeightedPodAffinityTerm[] = {{"podAffinityTerm", "PodAffinityTerm!"},
                                                    {"weight", "weight!"}};
constexpr FieldSchema kPodAffinityTerm[] = {
    {"labelSelector", "LabelSelector"},  {"matchLabelKeys", "[]labelKey"},
    {"mismatchLabelKeys", "[]labelKey"}, {"namespaceSelector", "LabelSelector"},
    {"namespaces", "[]dnsLabel"},        {"topologyKey", "labelKey!"}};
constexpr FieldSchema kToleration[] = {{"effect", "enum:NoSchedule|PreferNoSchedule|NoExecute"},
                                       {"key", "labelKey"},
                                       {"operator", "enum:Exists|Equal|Lt|Gt"},
                                       {"tolerationSeconds", "int64"},
                                       {"value", "string"}};
constexpr FieldSchema kTopologySpreadConstraint[] = {
    {"labelSelector", "LabelSelector"},
    {"matchLabelKeys", "[]labelKey"},
    {"maxSkew", "positive!"},
    {"minDomains", "positive"},
    {"nodeAffinityPolicy", "enum:Ignore|Honor"},
    {"nodeTaintsPolicy", "enum:Ignore|Honor"},
    {"topologyKey", "labelKey!"},
    {"whenUnsatisfiable", "enum:DoNotSchedule|ScheduleAnyway!"}};

constexpr TypeSchema kTypes[] = {
    {"Affinity", kAffinity},
    {"NodeAffinity", kNodeAffinity},
    {"PreferredSchedulingTerm", kPreferredSchedulingTerm},
    {"NodeSelector", kNodeSelector},
    {"NodeSelectorTerm", kNodeSelectorTerm},
    {"NodeSelectorRequirement", kNodeSelectorRequirement},
    {"PodAffinity", kPodAffinity},
    {"WeightedPodAffinityTerm", kWeightedPodAffinityTerm},
    {"PodAffinityTerm", kPodAffinityTerm},
    {"Toleration", kToleration},
    {"TopologySpreadConstraint", kTopologySpreadConstraint},
};

}  // namespace

std::span<const TypeSchema> scheduling_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
