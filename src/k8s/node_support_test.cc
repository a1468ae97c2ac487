#include "k8s/node_support.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sallyport::k8s {
namespace {

// One line per diagnostic, without the file.
std::vector<std::string> unsupported(const std::string& text, bool allow = false) {
  Manifest manifest = parse_manifest(text, "f");
  for (const Diagnostic& d : manifest.diagnostics) ADD_FAILURE() << d.to_string();
  std::vector<std::string> out;
  for (const Diagnostic& d : unsupported_by_node(manifest, allow))
    out.push_back(d.to_string().substr(2));
  return out;
}

const std::string kPod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n";
const std::string kContainer = "  containers: [{name: c, image: i}]\n";

TEST(NodeSupport, AnOrdinaryPodIsSilent) {
  EXPECT_TRUE(unsupported(kPod + kContainer).empty());
  EXPECT_TRUE(unsupported(kPod + kContainer +
                          "  hostNetwork: false\n  hostUsers: true\n  dnsPolicy: ClusterFirst\n"
                          "  affinity:\n  tolerations: []\n  priority: 0\n  schedulerName: "
                          "default-scheduler\n")
                  .empty());
}

TEST(NodeSupport, EachRefusedFieldOfThePod) {
  struct Row {
    std::string line, at, path;
  };
  for (const Row& row : {
           Row{"hostNetwork: true", "6:16", "spec.hostNetwork"},
           Row{"hostPID: true", "6:12", "spec.hostPID"},
           Row{"hostIPC: true", "6:12", "spec.hostIPC"},
           Row{"hostUsers: false", "6:14", "spec.hostUsers"},
           Row{"runtimeClassName: gvisor", "6:21", "spec.runtimeClassName"},
           Row{"volumes: [{name: v, hostPath: {path: /}}]", "6:23", "spec.volumes[0].hostPath"},
           Row{"volumes: [{name: v, persistentVolumeClaim: {claimName: x}}]", "6:23",
               "spec.volumes[0].persistentVolumeClaim"},
           Row{"volumes: [{name: v, nfs: {}}]", "6:23", "spec.volumes[0].nfs"},
           Row{"schedulingGates: [{name: a}]", "6:3", "spec.schedulingGates"},
           Row{"initContainers: [{name: s, image: i, restartPolicy: Always}]", "6:55",
               "spec.initContainers[0].restartPolicy"},
       }) {
    auto lines = unsupported(kPod + kContainer + "  " + row.line + "\n");
    ASSERT_EQ(lines.size(), 1u) << row.line;
    EXPECT_TRUE(lines[0].starts_with(row.at + ": Pod/default/p: " + row.path + ": ")) << lines[0];
    EXPECT_NE(lines[0].find("is refused: "), std::string::npos) << lines[0];
    EXPECT_EQ(lines[0].find("warning"), std::string::npos) << lines[0];
  }
}

TEST(NodeSupport, EachRefusedFieldOfTheContainer) {
  for (const char* field :
       {"securityContext: {privileged: true}", "securityContext: {procMount: Unmasked}",
        "livenessProbe: {grpc: {port: 5}}", "readinessProbe: {httpGet: {port: 5, scheme: HTTPS}}",
        "volumeDevices: [{name: v, devicePath: /x}]",
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
        "volumeMounts: [{name: v, mountPath: /x, subPathExpr: a}]",
        "volumeMounts: [{name: v, mountPath: /x, mountPropagation: Bidirectional}]"}) {
    auto lines = unsupported(kPod + "  volumes: [{name: v}]\n  containers: [{name: c, image: i, " +
                             field + "}]\n");
    ASSERT_EQ(lines.size(), 1u) << field;
    EXPECT_NE(lines[0].find("is refused: "), std::string::npos) << lines[0];
  }
}

TEST(NodeSupport, IgnoredFieldsAreWarnings) {
  auto lines = unsupported(kPod + R"(  nodeSelector: {disk: ssd}
  hostAliases: [{ip: 198.18.0.1}]
  containers:
  - name: c
    image: i
    imagePullPolicy: Always
    lifecycle: {preStop: {exec: {command: [a]}}}
    resources: {requests: {cpu: 1}}
)");
  ASSERT_EQ(lines.size(), 5u) << join(lines, "\n");
  EXPECT_EQ(lines[0],
            "5:3: Pod/default/p: spec.nodeSelector: warning: has no effect: there is one node and "
            "no scheduler");
  EXPECT_TRUE(lines[1].starts_with("6:3: Pod/default/p: spec.hostAliases: warning: "));
  EXPECT_TRUE(lines[2].starts_with("10:22: Pod/default/p: spec.containers[0].imagePullPolicy: "));
  EXPECT_TRUE(lines[3].starts_with("11:5: Pod/default/p: spec.containers[0].lifecycle: "));
  EXPECT_TRUE(lines[4].starts_with("12:17: Pod/default/p: spec.containers[0].resources.requests"));
}

TEST(NodeSupport, TemplatesAreSearchedToo) {
  auto lines = unsupported(R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  paused: true
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {hostPID: true, containers: [{name: c, image: i}]}
)");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("5:11: Deployment/default/d: spec.paused: is refused"));
  EXPECT_TRUE(lines[1].starts_with("9:21: Deployment/default/d: spec.template.spec.hostPID: "));
}

TEST(NodeSupport, ServiceTypes) {
  const std::string head = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: ";
  EXPECT_TRUE(unsupported(head + "{type: ClusterIP, ports: [{port: 1}]}").empty());
  EXPECT_TRUE(unsupported(head + "{clusterIP: None}").empty());
  for (const char* type : {"NodePort", "LoadBalancer"}) {
    auto lines = unsupported(head + "{type: " + type + ", ports: [{port: 1}]}");
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0], std::string("4:14: Service/default/s: spec.type: \"") + type +
                            "\" is refused: the node offers ClusterIP and headless Services");
  }
  EXPECT_EQ(unsupported(head + "{type: ExternalName, externalName: a.b}").size(), 2u);
  EXPECT_EQ(unsupported(head + "{externalIPs: [198.18.0.1], ports: [{port: 1}]}").size(), 1u);
}

