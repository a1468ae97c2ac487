#include "standalone/node.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/fs.h"
#include "base/log.h"
#include "dns/server.h"
#include "dns/zone_builder.h"
#include "net/netns.h"
#include "node/echo.h"
#include "standalone/builtin.h"
#include "standalone/manifests.h"
#include "standalone/operations.h"
#include "standalone/teardown.h"
#include "standalone/world_builder.h"

namespace sallyport::standalone {
namespace {

using codec::Value;

// Editors write in several steps: a change counts when the directory has been still for this long.
constexpr int kSettleMillis = 4;
constexpr int kSettleRounds = 10;
constexpr auto kRetry = std::chrono::seconds(1);

Result<Fd> listen_in(int netns, const Ip& ip, uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  std::copy(ip.bytes.begin(), ip.bytes.end(), address.sin6_addr.s6_addr);
  // An IPv4 address is held as ::ffff:a.b.c.d, which a dual-stack socket binds.
  SP_TRY(Fd fd, net::socket_in(netns, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int off = 0, on = 1;
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 64) != 0)
    return fail_errno("listen on " + ip.to_string() + " port " + std::to_string(port));
  return fd;
}

}  // namespace

std::expected<std::unique_ptr<Node>, StartFailure> Node::open(UpOptions options) {
  auto failed = [](Error error) { return std::unexpected(StartFailure{{}, std::move(error)}); };
  std::unique_ptr<Node> node(new Node());
  // Before any thread starts: one that did not block them would take them from the loop.
  sigset_t signals = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  node->options_ = std::move(options);
  node->started_ = node->clock_.now();
  node->ranges_ = node::default_ranges();
  auto paths = run_paths(node->options_.name);
  if (!paths) return failed(paths.error());
  node->paths_ = *paths;
  auto source = watch_directory(node->options_.dir, node->clock_);
  if (!source) return failed(source.error());
  node->source_ = std::move(*source);

  auto accepted =
      accept_manifests(node->source_->load(), node->ranges_, node->options_.allow_unenforced);
  if (!accepted) return std::unexpected(StartFailure{accepted.error(), std::nullopt});
  node->objects_ = std::move(accepted->objects);
  node->desired_ = std::move(accepted->desired);
  node->warnings_ = std::move(accepted->warnings);

  auto lock = RunLock::take(node->paths_);
  if (!lock) return failed(lock.error());
  node->lock_ = std::move(*lock);
  std::optional<RunState> previous;
  if (auto state = load_state(node->paths_.state)) {
    previous = std::move(*state);
  } else if (state.error().code != Code::kNotFound) {
    Error error = state.error();
    error.message += "; end that run with `sallyport down " + node->paths_.name + "` first";
    return failed(std::move(error));
  }
  if (auto opened = node->open_parts(previous); !opened) {
    // A run that never began leaves nothing; one that was taken over stays for the next try.
    if (!previous) (void)tear_down_dead_run(node->paths_);
    return failed(opened.error());
  }
  return node;
}

Node::~Node() = default;

Status Node::open_parts(const std::optional<RunState>& previous) {
  if (previous && previous->gate_layout != gate::kLayoutVersion)
    return fail(Code::kConflict,
                "the run \"" + paths_.name + "\" was started by a program with table layout " +
                    std::to_string(previous->gate_layout) + ", this one has layout " +
                    std::to_string(gate::kLayoutVersion) + ": end it with `sallyport down " +
                    paths_.name + "` and start it again");
  SP_CHECK_OK(make_run_dirs(paths_));
  SP_TRY(network_, node::NodeNetwork::open(paths_.run));

  gate::GateConfig config;
  config.pin_dir = paths_.bpf;
  config.netns_fd = network_->node_netns();
  config.pod_ranges = {ranges_.pods4, ranges_.pods6};
  config.node_ranges = {ranges_.services4, ranges_.services6};
  config.node_addresses = {ranges_.node4, ranges_.node6, ranges_.probe4, ranges_.probe6};
  config.node_ports = {{IPPROTO_TCP, options_.metrics_port}};
  config.max_connections = options_.max_connections;
  config.max_connections_per_endpoint = options_.max_connections_per_pod;
  SP_TRY(gate_, gate::open_gate(config));

  runtime::PodRuntime::Options runtime_options;
  runtime_options.state_dir = paths_.run;
  runtime_options.cgroup_name = paths_.cgroup;
  SP_TRY(runtime_, runtime::PodRuntime::open(runtime_options));
  runtime_->set_probe_netns(network_->node_netns(), {ranges_.probe4, ranges_.probe6});

  Pods::Options pod_options;
  pod_options.expose = options_.expose;
  pod_options.mounts = options_.mounts;
  pod_options.dns_records_dir = paths_.dns;
  pod_options.dns_servers = {dns_address4(ranges_).to_string()};
  pod_options.node_name = kNodeName;
  pods_ = std::make_unique<Pods>(pod_options, *runtime_, *network_, clock_);
  pods_->on_removed = [this](uint32_t id) { gate_->forget_endpoint(id); };
  enforcement_ = std::make_unique<Enforcement>(*gate_);
  mesh_ = std::make_unique<MeshControl>(options_.mesh, paths_, ranges_, clock_);

  if (previous) {
    state_ = *previous;
    took_over_ = true;
    if (previous->manifest_dir != options_.dir)
      log_warn("node", "the run \"" + paths_.name + "\" was started from " +
                           previous->manifest_dir + " and goes on with " + options_.dir +
                           ": pods that are not there end now");
    SP_CHECK_OK(enforcement_->rules().load(previous->rules));
    pods_->recover(*previous, desired_);
    mesh_->recover(*previous);
    log_info("node", "took over the run \"" + paths_.name + "\" with " +
                         std::to_string(pods_->records().size()) + " running pods");
  }
  SP_CHECK_OK(open_echo());
  state_.gate_layout = gate::kLayoutVersion;
  state_.manifest_dir = options_.dir;
  SP_CHECK_OK(write_state());

  SP_CHECK_OK(open_metrics());
  admin_ = std::make_unique<admin::Server>();
  register_operations(*admin_, *this);
  return admin_->listen(paths_.admin_socket);
}

Status Node::open_echo() {
  if (state_.echo_pid > 0)
    if (auto start = process_start_time(state_.echo_pid); start && *start == state_.echo_start_time)
      return {};
  // Also one of a node that was killed before it could write the pid down.
  end_processes_in(network_->outside_netns());
  SP_TRY(state_.echo_pid, node::start_echo(network_->outside_netns(), "/proc/self/exe"));
  SP_TRY(state_.echo_start_time, process_start_time(state_.echo_pid));
  return {};
}

Status Node::open_metrics() {
  metrics_ = std::make_unique<admin::HttpMetrics>([this] { return metrics_text(); },
                                                  []() -> Status { return {}; });
  for (const Ip& ip : {ranges_.node4, ranges_.node6}) {
    SP_TRY(Fd fd, listen_in(network_->node_netns(), ip, options_.metrics_port));
    SP_CHECK_OK(metrics_->add_listener(std::move(fd)));
  }
  return {};
}

Status Node::write_state() {
  pods_->fill(state_);
  std::set<std::string> captured = mesh_->captured(*world_);
  for (PodRecordState& pod : state_.pods) pod.captured = captured.contains(pod.uid);
  mesh_->fill(state_);
  state_.proxies = mesh_->processes();
  state_.rules.clear();
  enforcement_->rules().save(state_.rules);
  std::string text = encode_state(state_);
  if (text == saved_state_) return {};
  if (auto saved = write_file_atomic(paths_.state, text); !saved)
    return fail_in("the run's state was not saved", saved.error());
  saved_state_ = std::move(text);
  return {};
}

Status Node::write_zone() {
  dns::Zone zone =
      dns::build_zone(*world_, [](const k8s::Service& service) { return service.cluster_ips; });
  std::string text = dns::write_zone(zone);
  if (text == zone_) return {};
  SP_CHECK_OK(write_file_atomic(paths_.dns + "/" + kDnsRecordsFile, text, 0644));
  zone_ = std::move(text);
  return {};
}

// The gate first, then Services and names: a pod is enforced before anything leads to it.
Status Node::enforce() {
  auto world = std::make_shared<world::World>(build_world(objects_, *pods_, ++state_.revision));
  // Written addresses first: one that was given by hash gives way.
  std::vector<std::shared_ptr<const k8s::Service>*> order;
  for (bool written : {true, false})
    for (auto& service : world->services)
      if (written != service->cluster_ips.empty()) order.push_back(&service);
  for (auto* service : order) {
    auto copy = std::make_shared<k8s::Service>(**service);
    SP_TRY(copy->cluster_ips, network_->assign_cluster_ips(**service));
    if (!copy->headless) *service = std::move(copy);
  }
  // A tightened policy is enforced also where its ids cannot be written down; apply() tells.
  SP_TRY(bool fresh, enforcement_->apply(world, *pods_, [this] { (void)write_state(); }));
  world_ = world;
  flows_.learn(*world_);
  if (fresh && change_seen_) {
    latency_.observe(std::chrono::duration<double>(clock_.now() - *change_seen_).count());
    change_seen_.reset();
  }
  return {};
}

Status Node::lead_traffic() {
  SP_CHECK_OK(network_->apply_services(*world_));
  return write_zone();
}

// Interception and proxies before any process of a pod runs, and before anything leads to it.
void Node::join_mesh(std::vector<std::string>& problems, std::set<std::string>& held_back) {
  // A successor knows which pods may have rules.
  if (auto saved = write_state(); !saved) problems.push_back(saved.error().message);
  MeshControl::Applied applied = mesh_->apply(*world_, *pods_);
  for (std::string& problem : applied.problems) problems.push_back(std::move(problem));
  held_back = std::move(applied.held_back);
}

void Node::apply() {
  std::vector<std::string> problems;
  std::set<std::string> held_back;
  workload::Phases phases;
  for (const auto& [key, record] : pods_->records()) phases[key] = record.state.phase;
  auto desired = workload::expand(objects_, &phases);
  if (!desired) {
    problems.push_back(desired.error().message);
  } else {
    problems = pods_->reconcile(*desired, objects_).failures;
    desired_ = std::move(*desired);
  }
  // Written before any process of a new pod runs: a successor knows all that may be alive.
  Status saved = write_state();
  if (auto enforced = enforce(); !enforced) {
    problems.push_back("not enforced, the last generation stays in force: " +
                       enforced.error().message);
  } else {
    join_mesh(problems, held_back);
    if (auto led = lead_traffic(); !led)
      problems.push_back("enforced, but Services or names are not up to date: " +
                         led.error().message);
    if (saved)
      for (std::string& failure : pods_->start_prepared(held_back))
        problems.push_back(std::move(failure));
  }
  if (saved) saved = write_state();
  if (!saved) problems.push_back(saved.error().message);
  set_problems(std::move(problems));
}

// What stays wrong is tried again every second, and told once.
void Node::set_problems(std::vector<std::string> problems) {
  for (const std::string& problem : problems)
    if (std::ranges::find(problems_, problem) == problems_.end()) log_error("node", problem);
  problems_ = std::move(problems);
  if (!problems_.empty()) retry_at_ = clock_.now() + kRetry;
}

void Node::look_for_changes() {
  if (source_->take_changes()) {
    if (!change_seen_) change_seen_ = clock_.now();
    reload_due_ = true;
  }
  if (!reload_due_) return;
  for (int round = 0; round < kSettleRounds; ++round) {
    pollfd fd{source_->change_fd(), POLLIN, 0};
    if (::poll(&fd, 1, kSettleMillis) <= 0) break;
    source_->take_changes();
  }
  // Half a file may be valid, and say less than the whole: looked at again with the next event or
  // tick.
  if (source_->unsettled()) return;
  reload_due_ = false;
  reload();
}

void Node::reload() {
  auto accepted = accept_manifests(source_->load(), ranges_, options_.allow_unenforced);
  if (!accepted) {
    std::vector<std::string> rejected;
    for (const k8s::Diagnostic& d : accepted.error()) rejected.push_back(d.to_string());
    for (const std::string& text : rejected)
      if (std::ranges::find(rejected_change_, text) == rejected_change_.end())
        log_error("node", "change not taken over: " + text);
    rejected_change_ = std::move(rejected);
    change_seen_.reset();
    return;
  }
  rejected_change_.clear();
  objects_ = std::move(accepted->objects);
  desired_ = std::move(accepted->desired);
  for (const k8s::Diagnostic& d : accepted->warnings) {
    auto told = [&](const k8s::Diagnostic& old) { return old.to_string() == d.to_string(); };
    if (std::ranges::none_of(warnings_, told)) log_warn("node", d.to_string());
  }
  warnings_ = std::move(accepted->warnings);
  apply();
  change_seen_.reset();
  note_stale_pods();
}

void Node::note_stale_pods() {
  auto before = std::exchange(stale_, pods_->stale(objects_));
  for (const Pods::Stale& pod : stale_) {
    auto told = [&](const Pods::Stale& old) {
      return old.uid == pod.uid && old.objects == pod.objects;
    };
    if (std::ranges::none_of(before, told)) log_warn("node", pod.text());
  }
}

}  // namespace sallyport::standalone
