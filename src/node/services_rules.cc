#include "node/services_rules.h"

#include <algorithm>

#include "base/strings.h"
#include "world/service_endpoints.h"

namespace sallyport::node {
namespace {

using world::service_endpoints;
using world::ServiceEndpoint;

constexpr const char* kChainPrefixes[] = {"svc-", "ep-"};
constexpr const char* kAffinityPrefix = "aff-";

// Words of the language that differ between the families.
struct Words {
  Family family;
  const char* ip;       // also the table's family
  const char* address;  // type of an address
  const char* refusal;
  Cidr services;
  Ip node;
};

// All parts one after the other.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::string text;
  (text.append(std::string_view(parts)), ...);
  return text;
}

std::string at(const Ip& ip, uint16_t port) {
  bool v6 = ip.family() == Family::kV6;
  return (v6 ? "[" : "") + ip.to_string() + (v6 ? "]:" : ":") + std::to_string(port);
}

const char* protocol_word(k8s::Protocol protocol) {
  switch (protocol) {
    case k8s::Protocol::kUdp:
      return "udp";
    case k8s::Protocol::kSctp:
      return "sctp";
    default:
      return "tcp";
  }
}

// For a comment in the ruleset: nothing that could end the quotes, and within nft's bound.
std::string comment(const std::string& key) {
  std::string safe;
  for (char c : key.substr(0, 120)) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("-./: ").find(c) != std::string_view::npos;
    safe += plain ? c : '_';
  }
  return " comment \"" + safe + "\"";
}

// The parts of one table while the Services are gone through.
struct Table {
  Words words;
  std::vector<std::string> entries;  // of the map of Services
  std::set<Ip> endpoints;
  std::string chains, sets;
  TableObjects objects;
};

// nft maps and verdict maps take a random index: "0 : X, 1 : Y".
std::string numbered(const std::vector<std::string>& values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i)
    text += cat(i ? ", " : "", std::to_string(i), " : ", values[i]);
  return text;
}

void add_random(Table& table, const std::string& chain, const char* protocol,
                const std::vector<ServiceEndpoint>& endpoints, const std::string& note) {
  std::string rule = std::string("    meta l4proto ") + protocol + " dnat to ";
  if (endpoints.size() == 1) {
    rule += at(endpoints[0].ip, endpoints[0].port);
  } else {
    std::vector<std::string> targets;
    targets.reserve(endpoints.size());
    for (const ServiceEndpoint& each : endpoints)
      targets.push_back(each.ip.to_string() + " . " + std::to_string(each.port));
    rule += "numgen random mod " + std::to_string(endpoints.size()) + " map { " +
            numbered(targets) + " }";
  }
  table.chains += "  chain " + chain + " {\n" + rule + note + "\n  }\n";
}

void add_affine(Table& table, const std::string& chain, const std::string& id, const char* protocol,
                const std::vector<ServiceEndpoint>& endpoints, int seconds,
                const std::string& note) {
  const std::string saddr = std::string(table.words.ip) + " saddr";
  std::string lookups;
  std::vector<std::string> jumps;
  jumps.reserve(endpoints.size());
  for (const ServiceEndpoint& each : endpoints) {
    std::string target = at(each.ip, each.port);
    std::string suffix = hex(fnv1a(cat(id, ">", target)));
    std::string set = kAffinityPrefix + suffix, endpoint = "ep-" + suffix;
    table.objects.affinity_sets.insert(set);
    table.objects.chains.insert(endpoint);
    table.sets += cat("  set ", set, " {\n    type ", table.words.address,
                      "\n    size 65535\n    flags dynamic,timeout\n  }\n");
    // Two rules: where the set is full the first one fails, and the second still translates.
    table.chains += cat("  chain ", endpoint, " {\n    update @", set, " { ", saddr, " timeout ",
                        std::to_string(std::max(seconds, 1)), "s }\n    meta l4proto ", protocol,
                        " dnat to ", target, "\n  }\n");
    lookups += cat("    ", saddr, " @", set, " goto ", endpoint, "\n");
    jumps.push_back("goto " + endpoint);
  }
  table.chains += "  chain " + chain + " {\n" + lookups + "    numgen random mod " +
                  std::to_string(jumps.size()) + " vmap { " + numbered(jumps) + " }" + note +
                  "\n  }\n";
}

void add_port(Table& table, const world::World& world, const k8s::Service& service,
              const k8s::ServicePort& port, std::set<Translation>& translations) {
  std::vector<ServiceEndpoint> endpoints =
      service_endpoints(world, service, port, table.words.family);
  if (endpoints.empty()) return;  // refused
  std::sort(endpoints.begin(), endpoints.end());
  endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
  const char* protocol = protocol_word(port.protocol);
  std::string key = service.meta.ns + "/" + service.meta.name;
  std::string id = key + ":" + std::to_string(port.port) + "/" + protocol;
  std::string chain = "svc-" + hex(fnv1a(id));
  std::string note = comment(id);
  // The API refuses two ports of one number and protocol; the first one wins here.
  if (table.objects.chains.contains(chain)) return;
  bool used = false;
  for (const Ip& ip : service.cluster_ips) {
    if (ip.family() != table.words.family || !table.words.services.contains(ip)) continue;
    table.entries.push_back(
        cat(ip.to_string(), " . ", protocol, " . ", std::to_string(port.port), " : goto ", chain));
    for (const ServiceEndpoint& each : endpoints)
      translations.insert({ip, static_cast<uint16_t>(port.port),
                           static_cast<uint8_t>(port.protocol), each.ip, each.port});
    used = true;
  }
  if (!used) return;
  table.objects.chains.insert(chain);
  for (const ServiceEndpoint& each : endpoints) table.endpoints.insert(each.ip);
  if (service.session_affinity)
    add_affine(table, chain, id, protocol, endpoints, service.session_affinity_seconds, note);
  else
    add_random(table, chain, protocol, endpoints, note);
}

