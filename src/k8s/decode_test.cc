// What decoded objects hold: the API server's defaults, and every form of every field.
#include <gtest/gtest.h>

#include "k8s/manifest.h"

// A value that is missing throws, which fails the test.
// NOLINTBEGIN(bugprone-unchecked-optional-access)

namespace sallyport::k8s {
namespace {

Manifest parse(std::string_view text) {
  Manifest manifest = parse_manifest(text, "f.yaml");
  for (const Diagnostic& d : manifest.diagnostics) ADD_FAILURE() << d.to_string();
  return manifest;
}

template <class T>
T only(std::string_view text) {
  Manifest manifest = parse(text);
  if (manifest.objects.size() != 1 || !std::holds_alternative<T>(manifest.objects[0])) {
    ADD_FAILURE() << "not one object of the kind";
    return {};
  }
  return std::get<T>(manifest.objects[0]);
}

NetworkPolicy policy(const std::string& spec) {
  return only<NetworkPolicy>(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np}\nspec: " + spec);
}

Pod pod(const std::string& spec) {
  return only<Pod>("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ns}\nspec: " + spec);
}

TEST(Decode, Metadata) {
  Pod p = only<Pod>(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: u-1, labels: {a: b}, annotations: {c: "
      "d}}\nspec: {containers: [{name: c, image: i}]}");
  EXPECT_EQ(p.meta.ns, "default");
  EXPECT_EQ(p.meta.uid, "u-1");
  EXPECT_EQ(p.meta.labels, (Labels{{"a", "b"}}));
  EXPECT_EQ(p.meta.annotations.at("c"), "d");
  EXPECT_EQ(p.api_version, "v1");
  EXPECT_EQ(p.kind, "Pod");
  EXPECT_EQ((*p.raw)["metadata"]["name"].as_string(), "p");
  EXPECT_EQ(name_of(p), "Pod/default/p");

  Namespace ns = only<Namespace>("apiVersion: v1\nkind: Namespace\nmetadata: {name: n1}");
  EXPECT_EQ(ns.meta.ns, "");
  EXPECT_EQ(name_of(ns), "Namespace/n1");
}

TEST(Decode, PolicyTypesAreDefaultedAsTheApiServerDoes) {
  struct Row {
    const char* spec;
    bool ingress, egress;
  };
  for (const Row& row : {Row{"{}", true, false}, Row{"{policyTypes: []}", true, false},
                         Row{"{egress: []}", true, false}, Row{"{egress: [{}]}", true, true},
                         Row{"{policyTypes: [Egress]}", false, true},
                         Row{"{policyTypes: [Ingress], egress: [{}]}", true, false},
                         Row{"{policyTypes: [Ingress, Egress]}", true, true}}) {
    NetworkPolicy p = policy(row.spec);
    EXPECT_EQ(p.isolates_ingress, row.ingress) << row.spec;
    EXPECT_EQ(p.isolates_egress, row.egress) << row.spec;
  }
}

TEST(Decode, PolicyPeersAndPorts) {
  NetworkPolicy p = policy(R"(
  podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [z, x, z]}]}
  ingress:
  - from:
    - podSelector: {}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}
      podSelector: {matchLabels: {app: a}}
    - ipBlock: {cidr: 198.18.0.0/16, except: [198.18.1.0/24]}
    ports: [{}, {port: web, protocol: UDP}, {port: 80, endPort: 90, protocol: SCTP}, {port: 8.0e1}]
  - {}
)");
  EXPECT_EQ(p.pod_selector.match_expressions[0].values, (std::vector<std::string>{"x", "z"}));
  ASSERT_EQ(p.ingress.size(), 2u);
  const NetworkPolicyRule& rule = p.ingress[0];
  EXPECT_EQ(rule.mark.line, 7);
  ASSERT_EQ(rule.peers.size(), 3u);
  EXPECT_TRUE(rule.peers[0].pod_selector && rule.peers[0].pod_selector.value().empty());
  EXPECT_FALSE(rule.peers[0].namespace_selector);
  EXPECT_TRUE(rule.peers[1].pod_selector && rule.peers[1].namespace_selector);
  ASSERT_TRUE(rule.peers[2].ip_block);
  EXPECT_EQ(rule.peers[2].ip_block.value().cidr.to_string(), "198.18.0.0/16");
  EXPECT_EQ(rule.peers[2].ip_block.value().except[0].to_string(), "198.18.1.0/24");
  ASSERT_EQ(rule.ports.size(), 4u);
  EXPECT_EQ(rule.ports[0].protocol, Protocol::kTcp);
  EXPECT_FALSE(rule.ports[0].port);
  EXPECT_EQ(rule.ports[1].port.value().name, "web");
  EXPECT_EQ(rule.ports[1].protocol, Protocol::kUdp);
  EXPECT_EQ(rule.ports[2].port.value().number, 80);
  EXPECT_EQ(rule.ports[2].end_port.value(), 90);
  EXPECT_EQ(rule.ports[3].port.value().number, 80);
  EXPECT_TRUE(p.ingress[1].peers.empty() && p.ingress[1].ports.empty());
}

