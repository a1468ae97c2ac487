#include <algorithm>

#include "base/strings.h"
#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

std::vector<ContainerPort> decode_ports(const Field& list, const ContainerContext& context) {
  std::vector<ContainerPort> ports;
  std::set<std::string> names;
  for (const Field& item : list.items()) {
    ContainerPort port;
    port.name = item["name"].text();
    port.port = item["containerPort"].number();
    port.protocol = decode_protocol(item["protocol"]);
    if (!port.name.empty() && !names.insert(port.name).second)
      item["name"].error(quoted(port.name) + " is a duplicate");
    Field host = item["hostPort"];
    if (context.host_network && host.present() && host.number() != port.port)
      host.error("is " + std::to_string(host.number()) +
                 ", expected the containerPort because the pod uses hostNetwork");
    ports.push_back(std::move(port));
  }
  return ports;
}

std::vector<VolumeMount> decode_mounts(const Field& list, const ContainerContext& context) {
  std::vector<VolumeMount> mounts;
  std::set<std::string> paths;
  for (const Field& item : list.items()) {
    VolumeMount mount;
    mount.name = item["name"].text();
    mount.mount_path = item["mountPath"].text();
    mount.sub_path = item["subPath"].text();
    mount.read_only = item["readOnly"].boolean();
    if (!mount.name.empty() && !context.volumes.contains(mount.name))
      item["name"].error(quoted(mount.name) + " is not a volume of the pod");
    if (!mount.mount_path.empty() && !paths.insert(mount.mount_path).second)
      item["mountPath"].error(quoted(mount.mount_path) + " is mounted twice");
    if (!mount.sub_path.empty() && item["subPathExpr"].present())
      item["subPathExpr"].error_at_key("subPathExpr beside subPath, expected one");
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

void check_claims(const Field& resources, const ContainerContext& context) {
  for (const Field& claim : resources["claims"].items())
    if (!claim["name"].text().empty() && !context.claims.contains(claim["name"].text()))
      claim["name"].error(quoted(claim["name"].text()) + " is not a resource claim of the pod");
}

// Init containers run to their end; only sidecars (restartPolicy Always) live beside the others.
void check_init_only(const Field& field, bool init) {
  Field restart = field["restartPolicy"];
  bool sidecar = restart.text() == "Always";
  if (!init || sidecar) return;
  for (std::string_view name : {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"})
    if (field[name].present())
      field[name].error_at_key("may not be set in an init container without restartPolicy Always");
}

}  // namespace

Container decode_container(const Field& field, const ContainerContext& context) {
  Container container;
  container.name = field["name"].text();
  container.image = field["image"].text();
  if (container.image != trim(container.image))
    field["image"].error("must not have white space at its ends");
  container.command = field["command"].texts();
  container.args = field["args"].texts();
  container.working_dir = field["workingDir"].text();
  container.ports = decode_ports(field["ports"], context);
  container.env = decode_env(field["env"]);
  container.env_from = decode_env_from(field["envFrom"]);
  container.volume_mounts = decode_mounts(field["volumeMounts"], context);
  container.resources = decode_resources(field["resources"]);
  check_claims(field["resources"], context);
  container.security = decode_security(field["securityContext"], false);
  container.startup_probe = decode_probe(field["startupProbe"], true);
  container.readiness_probe = decode_probe(field["readinessProbe"], false);
  container.liveness_probe = decode_probe(field["livenessProbe"], true);
  check_init_only(field, context.init);
  return container;
}

}  // namespace sallyport::k8s
