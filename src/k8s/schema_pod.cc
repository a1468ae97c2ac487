// Pod, PodSpec and what belongs to the pod as a whole (core/v1).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kOneNode = "there is one node and no scheduler";

constexpr FieldSchema kPod[] = {
    {"apiVersion", "string!"}, {"kind", "string!"},     {"metadata", "ObjectMeta!"},
    {"spec", "PodSpec!"},      {"status", "PodStatus"},
};

constexpr FieldSchema kPodTemplateSpec[] = {{"metadata", "ObjectMeta"}, {"spec", "PodSpec!"}};

constexpr FieldSchema kPodSpec[] = {
    {"activeDeadlineSeconds", "positive", Use::kIgnored, "pods run without a deadline"},
    {"affinity", "Affinity", Use::kIgnored, kOneNode},
    {"automountServiceAccountToken", "bool", Use::kIgnored, "no tokens are mounted", "false"},
    {"containers", "[]Container!"},
    {"dnsConfig", "PodDNSConfig", Use::kIgnored, "every pod uses the cluster's DNS"},
    {"dnsPolicy", "enum:ClusterFirst|ClusterFirstWithHostNet|Default|None", Use::kIgnored,
     "every pod uses the cluster's DNS", "ClusterFirst"},
    {"enableServiceLinks", "bool", Use::kIgnored,
     "Services are found by DNS, not by environment variables"},
    {"ephemeralContainers", "[]object", Use::kRefused, "use `sallyport exec` instead"},
    {"hostAliases", "[]HostAlias", Use::kIgnored, "/etc/hosts is not extended"},
    {"hostIPC", "bool", Use::kRefused, "a pod has an IPC namespace of its own"},
    {"hostNetwork", "bool", Use::kRefused, "its traffic would pass beside the gate"},
    {"hostPID", "bool", Use::kRefused, "a pod has a PID namespace of its own"},
    {"hostUsers", "bool", Use::kRefused, "pods have no user namespace of their own", "true"},
    {"hostname", "dnsLabel"},
    {"hostnameOverride", "dnsSubdomain", Use::kIgnored, "spec.hostname or the pod's name is used"},
    {"imagePullSecrets", "[]LocalObjectReference", Use::kIgnored, "no images are pulled"},
    {"initContainers", "[]Container"},
    {"nodeName", "dnsSubdomain", Use::kIgnored, kOneNode},
    {"nodeSelector", "labels", Use::kIgnored, kOneNode},
    {"os", "PodOS", Use::kIgnored, "every pod runs on Linux"},
    {"overhead", "map[]quantity", Use::kIgnored, kOneNode},
    {"preemptionPolicy", "enum:PreemptLowerPriority|Never", Use::kIgnored, kOneNode,
     "PreemptLowerPriority"},
    {"priority", "int32", Use::kIgnored, kOneNode},
    {"priorityClassName", "string", Use::kIgnored, kOneNode},
    {"readinessGates", "[]PodReadinessGate", Use::kIgnored,
     "a pod is ready when its containers are"},
    {"resourceClaims", "[]PodResourceClaim", Use::kRefused, "there are no device drivers"},
    {"resources", "ResourceRequirements", Use::kIgnored, "set limits on the containers"},
    {"restartPolicy", "enum:Always|OnFailure|Never"},
    {"runtimeClassName", "dnsSubdomain", Use::kRefused,
     "there is one runtime, and another one's isolation would be missing"},
    {"schedulerName", "string", Use::kIgnored, kOneNode, "default-scheduler"},
    {"schedulingGates", "[]PodSchedulingGate", Use::kRefused,
     "the pod would start although it should wait"},
    {"schedulingGroup", "object", Use::kIgnored, kOneNode},
    {"securityContext", "PodSecurityContext"},
    {"serviceAccount", "dnsSubdomain"},
    {"serviceAccountName", "dnsSubdomain"},
    {"setHostnameAsFQDN", "bool", Use::kIgnored, "the hostname is the short name"},
    {"shareProcessNamespace", "bool", Use::kIgnored,
     "the containers of a pod always share one PID namespace", "true"},
    {"subdomain", "dnsLabel"},
    {"terminationGracePeriodSeconds", "nonNegative64"},
    {"tolerations", "[]Toleration", Use::kIgnored, kOneNode},
    {"topologySpreadConstraints", "[]TopologySpreadConstraint", Use::kIgnored, kOneNode},
    {"volumes", "[]Volume"},
    {"workloadRef", "object", Use::kIgnored, kOneNode},
};

