#include <array>

#include "k8s/decode.h"

namespace sallyport::k8s {
namespace {

// What env may take from its own pod.
bool is_pod_field(std::string_view path) {
  constexpr std::array<std::string_view, 9> kPaths{"metadata.name",
                                                   "metadata.namespace",
                                                   "metadata.uid",
                                                   "spec.nodeName",
                                                   "spec.serviceAccountName",
                                                   "status.hostIP",
                                                   "status.hostIPs",
                                                   "status.podIP",
                                                   "status.podIPs"};
  for (std::string_view known : kPaths)
    if (path == known) return true;
  for (std::string_view map : {"metadata.labels['", "metadata.annotations['"})
    if (path.starts_with(map) && path.ends_with("']") && path.size() > map.size() + 2) return true;
  return false;
}

void decode_source(const Field& field, EnvVar& out) {
  if (!field.value().is_map()) return;
  if (field.count(
          {"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"}) != 1) {
    field.error(
        "expected exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef");
    return;
  }
  if (Field ref = field["fieldRef"]; ref.present()) {
    out.from = EnvVar::From::kField;
    out.ref_key = ref["fieldPath"].text();
    if (!out.ref_key.empty() && !is_pod_field(out.ref_key))
      ref["fieldPath"].error(quoted(out.ref_key) +
                             " is not supported, expected metadata.name, metadata.namespace, "
                             "metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], "
                             "spec.nodeName, spec.serviceAccountName, status.hostIP, "
                             "status.hostIPs, status.podIP or status.podIPs");
    return;
  }
  bool secret = field["secretKeyRef"].present();
  Field ref = field[secret ? "secretKeyRef" : "configMapKeyRef"];
  if (!ref.present()) return;
  out.from = secret ? EnvVar::From::kSecret : EnvVar::From::kConfigMap;
  out.ref_name = ref["name"].text();
  out.ref_key = ref["key"].text();
  out.optional = ref["optional"].boolean();
}

}  // namespace

std::vector<EnvVar> decode_env(const Field& field) {
  std::vector<EnvVar> env;
  for (const Field& item : field.items()) {
    EnvVar variable;
    variable.name = item["name"].text();
    variable.value = item["value"].text();
    Field from = item["valueFrom"];
    if (from.present()) {
      if (!variable.value.empty()) from.error_at_key("valueFrom beside value, expected one");
      decode_source(from, variable);
    }
    env.push_back(std::move(variable));
  }
  return env;
}

std::vector<EnvFrom> decode_env_from(const Field& field) {
  std::vector<EnvFrom> sources;
  for (const Field& item : field.items()) {
    EnvFrom source;
    source.prefix = item["prefix"].text();
    if (item.value().is_map() && item.count({"configMapRef", "secretRef"}) != 1)
      item.error("expected exactly one of configMapRef and secretRef");
    source.secret = item["secretRef"].present();
    Field ref = item[source.secret ? "secretRef" : "configMapRef"];
    source.name = ref["name"].text();
    source.optional = ref["optional"].boolean();
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace sallyport::k8s