std::string render(const Table& table) {
  const Words& words = table.words;
  const std::string ip = words.ip, services = ip + " daddr " + words.services.to_string();
  const std::string lookup = ip + " daddr . meta l4proto . th dport vmap @services";
  std::string text = "table " + ip + " sallyport {\n";
  text += "  map services {\n    type " + std::string(words.address) +
          " . inet_proto . inet_service : verdict\n";
  if (!table.entries.empty())
    text += "    elements = {\n      " + join(table.entries, ",\n      ") + "\n    }\n";
  text +=
      "  }\n  set hairpin {\n    type " + std::string(words.address) + " . " + words.address + "\n";
  std::vector<std::string> pairs;
  pairs.reserve(table.endpoints.size());
  for (const Ip& each : table.endpoints)
    pairs.push_back(each.to_string() + " . " + each.to_string());
  if (!pairs.empty()) text += "    elements = {\n      " + join(pairs, ",\n      ") + "\n    }\n";
  text += "  }\n" + table.sets + table.chains;
  text += "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n    reject with " +
          std::string(words.refusal) + "\n  }\n";
  auto chain = [&](const char* name, const char* hook, const std::string& rule) {
    text += std::string("  chain ") + name + " {\n    type " + hook + "\n    " + rule + "\n  }\n";
  };
  chain("prerouting", "nat hook prerouting priority -100; policy accept;",
        services + " fib saddr . iif oif exists " + lookup);
  chain("output", "nat hook output priority -100; policy accept;", services + " " + lookup);
  chain("postrouting", "nat hook postrouting priority 100; policy accept;",
        "ct status dnat " + ip + " saddr . " + ip + " daddr @hairpin snat to " +
            words.node.to_string());
  chain("forward", "filter hook forward priority -110; policy accept;",
        services + " fib saddr . iif oif exists goto refuse");
  chain("local", "filter hook output priority -90; policy accept;", services + " goto refuse");
  return text + "}\n";
}

void add_removals(std::string& script, const char* ip, const TableObjects& installed,
                  const TableObjects& wanted) {
  const std::string table = std::string(ip) + " sallyport";
  // Without rules and the map of verdicts nothing refers to the chains and sets any more.
  script += "flush table " + table + "\n";
  script += "delete map " + table + " services\n";
  script += "delete set " + table + " hairpin\n";
  for (const std::string& chain : installed.chains)
    script += cat("delete chain ", table, " ", chain, "\n");
  for (const std::string& set : installed.affinity_sets)
    if (!wanted.affinity_sets.contains(set)) script += cat("delete set ", table, " ", set, "\n");
}

}  // namespace

ServiceRules render_services(const world::World& world, const Ranges& ranges) {
  Table v4{
      {Family::kV4, "ip", "ipv4_addr", "icmp port-unreachable", ranges.services4, ranges.node4},
      {},
      {},
      {},
      {},
      {}};
  Table v6{
      {Family::kV6, "ip6", "ipv6_addr", "icmpv6 port-unreachable", ranges.services6, ranges.node6},
      {},
      {},
      {},
      {},
      {}};
  ServiceRules rules;
  for (const auto& service : world.services) {
    if (service->headless) continue;
    for (const k8s::ServicePort& port : service->ports)
      for (Table* table : {&v4, &v6}) add_port(*table, world, *service, port, rules.translations);
  }
  rules.text = render(v4) + render(v6);
  rules.v4 = std::move(v4.objects);
  rules.v6 = std::move(v6.objects);
  return rules;
}

std::string replacement(const ServiceRules& rules, const InstalledTables& installed) {
  std::string script;
  if (installed.v4_present) add_removals(script, "ip", installed.v4, rules.v4);
  if (installed.v6_present) add_removals(script, "ip6", installed.v6, rules.v6);
  return script + rules.text;
}

TableObjects read_table(std::string_view listing) {
  TableObjects objects;
  for (const std::string& line : split(listing, '\n')) {
    std::vector<std::string> words = split(trim(line), ' ');
    if (words.size() != 3 || words[2] != "{") continue;
    if (words[0] == "set" && words[1].starts_with(kAffinityPrefix))
      objects.affinity_sets.insert(words[1]);
    for (const char* prefix : kChainPrefixes)
      if (words[0] == "chain" && words[1].starts_with(prefix)) objects.chains.insert(words[1]);
  }
  return objects;
}

}  // namespace sallyport::node
