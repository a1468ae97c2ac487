#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "base/strings.h"
#include "cli/command.h"
#include "standalone/node.h"
#include "standalone/teardown.h"

namespace sallyport::cli {
namespace {

constexpr uint32_t kMostConnections = 1U << 24;
constexpr int64_t kLeastSvidSeconds = 10;

Result<std::string> absolute(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (!real) return fail_errno(path);
  std::string out = real;
  std::free(real);
  return out;
}

Status add_exposed(const std::string& word, standalone::UpOptions& options) {
  size_t colon = word.find(':');
  SP_TRY(std::string host, absolute(word.substr(0, colon)));
  if (colon == std::string::npos) {
    options.expose.push_back(host);
    return {};
  }
  std::string target = word.substr(colon + 1);
  if (target.empty() || target[0] != '/')
    return fail(Code::kInvalid,
                "--expose " + word + ": expected HOST_PATH:POD_PATH with an absolute POD_PATH");
  options.mounts[host] = target;
  return {};
}

Status set_mesh(const Args& args, standalone::MeshOptions& mesh) {
  if (args.has("--isolation")) {
    auto isolation = standalone::parse_isolation(args.get("--isolation"));
    if (!isolation) return fail_in("--isolation", isolation.error());
    mesh.isolation = *isolation;
  }
  if (args.has("--svid-ttl")) {
    SP_TRY(int64_t seconds, parse_duration(args.get("--svid-ttl")));
    if (seconds < kLeastSvidSeconds)
      return fail(Code::kInvalid, "--svid-ttl: expected at least " +
                                      std::to_string(kLeastSvidSeconds) + " seconds");
    mesh.svid_ttl = std::chrono::seconds(seconds);
  }
  if (args.has("--proxy-workers")) {
    auto workers = parse_number<int>(args.get("--proxy-workers"));
    if (!workers || *workers < 1 || *workers > 256)
      return fail(Code::kInvalid, "--proxy-workers: expected 1 to 256");
    mesh.workers = *workers;
  }
  if (args.has("--proxy-memory")) {
    auto mebibytes = parse_number<uint32_t>(args.get("--proxy-memory"));
    if (!mebibytes || *mebibytes < 16 || *mebibytes > 1 << 20)
      return fail(Code::kInvalid, "--proxy-memory: expected 16 to 1048576 MiB");
    mesh.proxy_memory = uint64_t{*mebibytes} << 20;
  }
  mesh.check_network_policy = !args.has("--no-network-check");
  return {};
}

int up(const Args& args) {
  if (::geteuid() != 0)
    return print_error("`sallyport up` makes network namespaces and loads eBPF: run it as root");
  standalone::UpOptions options;
  auto dir = absolute(args.words()[0]);
  if (!dir) return print_error(dir.error());
  options.dir = *dir;
  options.name = args.get("--name", "default");
  options.allow_unenforced = args.has("--allow-unenforced");
  options.quiet = args.has("--quiet");
  if (args.has("--metrics-port")) {
    auto port = parse_number<uint16_t>(args.get("--metrics-port"));
    if (!port || *port == 0) return print_error("--metrics-port: expected 1 to 65535");
    options.metrics_port = *port;
  }
  for (auto [option, limit] : {std::pair("--max-connections", &options.max_connections),
                               {"--max-connections-per-pod", &options.max_connections_per_pod}}) {
    if (!args.has(option)) continue;
    auto number = parse_number<uint32_t>(args.get(option));
    if (!number || *number < 16 || *number > kMostConnections)
      return print_error(std::string(option) + ": expected 16 to " +
                         std::to_string(kMostConnections));
    *limit = *number;
  }
  if (auto set = set_mesh(args, options.mesh); !set) return print_error(set.error());
  for (const std::string& word : args.all("--expose"))
    if (auto added = add_exposed(word, options); !added) return print_error(added.error());

  auto node = standalone::Node::open(std::move(options));
  if (!node) {
    for (const k8s::Diagnostic& d : node.error().diagnostics) std::cerr << d.to_string() << "\n";
    if (node.error().error) return print_error(*node.error().error);
    std::cerr << "nothing was started: " << node.error().diagnostics.size() << " error(s)\n";
    return kNo;
  }
  return (*node)->run();
}

int down(const Args& args) {
  if (::geteuid() != 0)
    return print_error("`sallyport down` removes network namespaces and eBPF: run it as root");
  std::string name = args.words().empty() ? args.get("--name", "default") : args.words()[0];
  if (auto ended = standalone::end_run(name); !ended) return print_error(ended.error());
  return kOk;
}

}  // namespace

Command up_command() {
  CommandSpec spec;
  spec.name = "up";
  spec.usage = "up DIR [--name NAME] [--expose PATH[:POD_PATH]]... [OPTION]...";
  spec.summary = "run the manifests of a directory as a standalone node, with the gates up";
  spec.details =
      "Reads every *.yaml below DIR, starts the pods as processes in network namespaces of an\n"
      "isolated node, and enforces NetworkPolicy on their traffic. Pods of namespaces labelled\n"
      "sallyport.dev/mesh: enabled are in the mesh: proxies give them identities, mutual TLS and\n"
      "Istio's AuthorizationPolicy. Files are watched: a change is\n"
      "applied at once, an invalid one is reported and changes nothing. Runs until SIGINT or\n"
      "SIGTERM, then removes everything. After kill -9, pods and gate go on, and the next `up`\n"
      "takes them over.\n"
      "Exits 0 after a clean end, 1 where manifests are refused, 2 where the node cannot start.";
  spec.examples = {"sallyport up examples/ai-pipeline",
                   "sallyport up manifests --metrics-port 9091 --max-connections 1000000",
                   "sallyport up manifests --name test --expose /srv/models"};
  const standalone::UpOptions defaults;
  spec.options = {
      name_option(),
      {"--expose", 0, "PATH[:POD_PATH]", "show a host directory read-only in every pod"},
      {"--allow-unenforced", 0, "", "accept policy kinds that are not enforced yet"},
      {"--metrics-port", 0, "PORT", "of /metrics on the node's address (9090)"},
      {"--max-connections", 0, "N",
       "entries of the connection table (" + std::to_string(defaults.max_connections) + ")"},
      {"--max-connections-per-pod", 0, "N",
       "how many of them one pod may fill (" + std::to_string(defaults.max_connections_per_pod) +
           ")"},
      {"--isolation", 0, "HOW", "how many pods share a proxy: node, namespace or pod (node)"},
      {"--svid-ttl", 0, "DURATION", "lifetime of the pods' certificates (24h), at least 10s"},
      {"--proxy-workers", 0, "N", "threads of each proxy (one per CPU)"},
      {"--proxy-memory", 0, "MIB", "memory budget of each proxy"},
      {"--no-network-check", 0, "",
       "proxies do not ask NetworkPolicy before they dial; the kernel enforces it all the same"},
      {"--quiet", 'q', "", "print nothing on standard output"}};
  spec.min_args = spec.max_args = 1;
  return {spec, up};
}

Command down_command() {
  CommandSpec spec;
  spec.name = "down";
  spec.usage = "down [NAME]";
  spec.summary = "end a run and remove everything of it";
  spec.details =
      "Also clears away what a killed node left. Exits 2 where there is no such run, or where it "
      "does\n"
      "not end within a minute.";
  spec.examples = {"sallyport down", "sallyport down test"};
  spec.options = {name_option()};
  spec.max_args = 1;
  return {spec, down};
}

}  // namespace sallyport::cli
