// Deployment and StatefulSet (apps/v1), Job (batch/v1).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kReplace = "a changed template replaces the pods at once";

constexpr FieldSchema kDeployment[] = {
    {"apiVersion", "string!"},   {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "DeploymentSpec!"}, {"status", "object"},
};
constexpr FieldSchema kDeploymentSpec[] = {
    {"minReadySeconds", "nonNegative", Use::kIgnored, kReplace},
    {"paused", "bool", Use::kRefused, "the change would be rolled out although it should wait"},
    {"progressDeadlineSeconds", "nonNegative", Use::kIgnored, kReplace},
    {"replicas", "nonNegative"},
    {"revisionHistoryLimit", "nonNegative", Use::kIgnored, "no old revisions are kept"},
    {"selector", "LabelSelector!"},
    {"strategy", "DeploymentStrategy", Use::kIgnored, kReplace},
    {"template", "PodTemplateSpec!"},
};
constexpr FieldSchema kDeploymentStrategy[] = {{"type", "enum:Recreate|RollingUpdate"},
                                               {"rollingUpdate", "RollingUpdateDeployment"}};
constexpr FieldSchema kRollingUpdateDeployment[] = {{"maxSurge", "intOrString"},
                                                    {"maxUnavailable", "intOrString"}};

constexpr FieldSchema kStatefulSet[] = {
    {"apiVersion", "string!"},    {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "StatefulSetSpec!"}, {"status", "object"},
};
constexpr FieldSchema kStatefulSetSpec[] = {
    {"minReadySeconds", "nonNegative", Use::kIgnored, kReplace},
    {"ordinals", "StatefulSetOrdinals", Use::kRefused, "numbering starts at 0"},
    {"persistentVolumeClaimRetentionPolicy", "PvcRetentionPolicy", Use::kIgnored,
     "there are no persistent volumes"},
    {"podManagementPolicy", "enum:OrderedReady|Parallel", Use::kIgnored,
     "pods start in their order without waiting", "Parallel"},
    {"replicas", "nonNegative"},
    {"revisionHistoryLimit", "nonNegative", Use::kIgnored, "no old revisions are kept"},
    {"selector", "LabelSelector!"},
    {"serviceName", "string"},
    {"template", "PodTemplateSpec!"},
    {"updateStrategy", "StatefulSetUpdateStrategy", Use::kIgnored, kReplace},
    {"volumeClaimTemplates", "[]object", Use::kRefused, "there are no persistent volumes"},
};
constexpr FieldSchema kStatefulSetOrdinals[] = {{"start", "nonNegative"}};
constexpr FieldSchema kPvcRetentionPolicy[] = {{"whenDeleted", "enum:Retain|Delete"},
                                               {"whenScaled", "enum:Retain|Delete"}};
constexpr FieldSchema kStatefulSetUpdateStrategy[] = {
    {"type", "enum:RollingUpdate|OnDelete"}, {"rollingUpdate", "RollingUpdateStatefulSet"}};
constexpr FieldSchema kRollingUpdateStatefulSet[] = {{"maxUnavailable", "intOrString"},
                                                     {"partition", "nonNegative"}};

constexpr FieldSchema kJob[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},  {"metadata", "ObjectMeta!"},
    {"spec", "JobSpec!"},      {"status", "object"},
};
constexpr FieldSchema kJobSpec[] = {
    {"activeDeadlineSeconds", "positive", Use::kIgnored, "jobs run without a deadline"},
    {"backoffLimit", "nonNegative"},
    {"backoffLimitPerIndex", "nonNegative", Use::kIgnored, "backoffLimit counts for the whole job"},
    {"completionMode", "enum:NonIndexed|Indexed", Use::kRefused, "pods of jobs have no index",
     "NonIndexed"},
    {"completions", "nonNegative"},
    {"managedBy", "string", Use::kRefused, "there is one controller"},
    {"manualSelector", "bool", Use::kIgnored, "a job's pods are known by their owner"},
    {"maxFailedIndexes", "nonNegative", Use::kIgnored, "pods of jobs have no index"},
    {"parallelism", "nonNegative"},
    {"podFailurePolicy", "object", Use::kIgnored, "backoffLimit alone decides"},
    {"podReplacementPolicy", "enum:TerminatingOrFailed|Failed", Use::kIgnored,
     "a failed pod is replaced when it has ended"},
    {"selector", "LabelSelector", Use::kIgnored, "a job's pods are known by their owner"},
    {"successPolicy", "object", Use::kIgnored, "completions alone decides"},
    {"suspend", "bool", Use::kRefused, "the job would run although it should wait"},
    {"template", "PodTemplateSpec!"},
    {"ttlSecondsAfterFinished", "nonNegative", Use::kIgnored, "finished jobs stay listed"},
};

constexpr TypeSchema kTypes[] = {
    {"Deployment", kDeployment},
    {"DeploymentSpec", kDeploymentSpec},
    {"DeploymentStrategy", kDeploymentStrategy},
    {"RollingUpdateDeployment", kRollingUpdateDeployment},
    {"StatefulSet", kStatefulSet},
    {"StatefulSetSpec", kStatefulSetSpec},
    {"StatefulSetOrdinals", kStatefulSetOrdinals},
    {"PvcRetentionPolicy", kPvcRetentionPolicy},
    {"StatefulSetUpdateStrategy", kStatefulSetUpdateStrategy},
    {"RollingUpdateStatefulSet", kRollingUpdateStatefulSet},
    {"Job", kJob},
    {"JobSpec", kJobSpec},
};

}  // namespace

std::span<const TypeSchema> workload_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
