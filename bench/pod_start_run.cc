// Starts pods one after the other as the node does, and removes them all: for bench/pod_start.
//   pod_start_run PODS DIRECTORY
// A start is timed from the request to namespaces, network and gate entry being ready; the pod's
// own program starts after that. Prints a line of JSON for the starts and one for the removal.
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/strings.h"
#include "gate/gate.h"
#include "node/network.h"
#include "policy/compiled.h"
#include "runtime/pod_runtime.h"

namespace sallyport {
namespace {

using Steady = std::chrono::steady_clock;

double millis_since(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(values.size())))];
}

std::set<std::string> open_files() {
  std::set<std::string> out;
  auto names = list_dir("/proc/self/fd");
  if (names) out.insert(names->begin(), names->end());
  return out;
}

struct Started {
  std::string uid;
  node::PodAddresses addresses;
  node::PodLink link;
};

class Starter {
 public:
  Status open(const std::string& dir) {
    dir_ = dir;
    SP_CHECK_OK(make_dirs(dir_ + "/bpf"));
    if (::mount("bpf", (dir_ + "/bpf").c_str(), "bpf", 0, "mode=0700") != 0)
      return fail_errno("mount a bpffs");
    runtime::PodRuntime::Options options;
    options.state_dir = dir_;
    options.cgroup_name = dir_.substr(dir_.rfind('/') + 1);
    SP_TRY(runtime_, runtime::PodRuntime::open(options));
    SP_TRY(network_, node::NodeNetwork::open(dir_));
    gate::GateConfig config;
    config.pin_dir = dir_ + "/bpf";
    config.netns_fd = network_->node_netns();
    config.pod_ranges = {network_->ranges().pods4, network_->ranges().pods6};
    config.node_ranges = {network_->ranges().services4, network_->ranges().services6};
    config.node_addresses = {network_->ranges().node4, network_->ranges().node6};
    SP_TRY(gate_, gate::open_gate(config));
    for (int i = 0; i < kApps; ++i) world_.network_policies.push_back(policy_number(i));
    return {};
  }

  // Returns the milliseconds that it took.
  Result<double> start(uint32_t number) {
    auto pod = std::make_shared<k8s::Pod>();
    pod->meta.ns = "bench";
    pod->meta.name = "pod-" + std::to_string(number);
    pod->meta.uid = "bench-" + std::to_string(number);
    k8s::Container container;
    container.name = "main";
    container.command = {"/bin/sleep", "infinity"};
    pod->spec.containers = {container};

    auto begin = Steady::now();
    Started made;
    SP_TRY(made.addresses, network_->allocate(clock_));
    runtime::PodRequest request;
    request.pod = pod;
    request.hostname = pod->meta.name;
    request.pod_ips = {made.addresses.v4, made.addresses.v6};
    request.node_ip = network_->ranges().node4;
    request.node_name = "bench";
    SP_TRY(runtime::Sandbox sandbox, runtime_->create(request));
    made.uid = sandbox.uid;
    SP_TRY(made.link,
           network_->prepare(sandbox.netns.get(), "sp" + std::to_string(number), made.addresses));
    pods_.push_back(made);
    SP_CHECK_OK(put_up_gate(number, made));
    SP_CHECK_OK(network_->connect(made.link, made.addresses));
    double took = millis_since(begin);
    SP_CHECK_OK(runtime_->start(made.uid));
    runtime_->poll([](const runtime::PodState&) {});
    gate_->drain_events([](const gate::FlowEvent&) {});
    return took;
  }

  Status remove() {
    for (const Started& pod : pods_) {
      SP_CHECK_OK(network_->disconnect(pod.link));
      SP_CHECK_OK(runtime_->remove(pod.uid));
      network_->release(pod.addresses, clock_);
    }
    pods_.clear();
    SP_CHECK_OK(gate_->remove());
    gate_.reset();
    runtime_.reset();
    SP_CHECK_OK(network_->remove());
    network_.reset();
    if (::umount2((dir_ + "/bpf").c_str(), MNT_DETACH) != 0) return fail_errno("unmount the bpffs");
    return remove_tree(dir_);
  }