TEST(NodeSupport, PoliciesThatAreNotEnforcedAreRefusedUnlessAllowed) {
  for (const char* header :
       {"policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy",
        "cilium.io/v2\nkind: CiliumNetworkPolicy", "cilium.io/v2\nkind: CiliumCIDRGroup",
        "projectcalico.org/v3\nkind: GlobalNetworkPolicy",
        "crd.projectcalico.org/v1\nkind: NetworkPolicy",
        "kuma.io/v1alpha1\nkind: MeshTrafficPermission", "policy.linkerd.io/v1beta3\nkind: Server",
        "sallyport.dev/v1alpha1\nkind: AIPolicy", "unheard.of/v1\nkind: FirewallPolicy"}) {
    std::string text = std::string("apiVersion: ") + header + "\nmetadata: {name: x}\n";
    auto lines = unsupported(text);
    ASSERT_EQ(lines.size(), 1u) << header;
    EXPECT_TRUE(lines[0].starts_with("1:1: ")) << lines[0];
    EXPECT_NE(lines[0].find("is not enforced by this node; remove it, or start with "
                            "--allow-unenforced"),
              std::string::npos)
        << lines[0];
    lines = unsupported(text, true);
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find(": warning: "), std::string::npos) << lines[0];
  }
  auto lines = unsupported(R"(apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}
)");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].starts_with("1:1: ClusterNetworkPolicy/c: ClusterNetworkPolicy ("));
  EXPECT_TRUE(
      unsupported("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n")
          .empty());
}

