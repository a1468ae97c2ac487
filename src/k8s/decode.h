// Decoders, one file per group of kinds. Each fills a typed object from a field whose shape has
// been checked, applies the API server's defaults, and reports what its validation would refuse.
#pragma once

#include <set>

#include "k8s/field.h"
#include "k8s/objects.h"

namespace sallyport::k8s {

void decode_meta(const Field& metadata, ObjectMeta& out);
Labels decode_labels(const Field& field);
LabelSelector decode_selector(const Field& field);
Protocol decode_protocol(const Field& field);  // TCP where absent
IntOrString decode_port(const Field& field);   // a number 1 to 65535 or a port name

void decode(const Field& root, Namespace& out);
void decode(const Field& root, ServiceAccount& out);
void decode(const Field& root, ConfigMap& out);
void decode(const Field& root, Secret& out);
void decode(const Field& root, Node& out);
void decode(const Field& root, Pod& out);
void decode(const Field& root, Deployment& out);
void decode(const Field& root, StatefulSet& out);
void decode(const Field& root, Job& out);
void decode(const Field& root, Service& out);
void decode(const Field& root, NetworkPolicy& out);
void decode(const Field& root, ClusterNetworkPolicy& out);
void decode(const Field& root, AuthorizationPolicy& out);
void decode(const Field& root, PeerAuthentication& out);
void decode(const Field& root, RequestAuthentication& out);
void decode(const Field& root, OtherObject& out);

enum class PodOwner { kNone, kDeployment, kStatefulSet, kJob };
PodSpec decode_pod_spec(const Field& spec, PodOwner owner);
PodTemplate decode_pod_template(const Field& field, PodOwner owner);

struct ContainerContext {
  std::set<std::string> volumes;  // declared in the pod
  std::set<std::string> claims;   // resourceClaims of the pod
  bool init = false;
  bool host_network = false;
};
Container decode_container(const Field& field, const ContainerContext& context);
SecurityContext decode_security(const Field& field, bool pod_level);
std::optional<Probe> decode_probe(const Field& field, bool must_succeed_once);
Resources decode_resources(const Field& field);
std::vector<EnvVar> decode_env(const Field& field);
std::vector<EnvFrom> decode_env_from(const Field& field);

// The volumes that this program can make; the others are only checked. `names` gets all.
std::vector<Volume> decode_volumes(const Field& field, std::set<std::string>& names);

// matchLabels of Istio's workload selector, which has rules of its own for labels.
Labels decode_workload_selector(const Field& selector);
// Which workloads one of Istio's policies is for.
struct IstioScope {
  Labels labels;                 // empty: all workloads of the namespace (of the mesh, in its root)
  bool has_target_refs = false;  // gateways and waypoints instead
};
// `spec` with selector, targetRef and targetRefs.
IstioScope decode_istio_scope(const Field& spec);
// The annotation istio.io/dry-run; an error where it is not a boolean, or not allowed here.
bool decode_dry_run(const Field& metadata, bool allowed, std::string_view who_has_it);

}  // namespace sallyport::k8s