TEST(Decode, ClusterNetworkPolicy) {
  auto p = only<ClusterNetworkPolicy>(R"(
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: cnp}
spec:
  tier: Baseline
  priority: 7
  subject: {namespaces: {matchLabels: {team: a}}}
  ingress:
  - {name: r, action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {x: z}}}}]}
  egress:
  - action: Accept
    to: [{networks: [198.18.0.7/16, "fd00::/8"]}, {nodes: {}}, {domainNames: ["*.a.b"]}]
    protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 5, end: 9}}}}]
  - {action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: web}]}
)");
  EXPECT_EQ(p.tier, CnpTier::kBaseline);
  EXPECT_EQ(p.priority, 7);
  EXPECT_EQ(p.meta.ns, "");
  EXPECT_EQ(p.subject.namespace_selector.match_labels.at("team"), "a");
  EXPECT_TRUE(p.subject.pod_selector.empty());
  EXPECT_EQ(p.ingress[0].action, CnpAction::kPass);
  EXPECT_EQ(p.ingress[0].name, "r");
  EXPECT_EQ(p.ingress[0].peers[0].pods.value().pod_selector.match_labels.at("x"), "z");
  ASSERT_EQ(p.egress[0].peers.size(), 3u);
  EXPECT_EQ(p.egress[0].peers[0].networks[0].to_string(), "198.18.0.0/16");
  EXPECT_TRUE(p.egress[0].peers[1].nodes);
  EXPECT_EQ(p.egress[0].peers[2].domain_names[0], "*.a.b");
  EXPECT_EQ(p.egress[0].protocols[0].first_port, 80);
  EXPECT_EQ(p.egress[0].protocols[0].last_port, 80);
  EXPECT_EQ(p.egress[0].protocols[1].protocol.value(), Protocol::kUdp);
  EXPECT_EQ(p.egress[0].protocols[1].last_port, 9);
  EXPECT_FALSE(p.egress[1].protocols[0].protocol);
  EXPECT_EQ(p.egress[1].protocols[0].named_port, "web");
}

TEST(Decode, PodDefaults) {
  Pod p = pod("{containers: [{name: c, image: i}]}");
  EXPECT_EQ(p.spec.restart_policy, RestartPolicy::kAlways);
  EXPECT_EQ(p.spec.termination_grace_seconds, 30);
  EXPECT_EQ(p.spec.service_account, "default");
  EXPECT_FALSE(p.spec.host_network);
  EXPECT_TRUE(p.spec.enable_service_links);
  EXPECT_FALSE(p.spec.containers[0].readiness_probe);
  EXPECT_TRUE(p.status.pod_ips.empty());
}