TEST(NodeSupport, IstiosKindsAreEnforced) {
  EXPECT_TRUE(unsupported(R"(apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: a}
spec: {rules: [{when: [{key: source.ip, values: [198.18.0.1]}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a}
spec: {jwtRules: [{issuer: a, jwks: '{"keys":[{"kty":"RSA","n":"a","e":"b"}]}', fromHeaders: [{name: x}]}]}
)")
                  .empty());
}

TEST(NodeSupport, PartsOfIstiosKindsThatNeedMoreAreRefused) {
  const std::string text = R"(apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a}
spec:
  action: CUSTOM
  provider: {name: opa}
  rules:
  - when: [{key: "experimental.envoy.filters.x[y]", values: [z]}, {key: "request.headers[:method]", values: [z]}, {key: "request.headers[:scheme]", values: [z]}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: r}
spec:
  jwtRules:
  - issuer: a
  - issuer: b
    jwksUri: https://b
  - issuer: c
    jwks_uri: https://c
    fromCookies: [c]
    fromParams: [d]
    outputPayloadToHeader: e
    outputClaimToHeaders: [{header: f, claim: g}]
)";
  auto lines = unsupported(text);
  ASSERT_EQ(lines.size(), 10u) << join(lines, "\n");
  EXPECT_EQ(lines[0],
            "5:11: AuthorizationPolicy/default/a: spec.action: is refused: action CUSTOM asks an "
            "external authorizer, which this node does not support");
  EXPECT_TRUE(lines[1].starts_with(
      "8:18: AuthorizationPolicy/default/a: spec.rules[0].when[0].key: is refused: "))
      << lines[1];
  EXPECT_TRUE(lines[3].starts_with(
      "15:5: RequestAuthentication/default/r: spec.jwtRules[0].jwks: is refused: is missing"))
      << lines[3];
  EXPECT_TRUE(lines[2].starts_with(
      "8:121: AuthorizationPolicy/default/a: spec.rules[0].when[2].key: is refused: "))
      << lines[2];
  const std::string rule = "RequestAuthentication/default/r: spec.jwtRules[";
  EXPECT_TRUE(lines[4].starts_with("17:5: " + rule + "1].jwksUri: is refused: ")) << lines[4];
  EXPECT_TRUE(lines[5].starts_with("19:5: " + rule + "2].jwks_uri: is refused: ")) << lines[5];
  EXPECT_TRUE(lines[6].starts_with("20:5: " + rule + "2].fromCookies: is refused: ")) << lines[6];
  EXPECT_TRUE(lines[7].starts_with("21:5: " + rule + "2].fromParams: is refused: ")) << lines[7];
  EXPECT_TRUE(lines[8].starts_with("22:5: " + rule + "2].outputPayloadToHeader: is refused: "))
      << lines[8];
  EXPECT_TRUE(lines[9].starts_with("23:5: " + rule + "2].outputClaimToHeaders: is refused: "))
      << lines[9];
  lines = unsupported(text, true);
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[0],
            "5:11: AuthorizationPolicy/default/a: spec.action: warning: action CUSTOM asks an "
            "external authorizer, which this node does not support; the workloads that this policy "
            "selects are denied");
  for (const std::string& line : lines) EXPECT_NE(line.find(": warning: "), std::string::npos);
}

TEST(NodeSupport, TheMeshesSettingsAreCheckedToo) {
  auto lines = unsupported(R"(apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: Corp
    enableTracing: true
)");
  ASSERT_EQ(lines.size(), 2u) << join(lines, "\n");
  EXPECT_EQ(lines[0],
            "5:9: ConfigMap/istio-system/istio: data.mesh.trustDomain: \"Corp\": expected 1 to 255 "
            "lower-case letters, digits, \".\", \"-\" and \"_\" (line 1, column 14 of the text)");
  EXPECT_EQ(lines[1],
            "5:9: ConfigMap/istio-system/istio: data.mesh: warning: fields that are not read and "
            "have no effect: enableTracing");
}

TEST(NodeSupport, OtherKindsAreNamedInAWarning) {
  auto lines = unsupported(
      "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\n---\n"
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: "
      "{pod-security.kubernetes.io/enforce: restricted}}\n");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0],
            "1:1: Role/default/r: warning: Role (rbac.authorization.k8s.io/v1) has no effect: this "
            "kind is not read");
  EXPECT_TRUE(lines[1].starts_with("7:30: Namespace/a: metadata.labels["));
}

}  // namespace
}  // namespace sallyport::k8s
