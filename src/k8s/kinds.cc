#include "k8s/kinds.h"

#include <array>

#include "base/strings.h"
#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

template <class T>
AnyObject decode_as(const Field& root, const Object& common) {
  T out;
  static_cast<Object&>(out) = common;
  decode(root, out);
  return out;
}

template <class T>
constexpr Kind typed(std::string_view api_version, std::string_view kind, bool namespaced = true,
                     NameForm form = NameForm::kSubdomain) {
  return {api_version, kind, kind, namespaced, form, &decode_as<T>};
}

constexpr Kind other(std::string_view api_version, std::string_view kind, bool namespaced = true) {
  return {api_version, kind, "OtherObject", namespaced, NameForm::kAny, &decode_as<OtherObject>};
}

// The kinds that are read, and, so that a slip in a name is found, the others of these groups.
constexpr std::array kKinds{
    typed<Namespace>("v1", "Namespace", false, NameForm::kLabel),
    typed<ServiceAccount>("v1", "ServiceAccount"),
    typed<Pod>("v1", "Pod"),
    typed<Service>("v1", "Service", true, NameForm::kLabel1035),
    typed<ConfigMap>("v1", "ConfigMap"),
    typed<Secret>("v1", "Secret"),
    typed<Node>("v1", "Node", false),
    typed<Deployment>("apps/v1", "Deployment"),
    typed<StatefulSet>("apps/v1", "StatefulSet"),
    typed<Job>("batch/v1", "Job"),
    typed<NetworkPolicy>("networking.k8s.io/v1", "NetworkPolicy"),
    typed<ClusterNetworkPolicy>("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", false),
    typed<AuthorizationPolicy>("security.istio.io/v1", "AuthorizationPolicy"),
    typed<AuthorizationPolicy>("security.istio.io/v1beta1", "AuthorizationPolicy"),
    typed<PeerAuthentication>("security.istio.io/v1", "PeerAuthentication"),
    typed<PeerAuthentication>("security.istio.io/v1beta1", "PeerAuthentication"),
    typed<RequestAuthentication>("security.istio.io/v1", "RequestAuthentication"),
    typed<RequestAuthentication>("security.istio.io/v1beta1", "RequestAuthentication"),
    other("v1", "Binding"),
    other("v1", "Endpoints"),
    other("v1", "Event"),
    other("v1", "LimitRange"),
    other("v1", "PersistentVolume", false),
    other("v1", "PersistentVolumeClaim"),
    other("v1", "PodTemplate"),
    other("v1", "ReplicationController"),
    other("v1", "ResourceQuota"),
    other("apps/v1", "ControllerRevision"),
    other("apps/v1", "DaemonSet"),
    other("apps/v1", "ReplicaSet"),
    other("batch/v1", "CronJob"),
    other("networking.k8s.io/v1", "IPAddress", false),
    other("networking.k8s.io/v1", "Ingress"),
    other("networking.k8s.io/v1", "IngressClass", false),
    other("networking.k8s.io/v1", "ServiceCIDR", false),
};

// Kinds of other groups that have no namespace, so that "default" is not made up for them.
constexpr std::array<std::string_view, 16> kClusterScoped{"AdminNetworkPolicy",
                                                          "BaselineAdminNetworkPolicy",
                                                          "CiliumClusterwideNetworkPolicy",
                                                          "GlobalNetworkPolicy",
                                                          "GlobalNetworkSet",
                                                          "ClusterRole",
                                                          "ClusterRoleBinding",
                                                          "CustomResourceDefinition",
                                                          "PriorityClass",
                                                          "RuntimeClass",
                                                          "StorageClass",
                                                          "CSIDriver",
                                                          "MutatingWebhookConfiguration",
                                                          "ValidatingWebhookConfiguration",
                                                          "ValidatingAdmissionPolicy",
                                                          "ValidatingAdmissionPolicyBinding"};

bool is_sound_version(std::string_view api_version) {
  std::vector<std::string> parts = split(api_version, '/');
  if (parts.size() > 2) return false;
  return parts.size() == 1 ? !check_dns1035_label(parts[0])
                           : !check_dns_subdomain(parts[0]) && !check_dns1035_label(parts[1]);
}

}  // namespace

std::expected<Kind, std::string> find_kind(std::string_view api_version, std::string_view kind) {
  std::vector<std::string_view> names;
  std::string elsewhere;
  bool group_known = api_version.find('/') == std::string_view::npos;
  for (const Kind& known : kKinds) {
    bool same_version = known.api_version == api_version;
    if (same_version && known.kind == kind) return known;
    if (same_version) names.push_back(known.kind);
    if (known.kind == kind && elsewhere.empty()) elsewhere = known.api_version;
    group_known = group_known || known.api_version.substr(0, known.api_version.find('/')) ==
                                     api_version.substr(0, api_version.find('/'));
  }
  std::string text = "no kind " + quoted(kind) + " in apiVersion " + quoted(api_version);
  // A foreign group may well have a kind of the same name; only the versions of the known groups
  // and groups that Kubernetes has dropped are wrong for sure.
  bool dropped = api_version.starts_with("extensions/") ||
                 api_version.starts_with("networking.k8s.io/") ||
                 api_version.starts_with("apps/") || api_version.starts_with("batch/");
  bool foreign_policy = api_version.starts_with("policy.networking.k8s.io/");
  if ((group_known && !foreign_policy) || dropped) {
    if (!elsewhere.empty()) return std::unexpected(text + ", expected apiVersion " + elsewhere);
    std::string near = nearest_word(kind, names);
    return std::unexpected(text + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  if (!is_sound_version(api_version))
    return std::unexpected("apiVersion " + quoted(api_version) +
                           " is not a version, expected VERSION or GROUP/VERSION");
  Kind foreign = other(api_version, kind);
  for (std::string_view name : kClusterScoped)
    if (name == kind) foreign.namespaced = false;
  return foreign;
}

}  // namespace sallyport::k8s
