#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "base/strings.h"
#include "cli/command.h"
#include "codec/json.h"

namespace sallyport::cli {
namespace {

using codec::Value;

std::string side_text(const Value& side) {
  std::string out = side["pod"].is_string()
                        ? side["namespace"].as_string() + "/" + side["pod"].as_string()
                        : side["address"].as_string();
  bool bare_v6 = !side["pod"].is_string() && out.find(':') != std::string::npos;
  if (!side.find("port")) return out;
  if (bare_v6) out = "[" + out + "]";
  return out + ":" + std::to_string(side["port"].as_int());
}

std::string direction_text(std::string_view name, const Value& verdict) {
  if (!verdict.is_map()) return "";
  std::string out(name);
  const std::string& reason = verdict["reason"].as_string();
  if (verdict["policy"].is_string()) {
    out += " " + verdict["policy"].as_string();
    if (verdict["rule"].type() == Value::Type::kInt)
      out += " rule " + std::to_string(verdict["rule"].as_int());
    if (verdict["isolatedBy"].is_list()) {
      std::vector<std::string> names;
      for (const Value& item : verdict["isolatedBy"].items()) names.push_back(item.as_string());
      out = std::string(name) + " denied by default, isolated by " + join(names, ", ");
      const Value& nearest = verdict["nearest"];
      if (nearest.is_map())
        out += "; nearest " + nearest["policy"].as_string() + " rule " +
               std::to_string(nearest["rule"].as_int()) + ": " + nearest["why"].as_string();
    }
  } else {
    out += " " + reason;
  }
  return out;
}

// The request, the rule that decided, and what is known of the connection.
std::string mesh_text(const Value& flow) {
  const Value& mesh = flow["mesh"];
  std::vector<std::string> parts;
  if (mesh["method"].is_string()) {
    std::string request = mesh["method"].as_string() + " " + mesh["path"].as_string();
    if (int64_t status = mesh["status"].as_int()) request += " " + std::to_string(status);
    parts.push_back(request);
  }
  const Value& rule = flow["network"].is_map() ? flow["network"] : mesh;
  std::string decided(flow["network"].is_map() ? "network " : "mesh ");
  decided += rule["policy"].is_string() ? rule["policy"].as_string() : rule["reason"].as_string();
  if (rule["rule"].type() == Value::Type::kInt)
    decided += " rule " + std::to_string(rule["rule"].as_int());
  else if (rule["policy"].is_string())
    decided += ": " + rule["reason"].as_string();
  // The source's proxy decides nothing but what gate 1 says.
  if (rule["policy"].is_string() || !rule["reason"].as_string().empty()) parts.push_back(decided);
  if (mesh["audited"].as_bool()) parts.push_back("audited");
  if (mesh["peer"].is_string()) parts.push_back("peer " + mesh["peer"].as_string());
  const Value& tls = mesh["tls"];
  parts.push_back(tls.is_map() ? tls["version"].as_string() + " " + tls["cipher"].as_string() +
                                     " " + tls["group"].as_string()
                               : "plaintext");
  parts.push_back("by the " + mesh["reporter"].as_string() + "'s proxy");
  return join(parts, "; ");
}

void print_flow(const Value& flow, bool color) {
  bool allowed = flow["verdict"].as_string() == "allowed";
  std::string kind = flow["kind"].as_string();
  std::string verdict = kind == "closed"    ? "closed"
                        : kind == "revoked" ? "revoked"
                        : allowed           ? "allowed"
                                            : "denied";
  verdict.resize(8, ' ');
  const char* start = !color             ? ""
                      : kind == "closed" ? "\033[2m"
                      : allowed          ? "\033[32m"
                                         : "\033[31m";
  std::cout << flow["time"].as_string().substr(11, 12) << "  " << start << verdict
            << (color ? "\033[0m" : "") << flow["protocol"].as_string() << "  "
            << side_text(flow["source"]) << " -> " << side_text(flow["destination"]);
  if (flow["repeats"].as_int() > 1) std::cout << "  x" << flow["repeats"].as_int();
  if (flow["mesh"].is_map()) {
    std::cout << "  (" << mesh_text(flow) << ")\n";
    return;
  }
  if (kind == "closed") {
    std::cout << "  sent " << flow["bytes"]["sent"].as_int() << " B, received "
              << flow["bytes"]["received"].as_int() << " B\n";
    return;
  }
  if (!allowed && flow["reason"].as_string() != "policy")
    std::cout << "  " << flow["reason"].as_string();
  std::vector<std::string> parts;
  for (const char* direction : {"egress", "ingress"}) {
    const Value& side = flow[direction];
    // Of a denied flow only the side that denies is of interest.
    if (!side.is_map() || (!allowed && side["verdict"].as_string() == "allow")) continue;
    parts.push_back(direction_text(direction, side));
  }
  if (!parts.empty()) std::cout << "  (" << join(parts, "; ") << ")";
  std::cout << "\n";
}

int flows(const Args& args) {
  Value request = Value::map();
  request.set("op", "flows");
  request.set("from", args.get("--from"));
  request.set("to", args.get("--to"));
  std::string verdict = args.get("--verdict");
  if (!verdict.empty() && verdict != "allowed" && verdict != "denied")
    return print_error("--verdict is allowed or denied, not \"" + verdict + "\"");
  request.set("verdict", verdict);
  if (args.has("--since")) {
    auto seconds = parse_duration(args.get("--since"));
    if (!seconds) return print_error(seconds.error());
    request.set("sinceSeconds", Value::integer(*seconds));
  }
  if (args.has("--last")) {
    auto last = parse_number<uint32_t>(args.get("--last"));
    if (!last) return print_error("--last: expected a number");
    request.set("last", Value::integer(*last));
  }
  bool json = args.get("--output") == "json";
  if (args.has("--output") && !json) return print_error("--output: only json");
  request.set("follow", Value::boolean(args.has("--follow")));
  auto client = connect_node(args);
  if (!client) return print_error(client.error());
  if (auto sent = client->request(request); !sent) return print_error(sent.error());
  bool color = ::isatty(STDOUT_FILENO) == 1 && !::getenv("NO_COLOR");
  while (true) {
    if (!client->buffered()) std::cout.flush();
    auto record = client->next();
    if (!record) return print_error(record.error());
    if (!*record) return kOk;
    if (json)
      std::cout << codec::write_json(**record) << "\n";
    else
      print_flow(**record, color);
    if (uint64_t lost = client->take_lost())
      std::cerr << lost << " flows left out: this reader is too slow\n";
    if (!std::cout) return kOk;
  }
}

}  // namespace

Command flows_command() {
  CommandSpec spec;
  spec.name = "flows";
  spec.usage =
      "flows [--follow] [--from POD] [--to POD] [--verdict allowed|denied] [--since 5m] [--last N] "
      "[-o json]";
  spec.summary = "show connections with verdict and reason";
  spec.details =
      "New, denied, revoked and closed flows of gate 1, requests and connections of gate 2. POD "
      "is\n"
      "NS/POD, NS/ for all pods of a namespace, or an address. JSON lines carry schema "
      "sallyport.dev/flow/v1alpha1.";
  spec.examples = {"sallyport flows --follow --verdict denied",
                   "sallyport flows --from attacker/ --since 1m -o json"};
  spec.options = {name_option(),
                  {"--follow", 'f', "", "go on with new flows"},
                  {"--from", 0, "POD", "only from it"},
                  {"--to", 0, "POD", "only to it"},
                  {"--verdict", 0, "VERDICT", "allowed or denied"},
                  {"--since", 0, "DURATION", "only newer ones"},
                  {"--last", 0, "N", "the newest N"},
                  {"--output", 'o', "FORMAT", "json"}};
  return {spec, flows};
}

}  // namespace sallyport::cli
