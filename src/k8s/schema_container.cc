// Container and what belongs to it (core/v1).
#include "k8s/schema.h"

namespace sallyport::k8s {
namespace {

constexpr std::string_view kLogs = "standard output and error go to the log, input is /dev/null";

constexpr FieldSchema kContainer[] = {
    {"args", "[]string"},
    {"command", "[]string"},
    {"env", "[]EnvVar"},
    {"envFrom", "[]EnvFromSource"},
    {"image", "string!"},
    {"imagePullPolicy", "enum:Always|IfNotPresent|Never", Use::kIgnored,
     "programs come from the host's file system", "IfNotPresent"},
    {"lifecycle", "Lifecycle", Use::kIgnored, "hooks are not run"},
    {"livenessProbe", "Probe"},
    {"name", "dnsLabel!"},
    {"ports", "[]ContainerPort"},
    {"readinessProbe", "Probe"},
    {"resizePolicy", "[]ContainerResizePolicy", Use::kIgnored, "changed limits replace the pod"},
    {"resources", "ResourceRequirements"},
    {"restartPolicy", "enum:Always|OnFailure|Never", Use::kRefused,
     "containers follow the pod's restartPolicy, and init containers run to their end"},
    {"restartPolicyRules", "[]object", Use::kRefused, "containers follow the pod's restartPolicy"},
    {"securityContext", "SecurityContext"},
    {"startupProbe", "Probe"},
    {"stdin", "bool", Use::kIgnored, kLogs},
    {"stdinOnce", "bool", Use::kIgnored, kLogs},
    {"terminationMessagePath", "string", Use::kIgnored, "the exit status and the log are kept",
     "/dev/termination-log"},
    {"terminationMessagePolicy", "enum:File|FallbackToLogsOnError", Use::kIgnored,
     "the exit status and the log are kept", "File"},
    {"tty", "bool", Use::kIgnored, kLogs},
    {"volumeDevices", "[]VolumeDevice", Use::kRefused, "there are no block volumes"},
    {"volumeMounts", "[]VolumeMount"},
    {"workingDir", "string"},
};

constexpr FieldSchema kContainerPort[] = {
    {"containerPort", "port!"},
    {"hostIP", "ip", Use::kIgnored, "use `sallyport port-forward` to reach the pod"},
    {"hostPort", "port", Use::kIgnored, "use `sallyport port-forward` to reach the pod"},
    {"name", "portName"},
    {"protocol", "protocol"},
};

constexpr FieldSchema kEnvVar[] = {
    {"name", "envName!"}, {"value", "string"}, {"valueFrom", "EnvVarSource"}};
constexpr FieldSchema kEnvVarSource[] = {
    {"configMapKeyRef", "ConfigMapKeySelector"},
    {"fieldRef", "ObjectFieldSelector"},
    {"fileKeyRef", "FileKeySelector", Use::kRefused, "files of volumes are not read for it"},
    {"resourceFieldRef", "ResourceFieldSelector", Use::kRefused, "resources are not exposed so"},
    {"secretKeyRef", "SecretKeySelector"},
};
constexpr FieldSchema kConfigMapKeySelector[] = {
    {"name", "dnsSubdomain!"}, {"key", "configKey!"}, {"optional", "bool"}};
constexpr FieldSchema kSecretKeySelector[] = {
    {"name", "dnsSubdomain!"}, {"key", "configKey!"}, {"optional", "bool"}};
constexpr FieldSchema kFileKeySelector[] = {
    {"key", "string!"}, {"optional", "bool"}, {"path", "relativePath!"}, {"volumeName", "string!"}};
constexpr FieldSchema kObjectFieldSelector[] = {
    {"apiVersion", "string", Use::kIgnored, "there is one version", "v1"},
    {"fieldPath", "string!"}};
constexpr FieldSchema kResourceFieldSelector[] = {
    {"containerName", "string"}, {"divisor", "quantity"}, {"resource", "string!"}};
constexpr FieldSchema kEnvFromSource[] = {
    {"configMapRef", "ConfigMapEnvSource"},
    {"prefix", "envName"},
    {"secretRef", "SecretEnvSource"},
};
constexpr FieldSchema kConfigMapEnvSource[] = {{"name", "dnsSubdomain!"}, {"optional", "bool"}};
constexpr FieldSchema kSecretEnvSource[] = {{"name", "dnsSubdomain!"}, {"optional", "bool"}};

constexpr FieldSchema kProbe[] = {
    {"exec", "ExecAction"},
    {"failureThreshold", "nonNegative"},
    {"grpc", "GRPCAction", Use::kRefused, "gRPC probes are not run; use tcpSocket or exec"},
    {"httpGet", "HTTPGetAction"},
    {"initialDelaySeconds", "nonNegative"},
    {"periodSeconds", "nonNegative"},
    {"successThreshold", "nonNegative"},
    {"tcpSocket", "TCPSocketAction"},
    {"terminationGracePeriodSeconds", "positive", Use::kIgnored,
     "the pod's terminationGracePeriodSeconds is used"},
    {"timeoutSeconds", "nonNegative"},
};
constexpr FieldSchema kExecAction[] = {{"command", "[]string!"}};
constexpr FieldSchema kGRPCAction[] = {{"port", "port!"}, {"service", "string"}};
constexpr FieldSchema kHTTPGetAction[] = {
    {"host", "string"},
    {"httpHeaders", "[]HTTPHeader"},
    {"path", "string"},
    {"port", "intOrString!"},
    {"scheme", "enum:HTTP|HTTPS", Use::kRefused, "probes speak HTTP without TLS", "HTTP"},
};
constexpr FieldSchema kHTTPHeader[] = {{"name", "headerName!"}, {"value", "string"}};
constexpr FieldSchema kTCPSocketAction[] = {{"host", "string"}, {"port", "intOrString!"}};

constexpr FieldSchema kLifecycle[] = {
    {"postStart", "LifecycleHandler"}, {"preStop", "LifecycleHandler"}, {"stopSignal", "string"}};
constexpr FieldSchema kLifecycleHandler[] = {{"exec", "ExecAction"},
                                             {"httpGet", "HTTPGetAction"},
                                             {"sleep", "SleepAction"},
                                             {"tcpSocket", "TCPSocketAction"}};
constexpr FieldSchema kSleepAction[] = {{"seconds", "nonNegative64"}};

constexpr FieldSchema kResourceRequirements[] = {
    {"claims", "[]ResourceClaim", Use::kRefused, "there are no device drivers"},
    {"limits", "map[]quantity"},
    {"requests", "map[]quantity", Use::kIgnored, "there is one node and no scheduler"},
};
constexpr FieldSchema kResourceClaim[] = {{"name", "dnsLabel!"}, {"request", "dnsLabel"}};
constexpr FieldSchema kContainerResizePolicy[] = {
    {"resourceName", "enum:cpu|memory!"}, {"restartPolicy", "enum:NotRequired|RestartContainer!"}};

constexpr FieldSchema kSecurityContext[] = {
    {"allowPrivilegeEscalation", "bool"},
    {"appArmorProfile", "AppArmorProfile", Use::kIgnored, "no AppArmor profile is loaded"},
    {"capabilities", "Capabilities"},
    {"privileged", "bool", Use::kRefused, "it would give the pod the host"},
    {"procMount", "enum:Default|Unmasked", Use::kRefused, "/proc is masked in every pod",
     "Default"},
    {"readOnlyRootFilesystem", "bool"},
    {"runAsGroup", "userId"},
    {"runAsNonRoot", "bool"},
    {"runAsUser", "userId"},
    {"seLinuxOptions", "SELinuxOptions", Use::kIgnored, "SELinux is not used"},
    {"seccompProfile", "SeccompProfile", Use::kIgnored, "no seccomp profile is loaded"},
    {"windowsOptions", "WindowsSecurityContextOptions", Use::kIgnored, "every pod runs on Linux"},
};
constexpr FieldSchema kCapabilities[] = {{"add", "[]string"}, {"drop", "[]string"}};

constexpr FieldSchema kVolumeDevice[] = {{"devicePath", "string!"}, {"name", "string!"}};
constexpr FieldSchema kVolumeMount[] = {
    {"mountPath", "string!"},
    {"mountPropagation", "enum:None|HostToContainer|Bidirectional", Use::kRefused,
     "mounts do not propagate between pods", "None"},
    {"name", "string!"},
    {"readOnly", "bool"},
    {"recursiveReadOnly", "enum:Disabled|IfPossible|Enabled", Use::kIgnored,
     "volumes hold no mounts of their own", "Disabled"},
    {"subPath", "relativePath"},
    {"subPathExpr", "relativePath", Use::kRefused, "use subPath"},
};

constexpr TypeSchema kTypes[] = {
    {"Container", kContainer},
    {"ContainerPort", kContainerPort},
    {"EnvVar", kEnvVar},
    {"EnvVarSource", kEnvVarSource},
    {"ConfigMapKeySelector", kConfigMapKeySelector},
    {"SecretKeySelector", kSecretKeySelector},
    {"FileKeySelector", kFileKeySelector},
    {"ObjectFieldSelector", kObjectFieldSelector},
    {"ResourceFieldSelector", kResourceFieldSelector},
    {"EnvFromSource", kEnvFromSource},
    {"ConfigMapEnvSource", kConfigMapEnvSource},
    {"SecretEnvSource", kSecretEnvSource},
    {"Probe", kProbe},
    {"ExecAction", kExecAction},
    {"GRPCAction", kGRPCAction},
    {"HTTPGetAction", kHTTPGetAction},
    {"HTTPHeader", kHTTPHeader},
    {"TCPSocketAction", kTCPSocketAction},
    {"Lifecycle", kLifecycle},
    {"LifecycleHandler", kLifecycleHandler},
    {"SleepAction", kSleepAction},
    {"ResourceRequirements", kResourceRequirements},
    {"ResourceClaim", kResourceClaim},
    {"ContainerResizePolicy", kContainerResizePolicy},
    {"SecurityContext", kSecurityContext},
    {"Capabilities", kCapabilities},
    {"VolumeDevice", kVolumeDevice},
    {"VolumeMount", kVolumeMount},
};

}  // namespace

std::span<const TypeSchema> container_types() {
  return kTypes;
}

}  // namespace sallyport::k8s
