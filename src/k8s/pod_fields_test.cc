// The tables, the decoders and the documentation say the same.
#include "k8s/pod_fields.h"

#include <gtest/gtest.h>

#include <set>

#include "base/fs.h"
#include "codec/yaml.h"
#include "k8s/decode.h"
#include "k8s/kinds.h"
#include "k8s/shape.h"

namespace sallyport::k8s {
namespace {

// Together these set every field that a decoder must look at.
constexpr std::string_view kEverything = R"(
apiVersion: v1
kind: Pod
metadata: {name: p, ownerReferences: [{controller: true}]}
spec:
  securityContext: {supplementalGroups: [1]}
  volumes:
  - {name: a, configMap: {items: [{key: a}]}}
  - {name: b, secret: {items: [{key: a}]}}
  - {name: c, emptyDir: {sizeLimit: 1}}
  containers:
  - name: c
    ports: [{name: a, hostPort: 1}]
    env:
    - valueFrom: {fieldRef: {fieldPath: a}}
    - valueFrom: {configMapKeyRef: {name: a}}
    - valueFrom: {secretKeyRef: {name: a}}
    envFrom: [{configMapRef: {name: a}}, {secretRef: {name: a}}]
    volumeMounts: [{name: a, subPath: a}]
    readinessProbe: {httpGet: {httpHeaders: [{name: a}]}}
    livenessProbe: {tcpSocket: {port: 1}}
    startupProbe: {exec: {command: [a]}}
    securityContext: {capabilities: {add: [a]}}
status: {podIPs: [{ip: 198.18.0.1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {selector: {matchExpressions: [{key: a}]}, template: {spec: {containers: []}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec: {selector: {matchExpressions: [{key: a}]}, template: {spec: {containers: []}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: []}}}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 1}], sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: n1}
spec:
  ingress: [{from: [{ipBlock: {except: [a]}}], ports: [{endPort: 1}]}]
  egress: [{to: [{podSelector: {}}], ports: [{endPort: 1}]}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
spec:
  subject: {pods: {podSelector: {}}}
  ingress: [{from: [{pods: {}}, {namespaces: {}}]}]
  egress:
  - to: [{pods: {}}, {namespaces: {}}, {networks: [a]}, {nodes: {}}, {domainNames: [a]}]
    protocols:
    - tcp: {destinationPort: {range: {start: 1}}}
    - udp: {destinationPort: {number: 1}}
    - sctp: {destinationPort: {number: 1}}
    - destinationNamedPort: a
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, annotations: {a: b}}
spec:
  selector: {matchLabels: {a: b}}
  targetRef: {kind: a}
  targetRefs: [{name: a}]
  provider: {name: a}
  action: CUSTOM
  rules:
  - from: [{source: {principals: [a]}}]
    to: [{operation: {ports: [a]}}]
    when: [{key: a, values: [b]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a}
spec: {selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: STRICT}}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a}
spec:
  targetRefs: [{name: a}]
  jwtRules: [{issuer: a, fromHeaders: [{name: a}], outputClaimToHeaders: [{header: a}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {a: b}
)";

std::set<std::string> looked_at() {
  std::set<std::string> trace;
  auto documents = codec::parse_yaml(kEverything);
  if (!documents) {
    ADD_FAILURE() << documents.error().message;
    return trace;
  }
  for (const codec::Value& document : *documents) {
    auto kind = find_kind(document["apiVersion"].as_string(), document["kind"].as_string());
    EXPECT_TRUE(kind) << document["kind"].as_string();
    std::vector<Diagnostic> diagnostics;
    Sink sink{"", "", &diagnostics, 0, &trace};
    Field root(sink, document, kind->schema);
    ObjectMeta meta;
    decode_meta(root["metadata"], meta);
    kind->decode(root, Object{});
  }
  return trace;
}

TEST(PodFields, DecodersLookOnlyAtFieldsOfTheTables) {
  for (const std::string& name : looked_at()) EXPECT_FALSE(name.starts_with('?')) << name;
}

TEST(PodFields, EveryAppliedFieldIsDecoded) {
  // Read elsewhere: by the manifest reader, or by what shows objects; the rest has no meaning for a
  // node that has no API server.
  const std::set<std::string> elsewhere{"ObjectMeta.generateName",
                                        "ObjectMeta.selfLink",
                                        "ObjectMeta.resourceVersion",
                                        "ObjectMeta.generation",
                                        "ObjectMeta.deletionTimestamp",
                                        "ObjectMeta.deletionGracePeriodSeconds",
                                        "ObjectMeta.finalizers",
                                        "ObjectMeta.managedFields",
                                        "OwnerReference.apiVersion",
                                        "OwnerReference.kind",
                                        "OwnerReference.name",
                                        "OwnerReference.uid",
                                        "OwnerReference.blockOwnerDeletion"};
  const std::set<std::string> status_shown{"phase", "podIP", "podIPs", "hostIP", "hostIPs"};
  std::set<std::string> seen = looked_at();
  for (std::string_view root :
       {"Pod", "Deployment", "StatefulSet", "Job", "Service", "NetworkPolicy",
        "ClusterNetworkPolicy", "AuthorizationPolicy", "PeerAuthentication",
        "RequestAuthentication", "ConfigMap", "Secret"}) {
    for (const TypeSchema* type : applied_types(root)) {
      for (const FieldSchema& field : type->fields) {
        if (field.use != Use::kApplied) continue;
        std::string name = std::string(type->name) + "." + std::string(field.name);
        if (field.name == "apiVersion" || field.name == "kind" || elsewhere.contains(name))
          continue;
        if (field.name == "status" && root != "Pod") continue;
        if (type->name == "PodStatus" && !status_shown.contains(std::string(field.name))) continue;
        EXPECT_TRUE(seen.contains(name)) << name << " is applied, but no decoder looks at it";
      }
    }
  }
}

TEST(PodFields, TheTablesAreSound) {
  std::set<std::string_view> names;
  for (const TypeSchema* type : all_types()) {
    EXPECT_TRUE(names.insert(type->name).second) << type->name << " is there twice";
    std::set<std::string_view> fields;
    for (const FieldSchema& field : type->fields) {
      EXPECT_TRUE(fields.insert(field.name).second) << type->name << "." << field.name;
      std::string_view element = parse_type(field.type).element;
      EXPECT_TRUE(find_type(element) || is_format(element))
          << type->name << "." << field.name << " has the unknown type " << element;
      EXPECT_EQ(field.use == Use::kApplied, field.note.empty())
          << type->name << "." << field.name << ": a note says why a field is not applied";
    }
  }
}

TEST(PodFields, TheTablesHaveEveryFieldOfCoreV1) {
  // k8s.io/api/core/v1, up to Kubernetes 1.36.
  const std::pair<std::string_view, std::vector<std::string_view>> kFields[] = {
      {"PodSpec",
       {"activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "ephemeralContainers",
        "hostAliases",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "imagePullSecrets",
        "initContainers",
        "nodeName",
        "nodeSelector",
        "os",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "readinessGates",
        "resourceClaims",
        "resources",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "schedulingGates",
        "schedulingGroup",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
        "workloadRef"}},
      {"Container",
       {"args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "lifecycle",
        "livenessProbe",
        "name",
        "ports",
        "readinessProbe",
        "resizePolicy",
        "resources",
        "restartPolicy",
        "restartPolicyRules",
        "securityContext",
        "startupProbe",
        "stdin",
        "stdinOnce",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
        "volumeDevices",
        "volumeMounts",
        "workingDir"}},
  };
  for (const auto& [name, fields] : kFields) {
    const TypeSchema* type = find_type(name);
    ASSERT_NE(type, nullptr);
    for (std::string_view field : fields) EXPECT_NE(type->find(field), nullptr) << name << field;
  }
}

TEST(PodFields, TheDocumentationIsCurrent) {
  const std::string path = std::string(SALLYPORT_SOURCE_DIR) + "/docs/reference/pod-fields.md";
  auto text = read_file(path);
  const std::string wanted = pod_fields_markdown();
  if (!text || *text != wanted) {
    const std::string made = testing::TempDir() + "pod-fields.md";
    EXPECT_TRUE(write_file_atomic(made, wanted, 0644));
    ADD_FAILURE() << path << " is not what the tables say; the current text is in " << made;
  }
}

}  // namespace
}  // namespace sallyport::k8s
