#include "standalone/builtin.h"

#include <algorithm>

#include "base/log.h"
#include "k8s/manifest.h"

namespace sallyport::standalone {
namespace {

constexpr char kOrigin[] = "(built in)";
constexpr char kBuiltinLabel[] = "sallyport.dev/builtin";

// The root of the pod is the host's, which has no "sallyport" of a known path: the runtime mounts
// this very program there.
std::string dns_manifest(const std::string& address) {
  return R"(apiVersion: v1
kind: Pod
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns, sallyport.dev/builtin: dns}
spec:
  terminationGracePeriodSeconds: 2
  containers:
    - name: dns
      image: sallyport
      command: [sallyport, dns, --records, /etc/sallyport-dns/zone, --port, "53"]
      ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53, protocol: TCP}
      securityContext:
        runAsUser: 65534
        runAsGroup: 65534
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
      readinessProbe:
        tcpSocket: {port: 53}
        periodSeconds: 2
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns}
spec:
  clusterIP: )" +
         address + R"(
  selector: {k8s-app: kube-dns}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: 53}
    - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
)";
}

std::string node_manifest(const node::Ranges& ranges) {
  return "apiVersion: v1\nkind: Node\nmetadata:\n  name: " + std::string(kNodeName) +
         "\nstatus:\n  addresses:\n    - {type: InternalIP, address: " + ranges.node4.to_string() +
         "}\n    - {type: InternalIP, address: \"" + ranges.node6.to_string() + "\"}\n";
}

void append(std::vector<k8s::AnyObject>& objects, const std::string& text) {
  k8s::Manifest manifest = k8s::parse_manifest(text, kOrigin);
  for (const k8s::Diagnostic& d : manifest.diagnostics) log_error("node", d.to_string());
  std::move(manifest.objects.begin(), manifest.objects.end(), std::back_inserter(objects));
}

bool has(const std::vector<k8s::AnyObject>& objects, std::string_view kind, std::string_view ns,
         std::string_view name) {
  return std::any_of(objects.begin(), objects.end(), [&](const k8s::AnyObject& any) {
    const k8s::Object& object = k8s::base_of(any);
    return object.kind == kind && object.meta.ns == ns && object.meta.name == name;
  });
}

}  // namespace

Ip dns_address4(const node::Ranges& ranges) {
  return offset_ip(ranges.services4.base, 10);
}

void add_builtin(std::vector<k8s::AnyObject>& objects, const node::Ranges& ranges) {
  for (std::string ns : {"default", "kube-system"})
    if (!has(objects, "Namespace", "", ns))
      append(objects, "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + "}\n");
  if (!has(objects, "Node", "", kNodeName)) append(objects, node_manifest(ranges));
  if (!has(objects, "Service", "kube-system", "kube-dns"))
    append(objects, dns_manifest(dns_address4(ranges).to_string()));
}

bool is_builtin_dns(const k8s::Pod& pod) {
  auto label = pod.meta.labels.find(kBuiltinLabel);
  return pod.origin.file == kOrigin && label != pod.meta.labels.end() && label->second == "dns";
}

}  // namespace sallyport::standalone