TEST(Decode, PodOfEveryField) {
  Pod p = pod(R"(
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  serviceAccount: old
  nodeName: node-1
  hostname: h
  subdomain: s
  hostNetwork: true
  enableServiceLinks: false
  securityContext: {runAsUser: 1, runAsGroup: 2, runAsNonRoot: true, fsGroup: 3, supplementalGroups: [4, 5]}
  initContainers: [{name: init, image: i, command: [a]}]
  volumes:
  - {name: c, configMap: {name: conf, defaultMode: 0400, optional: true, items: [{key: k, path: d/k, mode: 0600}]}}
  - {name: s, secret: {secretName: sec}}
  - {name: e, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: plain}
  - {name: h, hostPath: {path: /}}
  containers:
  - name: main
    image: img
    command: [run]
    args: [-v, "1"]
    workingDir: /w
    ports: [{name: web, containerPort: 80}, {containerPort: 53, protocol: UDP}]
    env:
    - {name: A, value: "1"}
    - {name: B}
    - {name: C, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: D, valueFrom: {configMapKeyRef: {name: conf, key: k, optional: true}}}
    - {name: E, valueFrom: {secretKeyRef: {name: sec, key: k}}}
    envFrom: [{configMapRef: {name: conf}, prefix: P_}, {secretRef: {name: sec, optional: true}}]
    volumeMounts: [{name: c, mountPath: /c, subPath: d, readOnly: true}]
    resources: {limits: {memory: 1Gi, cpu: 1500m, sallyport.dev/pids: 64}}
    securityContext:
      runAsUser: 9
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {add: [NET_RAW, CAP_CHOWN], drop: [ALL]}
    startupProbe: {exec: {command: [ok]}}
    readinessProbe: {httpGet: {port: web, httpHeaders: [{name: X, value: z}]}, periodSeconds: 2}
    livenessProbe: {tcpSocket: {port: 80, host: h}, failureThreshold: 7, initialDelaySeconds: 1, timeoutSeconds: 4}
)");
  EXPECT_EQ(p.spec.restart_policy, RestartPolicy::kNever);
  EXPECT_EQ(p.spec.termination_grace_seconds, 5);
  EXPECT_EQ(p.spec.service_account, "old");
  EXPECT_EQ(p.spec.node_name, "node-1");
  EXPECT_EQ(p.spec.hostname, "h");
  EXPECT_EQ(p.spec.subdomain, "s");
  EXPECT_TRUE(p.spec.host_network);
  EXPECT_FALSE(p.spec.enable_service_links);
  EXPECT_EQ(p.spec.security.run_as_user, 1);
  EXPECT_EQ(p.spec.security.run_as_group, 2);
  EXPECT_EQ(p.spec.security.run_as_non_root, true);
  EXPECT_EQ(p.spec.security.fs_group, 3);
  EXPECT_EQ(p.spec.security.supplemental_groups, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(p.spec.init_containers[0].command, (std::vector<std::string>{"a"}));

  ASSERT_EQ(p.spec.volumes.size(), 4u);  // the hostPath is refused by the node, not decoded
  const Volume& config = p.spec.volumes[0];
  EXPECT_EQ(config.kind, Volume::Kind::kConfigMap);
  EXPECT_EQ(config.source, "conf");
  EXPECT_EQ(config.default_mode, 0400);
  EXPECT_TRUE(config.optional);
  EXPECT_EQ(config.items[0].path, "d/k");
  EXPECT_EQ(config.items[0].mode, 0600);
  EXPECT_EQ(p.spec.volumes[1].kind, Volume::Kind::kSecret);
  EXPECT_EQ(p.spec.volumes[1].default_mode, 0644);
  EXPECT_TRUE(p.spec.volumes[2].in_memory);
  EXPECT_EQ(p.spec.volumes[2].size_limit, 1 << 20);
  EXPECT_EQ(p.spec.volumes[3].kind, Volume::Kind::kEmptyDir);

  const Container& c = p.spec.containers[0];
  EXPECT_EQ(c.args, (std::vector<std::string>{"-v", "1"}));
  EXPECT_EQ(c.working_dir, "/w");
  EXPECT_EQ(c.ports[0].name, "web");
  EXPECT_EQ(c.ports[1].protocol, Protocol::kUdp);
  ASSERT_EQ(c.env.size(), 5u);
  EXPECT_EQ(c.env[1].value, "");
  EXPECT_EQ(c.env[2].from, EnvVar::From::kField);
  EXPECT_EQ(c.env[2].ref_key, "metadata.labels['app']");
  EXPECT_EQ(c.env[3].from, EnvVar::From::kConfigMap);
  EXPECT_TRUE(c.env[3].optional);
  EXPECT_EQ(c.env[4].from, EnvVar::From::kSecret);
  EXPECT_EQ(c.env[4].ref_name, "sec");
  EXPECT_EQ(c.env_from[0].prefix, "P_");
  EXPECT_TRUE(c.env_from[1].secret && c.env_from[1].optional);
  EXPECT_EQ(c.volume_mounts[0].sub_path, "d");
  EXPECT_TRUE(c.volume_mounts[0].read_only);
  EXPECT_EQ(c.resources.memory_limit, 1 << 30);
  EXPECT_EQ(c.resources.cpu_limit_milli, 1500);
  EXPECT_EQ(c.resources.pids_limit, 64);
  EXPECT_EQ(c.security.run_as_user, 9);
  EXPECT_EQ(c.security.read_only_root_filesystem, true);
  EXPECT_EQ(c.security.allow_privilege_escalation, false);
  EXPECT_EQ(c.security.capabilities_add, (std::vector<std::string>{"NET_RAW", "CHOWN"}));
  EXPECT_EQ(c.security.capabilities_drop, (std::vector<std::string>{"ALL"}));
  EXPECT_EQ(c.startup_probe.value().kind, Probe::Kind::kExec);
  EXPECT_EQ(c.startup_probe.value().command, (std::vector<std::string>{"ok"}));
  EXPECT_EQ(c.readiness_probe.value().kind, Probe::Kind::kHttpGet);
  EXPECT_EQ(c.readiness_probe.value().port.name, "web");
  EXPECT_EQ(c.readiness_probe.value().path, "/");
  EXPECT_EQ(c.readiness_probe.value().headers[0].second, "z");
  EXPECT_EQ(c.readiness_probe.value().period_seconds, 2);
  EXPECT_EQ(c.liveness_probe.value().kind, Probe::Kind::kTcpSocket);
  EXPECT_EQ(c.liveness_probe.value().failure_threshold, 7);
  EXPECT_EQ(c.liveness_probe.value().timeout_seconds, 4);
  EXPECT_EQ(c.liveness_probe.value().initial_delay_seconds, 1);
}

TEST(Decode, PodStatus) {
  Pod p = only<Pod>(R"(
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, image: i}]}
status: {phase: Running, hostIP: 198.18.0.1, podIP: 198.18.1.1, podIPs: [{ip: 198.18.1.1}, {ip: "fd00::1"}]}
)");
  EXPECT_EQ(p.status.phase, "Running");
  ASSERT_EQ(p.status.pod_ips.size(), 2u);
  EXPECT_EQ(p.status.pod_ips[1].to_string(), "fd00::1");
  ASSERT_EQ(p.status.host_ips.size(), 1u);
}

