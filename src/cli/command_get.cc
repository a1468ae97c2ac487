#include <ctime>
#include <iostream>

#include "base/strings.h"
#include "base/table.h"
#include "cli/command.h"

namespace sallyport::cli {
namespace {

using codec::Value;

int64_t age_seconds(const std::string& time) {
  std::tm parts{};
  if (!::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts)) return 0;
  return std::max<int64_t>(0, ::time(nullptr) - ::timegm(&parts));
}

// What kubectl puts into STATUS: the reason of a container that waits or has failed, else the
// phase.
std::string pod_status(const Value& pod) {
  if (pod["metadata"].find("deletionTimestamp")) return "Terminating";
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Value& container : pod["status"][list].items()) {
      const Value& waiting = container["state"]["waiting"];
      if (waiting.is_map() && waiting["reason"].as_string() != "ContainerCreating")
        return waiting["reason"].as_string();
    }
  return pod["status"]["phase"].as_string();
}

std::string join_strings(const Value& list) {
  std::vector<std::string> parts;
  for (const Value& item : list.items()) parts.push_back(item.as_string());
  return join(parts, ",");
}

std::string or_none(std::string text) {
  return text.empty() ? "<none>" : text;
}

std::vector<std::string> pod_row(const Value& pod, bool wide) {
  size_t ready = 0, total = 0;
  int64_t restarts = 0;
  for (const Value& container : pod["status"]["containerStatuses"].items()) {
    ++total;
    ready += container["ready"].as_bool();
    restarts += container["restartCount"].as_int();
  }
  std::vector<std::string> row = {
      pod["metadata"]["name"].as_string(), std::to_string(ready) + "/" + std::to_string(total),
      pod_status(pod), std::to_string(restarts),
      short_duration(age_seconds(pod["status"]["startTime"].as_string()))};
  if (wide)
    for (const Value& ip : pod["status"]["podIPs"].items()) row.push_back(ip["ip"].as_string());
  return row;
}

std::vector<std::string> service_row(const Value& service) {
  const Value& spec = service["spec"];
  std::vector<std::string> ports;
  for (const Value& port : spec["ports"].items()) {
    std::string protocol = port["protocol"].as_string();
    ports.push_back(std::to_string(port["port"].as_int()) + "/" +
                    (protocol.empty() ? "TCP" : protocol));
  }
  std::string ip = spec["clusterIP"].as_string();
  return {service["metadata"]["name"].as_string(), or_none(ip),
          or_none(join_strings(spec["clusterIPs"])), or_none(join(ports, ","))};
}

std::string selector_text(const Value& selector) {
  std::vector<std::string> parts;
  for (const auto& member : selector["matchLabels"].members())
    parts.push_back(member.key + "=" + member.value.as_string());
  for (const Value& e : selector["matchExpressions"].items())
    parts.push_back(e["key"].as_string() + " " + e["operator"].as_string() +
                    (e["values"].is_list() ? " (" + join_strings(e["values"]) + ")" : ""));
  return parts.empty() ? "<all>" : join(parts, ",");
}

std::vector<std::string> policy_row(const Value& policy) {
  const Value& spec = policy["spec"];
  std::string types = join_strings(spec["policyTypes"]);
  return {policy["kind"].as_string(), policy["metadata"]["name"].as_string(),
          selector_text(spec["podSelector"]), types.empty() ? "Ingress" : types};
}

std::vector<std::string> slice_row(const Value& slice) {
  std::vector<std::string> addresses, ports;
  for (const Value& endpoint : slice["endpoints"].items())
    addresses.push_back(join_strings(endpoint["addresses"]) +
                        (endpoint["conditions"]["ready"].as_bool() ? "" : " (not ready)"));
  for (const Value& port : slice["ports"].items())
    ports.push_back(port.find("port") ? std::to_string(port["port"].as_int()) : "named");
  return {slice["metadata"]["name"].as_string(), slice["addressType"].as_string(),
          or_none(join(ports, ",")), or_none(join(addresses, ","))};
}

