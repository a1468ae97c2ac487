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
        "security.istio.io/v1\nkind: AuthorizationPolicy",
        "security.istio.io/v1beta1\nkind: PeerAuthentication",
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