TEST(Decode, Workloads) {
  auto d = only<Deployment>(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}, annotations: {k: v}}
    spec: {containers: [{name: c, image: i}]}
)");
  EXPECT_EQ(d.replicas, 1);
  EXPECT_EQ(d.pod.labels.at("app"), "a");
  EXPECT_EQ(d.pod.annotations.at("k"), "v");
  EXPECT_EQ((*d.pod.raw)["spec"]["containers"].items().size(), 1u);

  auto s = only<StatefulSet>(R"(
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  replicas: 3
  serviceName: svc
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}
)");
  EXPECT_EQ(s.replicas, 3);
  EXPECT_EQ(s.service_name, "svc");

  const std::string job =
      "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: "
      "{restartPolicy: Never, containers: [{name: c, image: i}]}}";
  auto plain = only<Job>(job + "}");
  EXPECT_EQ(plain.completions, 1);
  EXPECT_EQ(plain.parallelism, 1);
  EXPECT_EQ(plain.backoff_limit, 6);
  EXPECT_EQ(only<Job>(job + ", parallelism: 4}").completions, 4);
  auto full = only<Job>(job + ", completions: 9, parallelism: 2, backoffLimit: 0}");
  EXPECT_EQ(full.completions, 9);
  EXPECT_EQ(full.backoff_limit, 0);
}

TEST(Decode, Services) {
  const std::string head = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: ";
  auto s = only<Service>(head +
                         "{selector: {app: a}, ports: [{name: a, port: 80}, {name: b, port: 53, "
                         "protocol: UDP, targetPort: dns, appProtocol: http}]}");
  EXPECT_EQ(s.selector.at("app"), "a");
  EXPECT_FALSE(s.headless);
  EXPECT_EQ(s.ports[0].target_port, (IntOrString{80, ""}));
  EXPECT_EQ(s.ports[1].target_port.name, "dns");
  EXPECT_EQ(s.ports[1].protocol, Protocol::kUdp);
  EXPECT_EQ(s.ports[1].app_protocol, "http");
  EXPECT_EQ(s.session_affinity_seconds, 10800);
  auto h = only<Service>(head + "{clusterIP: None, publishNotReadyAddresses: true}");
  EXPECT_TRUE(h.headless && h.publish_not_ready && h.cluster_ips.empty());
  auto c = only<Service>(head +
                         "{clusterIP: 198.19.0.5, clusterIPs: [198.19.0.5, \"fd00::5\"], "
                         "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: "
                         "{timeoutSeconds: 60}}, ports: [{port: 1}]}");
  EXPECT_EQ(c.cluster_ips.size(), 2u);
  EXPECT_TRUE(c.session_affinity);
  EXPECT_EQ(c.session_affinity_seconds, 60);
}

TEST(Decode, ConfigMapsSecretsAndNodes) {
  auto c = only<ConfigMap>(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: x, e: }\nbinaryData: {b: "
      "AAE=}");
  EXPECT_EQ(c.data.at("a"), "x");
  EXPECT_EQ(c.data.at("e"), "");
  EXPECT_EQ(c.data.at("b"), std::string("\0\1", 2));
  auto s = only<Secret>(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: eA==, b: eA==}\nstringData: "
      "{b: new}");
  EXPECT_EQ(s.type, "Opaque");
  EXPECT_EQ(s.data.at("a"), "x");
  EXPECT_EQ(s.data.at("b"), "new");
  auto node = only<Node>(
      "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, "
      "address: 198.18.0.9}, {type: Hostname, address: n1}]}");
  ASSERT_EQ(node.addresses.size(), 1u);
  EXPECT_EQ(node.addresses[0].to_string(), "198.18.0.9");
}

}  // namespace
}  // namespace sallyport::k8s

// NOLINTEND(bugprone-unchecked-optional-access)
