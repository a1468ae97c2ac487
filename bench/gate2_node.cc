// The node's part for bench/gate2: intercepts two given namespaces as pods of a mesh and runs a
// `sallyport proxy` for each, with everything a node would tell it. Two pods, STRICT, one
// AuthorizationPolicy with an identity and paths.
//
//   gate2_node --binary PATH --client NETNS IP --server NETNS IP --folder DIR [--access-log]
//             [--any-request]
//
// Prints {"client":PID,"server":PID,"mark":N} when both are ready (the mark passes the client's
// interception), writes caller.pem, caller.key, called.pem, called.key and ca.pem into the folder,
// and answers each line of stdin with the proxies' metrics in DIR/metrics; ends with stdin.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "base/fs.h"
#include "capture/rules.h"
#include "capture/sockets.h"
#include "codec/base64.h"
#include "k8s/manifest.h"
#include "mesh/channel.h"
#include "mesh/config.h"
#include "net/netns.h"
#include "standalone/proxy_fleet.h"

namespace {

using namespace sallyport;

constexpr char kManifests[] = R"(
apiVersion: v1
kind: Namespace
metadata: {name: bench, labels: {sallyport.dev/mesh: enabled}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: caller, namespace: bench}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: called, namespace: bench}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: bench, uid: uid-caller, labels: {app: caller}}
spec:
  nodeName: node
  serviceAccountName: caller
  containers: [{name: c, image: none}]
status: {phase: Running, podIP: CLIENT_IP, podIPs: [{ip: CLIENT_IP}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: called, namespace: bench, uid: uid-called, labels: {app: called}}
spec:
  nodeName: node
  serviceAccountName: called
  containers: [{name: c, image: none}]
status: {phase: Running, podIP: SERVER_IP, podIPs: [{ip: SERVER_IP}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: called, namespace: bench}
spec:
  selector: {app: called}
  ports:
    - {name: http, port: 8080, targetPort: 8080}
    - {name: http-events, port: 8081, targetPort: 8081}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: bench}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: called, namespace: bench}
spec:
  selector: {matchLabels: {app: called}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/bench/sa/caller]}}]
      to: [{operation: {methods: [GET], paths: [/1k, /1g, /sse]}}]
)";

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "gate2_node: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result, const std::string& what) {
  if (!result) die(what + ": " + result.error().message);
  return std::move(*result);
}
void must(const Status& status, const std::string& what) {
  if (!status) die(what + ": " + status.error().message);
}

struct Options {
  std::string binary, folder;
  std::string netns[2], ip[2];  // client, server
  bool access_log = false;
  bool any_request = false;  // no AuthorizationPolicy: for conformance tests
};

Options read_options(int argc, char** argv) {
  Options out;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto next = [&] {
      if (++i >= argc) die(name + " needs a value");
      return std::string(argv[i]);
    };
    if (name == "--binary") {
      out.binary = next();
    } else if (name == "--folder") {
      out.folder = next();
    } else if (name == "--client" || name == "--server") {
      const size_t side = name == "--server";
      out.netns[side] = next();
      out.ip[side] = next();
    } else if (name == "--any-request") {
      out.any_request = true;
    } else if (name == "--access-log") {
      out.access_log = true;
    } else {
      die("unknown argument " + name);
    }
  }
  if (out.binary.empty() || out.folder.empty() || out.ip[0].empty() || out.ip[1].empty()) {
    die("usage: gate2_node --binary PATH --client NETNS IP --server NETNS IP --folder DIR");
  }
  return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

world::World make_world(const Options& options) {
  const std::string text =
      replaced(replaced(kManifests, "CLIENT_IP", options.ip[0]), "SERVER_IP", options.ip[1]);
  const k8s::Manifest manifest = k8s::parse_manifest(text, "bench.yaml");
  if (!manifest.ok()) die(manifest.diagnostics.front().to_string());
  world::World out = world::from_objects(manifest.objects);
  if (options.any_request) out.authorization_policies.clear();
  if (options.access_log) out.mesh.access_log_file = "/dev/stdout";
  return out;
}

void write_pem(const std::string& path, const char* kind, std::string_view der) {
  const std::string text = codec::encode_base64(der);
  std::ofstream out(path);
  out << "-----BEGIN " << kind << "-----\n";
  for (size_t at = 0; at < text.size(); at += 64) out << text.substr(at, 64) << '\n';
  out << "-----END " << kind << "-----\n";
}

