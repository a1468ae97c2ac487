#include "standalone/manifests.h"

#include <set>

#include "analysis/mesh_lints.h"
#include "k8s/node_support.h"
#include "node/cluster_ips.h"
#include "standalone/builtin.h"
#include "workload/references.h"

namespace sallyport::standalone {
namespace {

using k8s::Diagnostic;

Diagnostic error_at(const k8s::Object& object, std::string field, std::string message) {
  Diagnostic d;
  d.origin = object.origin;
  d.object =
      object.kind + "/" + (object.meta.ns.empty() ? "" : object.meta.ns + "/") + object.meta.name;
  d.field_path = std::move(field);
  d.message = std::move(message);
  return d;
}

// Kubernetes refuses objects of namespaces that do not exist, and pods of unknown accounts.
void check_names(const std::vector<k8s::AnyObject>& objects,
                 const std::vector<workload::PodPtr>& pods, std::vector<Diagnostic>& errors) {
  std::set<std::string> namespaces;
  std::set<std::pair<std::string, std::string>> accounts;
  for (const k8s::AnyObject& any : objects) {
    const k8s::Object& object = k8s::base_of(any);
    if (object.kind == "Namespace") namespaces.insert(object.meta.name);
    if (object.kind == "ServiceAccount") accounts.emplace(object.meta.ns, object.meta.name);
  }
  for (const k8s::AnyObject& any : objects) {
    const k8s::Object& object = k8s::base_of(any);
    if (!object.meta.ns.empty() && !namespaces.contains(object.meta.ns))
      errors.push_back(error_at(object, "metadata.namespace",
                                "the namespace \"" + object.meta.ns +
                                    "\" does not exist; expected a Namespace object of that name"));
  }
  for (const workload::PodPtr& pod : pods) {
    const std::string& account = pod->spec.service_account;
    if (account != "default" && !accounts.contains({pod->meta.ns, account}))
      errors.push_back(error_at(*pod, "spec.serviceAccountName",
                                "the service account \"" + account +
                                    "\" does not exist; expected a ServiceAccount of that name in "
                                    "the namespace \"" +
                                    pod->meta.ns + "\""));
  }
}

// Addresses that Services ask for, in conflict with another or out of the range: found here, before
// anything of the change is applied.
void check_cluster_ips(const std::vector<k8s::AnyObject>& objects, const node::Ranges& ranges,
                       std::vector<Diagnostic>& errors) {
  node::ClusterIps ips(ranges);
  for (const k8s::AnyObject& any : objects) {
    const auto* service = std::get_if<k8s::Service>(&any);
    if (!service || service->headless || service->cluster_ips.empty()) continue;
    if (auto assigned = ips.assign(*service); !assigned)
      errors.push_back(error_at(*service, "spec.clusterIP", assigned.error().message));
  }
}

}  // namespace

std::expected<AcceptedManifests, std::vector<Diagnostic>> accept_manifests(
    k8s::Manifest manifest, const node::Ranges& ranges, bool allow_unenforced) {
  AcceptedManifests accepted;
  std::vector<Diagnostic> errors;
  std::vector<Diagnostic> all = manifest.diagnostics;
  std::vector<Diagnostic> node = k8s::unsupported_by_node(manifest, allow_unenforced);
  all.insert(all.end(), node.begin(), node.end());
  for (Diagnostic& d : all)
    (d.severity == Diagnostic::Severity::kError ? errors : accepted.warnings)
        .push_back(std::move(d));
  if (!errors.empty()) return std::unexpected(std::move(errors));

  accepted.objects = std::move(manifest.objects);
  for (Diagnostic& lint : analysis::mesh_lints(accepted.objects))
    accepted.warnings.push_back(std::move(lint));
  add_builtin(accepted.objects, ranges);
  auto pods = workload::expand(accepted.objects);
  if (!pods) {
    Diagnostic d;
    d.message = pods.error().message;
    errors.push_back(std::move(d));
    return std::unexpected(std::move(errors));
  }
  accepted.desired = std::move(*pods);
  check_names(accepted.objects, accepted.desired, errors);
  check_cluster_ips(accepted.objects, ranges, errors);
  for (const workload::PodPtr& pod : accepted.desired)
    if (auto references = workload::resolve_refs(*pod, accepted.objects); !references)
      errors.insert(errors.end(), references.error().begin(), references.error().end());
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return accepted;
}

}  // namespace sallyport::standalone
