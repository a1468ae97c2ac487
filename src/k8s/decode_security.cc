#include <algorithm>

#include "k8s/decode.h"

namespace sallyport::k8s {
namespace {

// Manifests write NET_RAW; CAP_NET_RAW is accepted too, as runtimes do.
std::vector<std::string> decode_capabilities(const Field& field) {
  std::vector<std::string> names;
  for (const Field& item : field.items()) {
    std::string name = item.text();
    for (char& c : name)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c & ~0x20);
    if (name.starts_with("CAP_")) name.erase(0, 4);
    names.push_back(std::move(name));
  }
  return names;
}

void check_profile(const Field& field) {
  if (!field.value().is_map()) return;
  bool local = field["type"].text() == "Localhost";
  Field profile = field["localhostProfile"];
  if (local && profile.text().empty()) profile.error("is missing; type Localhost requires it");
  if (!local && !profile.text().empty()) profile.error("may only be set with type Localhost");
}

}  // namespace

SecurityContext decode_security(const Field& field, bool pod_level) {
  SecurityContext out;
  out.run_as_user = field["runAsUser"].maybe_integer();
  out.run_as_group = field["runAsGroup"].maybe_integer();
  out.run_as_non_root = field["runAsNonRoot"].maybe_boolean();
  check_profile(field["seccompProfile"]);
  check_profile(field["appArmorProfile"]);
  if (pod_level) {
    out.fs_group = field["fsGroup"].maybe_integer();
    for (const Field& group : field["supplementalGroups"].items())
      out.supplemental_groups.push_back(group.integer());
    return out;
  }
  out.read_only_root_filesystem = field["readOnlyRootFilesystem"].maybe_boolean();
  out.allow_privilege_escalation = field["allowPrivilegeEscalation"].maybe_boolean();
  out.capabilities_add = decode_capabilities(field["capabilities"]["add"]);
  out.capabilities_drop = decode_capabilities(field["capabilities"]["drop"]);
  Field escalation = field["allowPrivilegeEscalation"];
  if (escalation.present() && !escalation.boolean()) {
    if (field["privileged"].boolean()) escalation.error("may not be false with privileged: true");
    const auto& add = out.capabilities_add;
    if (std::find(add.begin(), add.end(), "SYS_ADMIN") != add.end())
      escalation.error("may not be false with the capability SYS_ADMIN added");
  }
  return out;
}

}  // namespace sallyport::k8s