// Identities belong to no namespace; the list is short, so all have all columns.
int print_identities(const Value& list) {
  Table table({"SPIFFE-ID", "SERIAL", "NOT-BEFORE", "NOT-AFTER", "NEXT-RENEWAL", "PODS"});
  for (const Value& item : list["items"].items())
    table.add({item["spiffeId"].as_string(), or_none(item["serial"].as_string()),
               item["notBefore"].as_string(), item["notAfter"].as_string(),
               item["nextRenewal"].as_string(), or_none(join_strings(item["pods"]))});
  if (table.empty())
    std::cerr << "nothing found: no pod is in the mesh\n";
  else
    std::cout << table.to_string();
  return kOk;
}

int get(const Args& args) {
  std::string resource = args.words()[0];
  for (auto [alias, name] : {std::pair("pod", "pods"),
                             {"po", "pods"},
                             {"svc", "services"},
                             {"service", "services"},
                             {"policy", "policies"},
                             {"networkpolicies", "policies"},
                             {"netpol", "policies"},
                             {"endpointslices", "endpoints"},
                             {"ns", "namespaces"},
                             {"identity", "identities"}})
    if (resource == alias) resource = name;
  Value request = Value::map();
  request.set("op", "get");
  request.set("resource", resource);
  bool all = args.has("--all-namespaces") || !args.has("--namespace");
  request.set("namespace", all ? "" : args.get("--namespace"));
  auto answer = ask(args, request);
  if (!answer) return print_error(answer.error());
  const Value& list = answer->records.front();
  auto printed = print_structured(args, list);
  if (!printed) return print_error(printed.error());
  if (*printed) return kOk;
  if (resource == "identities") return print_identities(list);

  bool wide = args.get("--output") == "wide";
  std::vector<std::string> header;
  if (resource == "pods") {
    header = {"NAME", "READY", "STATUS", "RESTARTS", "AGE"};
    if (wide) header.insert(header.end(), {"IPV4", "IPV6"});
  } else if (resource == "services") {
    header = {"NAME", "CLUSTER-IP", "CLUSTER-IPS", "PORTS"};
  } else if (resource == "policies") {
    header = {"KIND", "NAME", "POD-SELECTOR", "TYPES"};
  } else if (resource == "endpoints") {
    header = {"NAME", "TYPE", "PORTS", "ENDPOINTS"};
  } else {
    header = {"KIND", "NAME"};
  }
  header.insert(header.begin(), "NAMESPACE");
  Table table(header);
  for (const Value& item : list["items"].items()) {
    std::vector<std::string> row;
    if (resource == "pods")
      row = pod_row(item, wide);
    else if (resource == "services")
      row = service_row(item);
    else if (resource == "policies")
      row = policy_row(item);
    else if (resource == "endpoints")
      row = slice_row(item);
    else
      row = {item["kind"].as_string(), item["metadata"]["name"].as_string()};
    std::string ns = item["metadata"]["namespace"].as_string();
    row.insert(row.begin(), ns.empty() ? "-" : ns);
    table.add(std::move(row));
  }
  if (table.empty()) {
    std::cerr << "nothing found\n";
    return kOk;
  }
  std::cout << table.to_string();
  return kOk;
}

}  // namespace

Command get_command() {
  CommandSpec spec;
  spec.name = "get";
  spec.usage =
      "get pods|services|policies|endpoints|namespaces|identities|all [-n NS] [-o json|yaml|wide]";
  spec.summary = "list objects of the running node";
  spec.details =
      "-o json and -o yaml print Kubernetes objects with their status; `get all -o yaml` is a "
      "world\n"
      "that `explain --world` reads. Identities are those of the mesh: SPIFFE id, certificate,\n"
      "its next renewal, and the pods that use it.";
  spec.examples = {"sallyport get pods", "sallyport get identities",
                   "sallyport get policies -n inference", "sallyport get all -o yaml > world.yaml"};
  spec.options = {name_option(),
                  {"--namespace", 'n', "NS", "only this namespace (default: all)"},
                  {"--all-namespaces", 'A', "", "all namespaces"},
                  {"--output", 'o', "FORMAT", "json, yaml or wide"}};
  spec.min_args = spec.max_args = 1;
  return {spec, get};
}

}  // namespace sallyport::cli