 private:
  static constexpr int kApps = 20;

  // The pods of an app may be reached by the next app alone.
  static std::shared_ptr<const k8s::NetworkPolicy> policy_number(int i) {
    auto policy = std::make_shared<k8s::NetworkPolicy>();
    policy->meta.ns = "bench";
    policy->meta.name = "app-" + std::to_string(i);
    policy->pod_selector.match_labels["app"] = std::to_string(i);
    policy->isolates_ingress = true;
    k8s::NetworkPolicyPeer peer;
    peer.pod_selector = k8s::LabelSelector{{{"app", std::to_string((i + 1) % kApps)}}, {}};
    k8s::NetworkPolicyRule rule;
    rule.peers = {peer};
    policy->ingress.push_back(rule);
    return policy;
  }

  Status put_up_gate(uint32_t number, const Started& pod) {
    world::Endpoint endpoint;
    endpoint.id = number;
    endpoint.ns = "bench";
    endpoint.name = "pod-" + std::to_string(number);
    endpoint.labels["app"] = std::to_string(number % kApps);
    endpoint.ips = {pod.addresses.v4, pod.addresses.v6};
    world_.endpoints.push_back(std::move(endpoint));
    ports_.push_back({number, pod.link.ifindex});
    world::World world = world_;
    world.finish();
    SP_TRY([[maybe_unused]] uint64_t generation,
           gate_->publish(policy::compile(world, rules_), ports_));
    return {};
  }

  SystemClock clock_;
  std::string dir_;
  std::unique_ptr<runtime::PodRuntime> runtime_;
  std::unique_ptr<node::NodeNetwork> network_;
  std::unique_ptr<gate::Gate> gate_;
  world::World world_;
  policy::RuleRegistry rules_;
  std::vector<gate::EndpointPort> ports_;
  std::vector<Started> pods_;
};

Status run(uint32_t pods, const std::string& dir) {
  std::set<std::string> before = open_files();
  Starter starter;
  SP_CHECK_OK(starter.open(dir));
  std::vector<double> millis;
  Status failed;
  for (uint32_t i = 1; i <= pods && failed; ++i) {
    auto took = starter.start(i);
    if (took)
      millis.push_back(*took);
    else
      failed = std::unexpected(std::move(took).error());
    if (i % 100 == 0) std::fprintf(stderr, "bench: pod_start: %u of %u\n", i, pods);
  }
  if (!millis.empty())
    std::printf(
        "{\"starts\": %zu, \"p50_ms\": %.2f, \"p95_ms\": %.2f, \"p99_ms\": %.2f, "
        "\"last_100_p95_ms\": %.2f}\n",
        millis.size(), quantile(millis, 0.5), quantile(millis, 0.95), quantile(millis, 0.99),
        quantile({millis.end() - std::min<ptrdiff_t>(100, static_cast<ptrdiff_t>(millis.size())),
                  millis.end()},
                 0.95));
  std::fflush(stdout);
  auto begin = Steady::now();
  SP_CHECK_OK(starter.remove());
  double took = millis_since(begin);
  std::string left;
  for (const std::string& fd : open_files())
    if (!before.contains(fd)) left += (left.empty() ? "" : " ") + fd;
  std::printf("{\"removal_ms\": %.0f, \"descriptors_left\": \"%s\"}\n", took, left.c_str());
  return failed;
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "shim") return sallyport::runtime::shim_main(argc, argv);
  auto pods = argc == 3 ? sallyport::parse_number<uint32_t>(argv[1]) : std::nullopt;
  if (!pods || *pods == 0) {
    std::fprintf(stderr, "usage: pod_start_run PODS DIRECTORY\n");
    return 2;
  }
  auto done = sallyport::run(*pods, argv[2]);
  if (!done) std::fprintf(stderr, "pod_start_run: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
