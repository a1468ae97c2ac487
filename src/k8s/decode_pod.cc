#include <algorithm>

#include "k8s/decode.h"
#include "k8s/formats.h"

namespace sallyport::k8s {
namespace {

RestartPolicy decode_restart_policy(const Field& field, PodOwner owner) {
  const std::string& text = field.text();
  bool always = text.empty() || text == "Always";
  if (owner == PodOwner::kJob && always)
    field.error((text.empty() ? std::string("is missing") : std::string("is Always")) +
                ", expected OnFailure or Never in a Job");
  if ((owner == PodOwner::kDeployment || owner == PodOwner::kStatefulSet) && !always)
    field.error("is " + text + ", expected Always in a " +
                (owner == PodOwner::kDeployment ? "Deployment" : "StatefulSet"));
  if (text == "OnFailure") return RestartPolicy::kOnFailure;
  return text == "Never" ? RestartPolicy::kNever : RestartPolicy::kAlways;
}

void decode_containers(const Field& spec, const ContainerContext& context, PodSpec& out) {
  std::set<std::string> names;
  auto read = [&](std::string_view list, bool init, std::vector<Container>& into) {
    ContainerContext own = context;
    own.init = init;
    for (const Field& item : spec[list].items()) {
      Container container = decode_container(item, own);
      if (!container.name.empty() && !names.insert(container.name).second)
        item["name"].error(quoted(container.name) +
                           " is a duplicate; containers and init "
                           "containers of a pod share their names");
      into.push_back(std::move(container));
    }
  };
  read("initContainers", true, out.init_containers);
  read("containers", false, out.containers);
}

void check_host_ports(const Field& spec) {
  std::set<std::string> taken;
  for (const Field& container : spec["containers"].items()) {
    for (const Field& port : container["ports"].items()) {
      int64_t number = port["hostPort"].integer();
      if (number == 0) continue;
      std::string key = std::string(to_string(decode_protocol(port["protocol"]))) + " " +
                        port["hostIP"].text() + " " + std::to_string(number);
      if (!taken.insert(key).second)
        port["hostPort"].error("host port " + std::to_string(number) + " is a duplicate");
    }
  }
}

void check_tolerations(const Field& list) {
  for (const Field& item : list.items()) {
    const std::string& op = item["operator"].text();
    if (op == "Exists" && !item["value"].text().empty())
      item["value"].error("must be empty with operator Exists");
    if (item["key"].text().empty() && op != "Exists")
      item["operator"].error("must be Exists where there is no key");
    if (item["tolerationSeconds"].present() && item["effect"].text() != "NoExecute")
      item["effect"].error("must be NoExecute with tolerationSeconds");
  }
}

void check_dns(const Field& spec) {
  Field config = spec["dnsConfig"];
  if (spec["dnsPolicy"].text() == "None" && config["nameservers"].value().items().empty())
    config["nameservers"].error("is missing; dnsPolicy None requires it");
  if (config["nameservers"].value().items().size() > 3)
    config["nameservers"].error("more than 3 name servers");
}

void check_host_namespaces(const Field& spec) {
  if (spec["hostPID"].boolean() && spec["shareProcessNamespace"].boolean())
    spec["shareProcessNamespace"].error("may not be set with hostPID");
}

}  // namespace

PodSpec decode_pod_spec(const Field& spec, PodOwner owner) {
  PodSpec out;
  out.restart_policy = decode_restart_policy(spec["restartPolicy"], owner);
  out.termination_grace_seconds = static_cast<int>(
      std::min<int64_t>(spec["terminationGracePeriodSeconds"].integer(30), 1 << 30));
  Field account = spec["serviceAccountName"];
  Field old_account = spec["serviceAccount"];  // the deprecated name of the same field
  if (account.present() && !account.text().empty())
    out.service_account = account.text();
  else if (old_account.present() && !old_account.text().empty())
    out.service_account = old_account.text();
  out.node_name = spec["nodeName"].text();
  out.hostname = spec["hostname"].text();
  out.subdomain = spec["subdomain"].text();
  out.host_network = spec["hostNetwork"].boolean();
  out.enable_service_links = spec["enableServiceLinks"].boolean(true);
  out.security = decode_security(spec["securityContext"], true);

  ContainerContext context;
  context.host_network = out.host_network;
  out.volumes = decode_volumes(spec["volumes"], context.volumes);
  for (const Field& claim : spec["resourceClaims"].items())
    context.claims.insert(claim["name"].text());
  decode_containers(spec, context, out);
  check_host_ports(spec);
  check_tolerations(spec["tolerations"]);
  check_dns(spec);
  check_host_namespaces(spec);
  if (spec["ephemeralContainers"].present() && !spec["ephemeralContainers"].value().items().empty())
    spec["ephemeralContainers"].error_at_key("may not be set in a manifest");
  if (owner != PodOwner::kNone && owner != PodOwner::kJob &&
      spec["activeDeadlineSeconds"].present())
    spec["activeDeadlineSeconds"].error_at_key("may not be set in a Deployment or StatefulSet");
  return out;
}

void decode(const Field& root, Pod& out) {
  out.spec = decode_pod_spec(root["spec"], PodOwner::kNone);
  Field status = root["status"];
  out.status.phase = status["phase"].text();
  auto read = [&](std::string_view one, std::string_view list, std::vector<Ip>& into) {
    for (const Field& item : status[list].items())
      if (auto ip = Ip::parse(item["ip"].text())) into.push_back(*ip);
    auto ip = Ip::parse(status[one].text());
    if (!ip) return;
    if (into.empty())
      into.push_back(*ip);
    else if (into[0] != *ip)
      status[one].error("is " + ip->to_string() + ", expected the first of " + std::string(list) +
                        ", " + into[0].to_string());
  };
  read("podIP", "podIPs", out.status.pod_ips);
  read("hostIP", "hostIPs", out.status.host_ips);
}

}  // namespace sallyport::k8s