constexpr FieldSchema kPodSecurityContext[] = {
    {"appArmorProfile", "AppArmorProfile", Use::kIgnored, "no AppArmor profile is loaded"},
    {"fsGroup", "userId"},
    {"fsGroupChangePolicy", "enum:OnRootMismatch|Always", Use::kIgnored,
     "volumes are made new for each pod"},
    {"runAsGroup", "userId"},
    {"runAsNonRoot", "bool"},
    {"runAsUser", "userId"},
    {"seLinuxChangePolicy", "enum:MountOption|Recursive", Use::kIgnored, "SELinux is not used"},
    {"seLinuxOptions", "SELinuxOptions", Use::kIgnored, "SELinux is not used"},
    {"seccompProfile", "SeccompProfile", Use::kIgnored, "no seccomp profile is loaded"},
    {"supplementalGroups", "[]userId"},
    {"supplementalGroupsPolicy", "enum:Merge|Strict", Use::kIgnored,
     "the groups are exactly those of the manifest", "Strict"},
    {"sysctls", "[]Sysctl", Use::kIgnored, "kernel parameters are not set"},
    {"windowsOptions", "WindowsSecurityContextOptions", Use::kIgnored, "every pod runs on Linux"},
};

constexpr FieldSchema kAppArmorProfile[] = {{"type", "enum:Localhost|RuntimeDefault|Unconfined!"},
                                            {"localhostProfile", "string"}};
constexpr FieldSchema kSeccompProfile[] = {{"type", "enum:Localhost|RuntimeDefault|Unconfined!"},
                                           {"localhostProfile", "relativePath"}};
constexpr FieldSchema kSELinuxOptions[] = {
    {"level", "string"}, {"role", "string"}, {"type", "string"}, {"user", "string"}};
constexpr FieldSchema kSysctl[] = {{"name", "string!"}, {"value", "string"}};
constexpr FieldSchema kWindowsOptions[] = {{"gmsaCredentialSpec", "string"},
                                           {"gmsaCredentialSpecName", "string"},
                                           {"hostProcess", "bool"},
                                           {"runAsUserName", "string"}};

constexpr FieldSchema kPodDNSConfig[] = {
    {"nameservers", "[]ip"}, {"options", "[]PodDNSConfigOption"}, {"searches", "[]string"}};
constexpr FieldSchema kPodDNSConfigOption[] = {{"name", "string!"}, {"value", "string"}};
constexpr FieldSchema kHostAlias[] = {{"ip", "ip!"}, {"hostnames", "[]dnsSubdomain"}};
constexpr FieldSchema kPodOS[] = {{"name", "enum:linux|windows!"}};
constexpr FieldSchema kPodReadinessGate[] = {{"conditionType", "labelKey!"}};
constexpr FieldSchema kPodResourceClaim[] = {{"name", "dnsLabel!"},
                                             {"resourceClaimName", "dnsSubdomain"},
                                             {"resourceClaimTemplateName", "dnsSubdomain"}};
constexpr FieldSchema kPodSchedulingGate[] = {{"name", "labelKey!"}};

constexpr FieldSchema kPodStatus[] = {
    {"allocatedResources", "map[]quantity"},
    {"conditions", "[]object"},
    {"containerStatuses", "[]object"},
    {"ephemeralContainerStatuses", "[]object"},
    {"extendedResourceClaimStatus", "object"},
    {"hostIP", "ip"},
    {"hostIPs", "[]PodIP"},
    {"initContainerStatuses", "[]object"},
    {"message", "string"},
    {"nominatedNodeName", "string"},
    {"observedGeneration", "int64"},
    {"phase", "enum:Pending|Running|Succeeded|Failed|Unknown"},
    {"podIP", "ip"},
    {"podIPs", "[]PodIP"},
    {"qosClass", "enum:Guaranteed|Burstable|BestEffort"},
    {"reason", "string"},
    {"resize", "string"},
    {"resourceClaimStatuses", "[]object"},
    {"resources", "object"},
    {"startTime", "time"},
};
constexpr FieldSchema kPodIP[] = {{"ip", "ip!"}};

constexpr TypeSchema kTypes[] = {
    {"Pod", kPod},
    {"PodTemplateSpec", kPodTemplateSpec},
    {"PodSpec", kPodSpec},
    {"PodSecurityContext", kPodSecurityContext},
    {"AppArmorProfile", kAppArmorProfile},
    {"SeccompProfile", kSeccompProfile},
    {"SELinuxOptions", kSELinuxOptions},
    {"Sysctl", kSysctl},
    {"WindowsSecurityContextOptions", kWindowsOptions},
    {"PodDNSConfig", kPodDNSConfig},
    {"PodDNSConfigOption", kPodDNSConfigOption},
    {"HostAlias", kHostAlias},
    {"PodOS", kPodOS},
    {"PodReadinessGate", kPodReadinessGate},
    {"PodResourceClaim", kPodResourceClaim},
    {"PodSchedulingGate", kPodSchedulingGate},
    {"PodStatus", kPodStatus},
    {"PodIP", kPodIP},
};

}  // namespace

std::span<const TypeSchema> pod_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