// For the clients of the bench that shake hands without a proxy.
void write_certificates(identity::Authority& authority, const std::string& folder) {
  write_pem(folder + "/ca.pem", "CERTIFICATE", authority.root_der());
  for (const std::string name : {"caller", "called"}) {
    const identity::Svid svid =
        must(authority.issue(identity::workload_id("cluster.local", "bench", name),
                             std::chrono::hours(24), std::chrono::system_clock::now()),
             "certificate of " + name);
    write_pem(folder + "/" + name + ".pem", "CERTIFICATE", svid.certificate_der);
    write_pem(folder + "/" + name + ".key", "PRIVATE KEY", svid.key_der);
  }
}

standalone::FleetGroup make_group(const Options& options, size_t side, world::World world,
                                  uint32_t& mark) {
  const std::string name = side == 0 ? "caller" : "called";
  standalone::FleetPod pod;
  pod.identity = identity::workload_id("cluster.local", "bench", name).to_string();
  Fd netns = must(net::open_netns(options.netns[side]), "namespace of " + name);
  capture::Rules rules;
  rules.marks = must(capture::draw_marks(), "marks");
  pod.marks = rules.marks;
  mark = rules.marks.outbound;
  pod.listeners = std::make_shared<const capture::Listeners>(
      must(capture::make_listeners(netns.get()), "listeners of " + name));
  must(capture::apply(netns.get(), rules), "interception of " + name);
  pod.netns = std::make_shared<const Fd>(std::move(netns));

  mesh::ProxyConfig config;
  config.generation = 1;
  config.world = std::move(world);
  config.pod_ranges = {*Cidr::parse("198.18.0.0/16")};
  config.service_ranges = {*Cidr::parse("198.19.0.0/17")};
  config.local_pods = {"uid-" + name};
  standalone::FleetGroup group;
  group.pods["uid-" + name] = std::move(pod);
  group.config = std::make_shared<const Fd>(
      must(mesh::to_memfd(mesh::encode(config), "bench-config"), "configuration"));
  group.generation = 1;
  return group;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  const SystemClock clock;
  identity::Authority::Options ca;
  ca.key_file = options.folder + "/mesh-ca.key";
  ca.certificate_file = options.folder + "/mesh-ca.crt";
  ca.trust_domain = "cluster.local";
  standalone::FleetState state;
  state.authority = must(identity::Authority::open(ca, clock), "certificate authority");
  write_certificates(*state.authority, options.folder);

  uint32_t marks[2] = {};
  const world::World world = make_world(options);
  state.groups["client"] = make_group(options, 0, world, marks[0]);
  state.groups["server"] = make_group(options, 1, world, marks[1]);
  for (const char* name : {"caller", "called"}) {
    state.identities.insert(identity::workload_id("cluster.local", "bench", name));
  }
  if (options.access_log) {
    const std::string path = options.folder + "/access.log";
    Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file) die("cannot open " + path);
    state.access_log = std::make_shared<const Fd>(std::move(file));
  }

  standalone::ProxyFleet::Options fleet_options;
  fleet_options.proxy.program = options.binary;
  fleet_options.proxy.workers = 1;
  auto fleet = must(standalone::ProxyFleet::start(std::move(fleet_options), clock), "fleet");
  fleet->set(std::move(state));
  for (const auto& [group, why] : fleet->wait_ready(std::chrono::seconds(10))) {
    die("the proxy of the " + group + " is not ready: " + why);
  }
  pid_t pids[2] = {};
  for (const standalone::ProxyView& proxy : fleet->proxies()) {
    pids[proxy.group == "server"] = proxy.pid;
  }
  std::printf("{\"client\":%d,\"server\":%d,\"mark\":%u}\n", pids[0], pids[1], marks[0]);
  std::fflush(stdout);

  // Flows are read as a node reads them, a few times a second.
  uint64_t flows = 0;
  pollfd input{0, POLLIN, 0};
  while (true) {
    fleet->drain_flows(1 << 16, [&](const telemetry::FlowRecord&) { ++flows; });
    if (poll(&input, 1, 100) <= 0) continue;
    char line[256];
    const ssize_t n = read(0, line, sizeof(line));
    if (n <= 0) break;
    std::ofstream out(options.folder + "/metrics");
    for (const auto& [group, text] : fleet->metrics(std::chrono::seconds(5))) {
      out << "# " << group << '\n' << text;
    }
    out.close();
    std::printf("{\"flows\":%llu,\"lost\":%llu}\n", static_cast<unsigned long long>(flows),
                static_cast<unsigned long long>(fleet->flows_lost()));
    std::fflush(stdout);
  }
  return 0;
}
