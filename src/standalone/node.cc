#include "standalone/node.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

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

constexpr auto kTick = std::chrono::milliseconds(100);
// Editors write in several steps: a change counts when the directory has been still for this long.
constexpr int kSettleMillis = 4;
constexpr int kSettleRounds = 10;
constexpr auto kRetry = std::chrono::seconds(1);

// Kernel events carry CLOCK_MONOTONIC.
WallTime wall_of(uint64_t kernel_ns) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t now_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  auto ago = std::chrono::nanoseconds(now_ns - static_cast<int64_t>(kernel_ns));
  return std::chrono::system_clock::now() -
         std::chrono::duration_cast<std::chrono::system_clock::duration>(ago);
}

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

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
  auto source = watch_directory(node->options_.dir);
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
  config.node_addresses = {ranges_.node4, ranges_.node6};
  config.node_ports = {{IPPROTO_TCP, options_.metrics_port}};
  SP_TRY(gate_, gate::open_gate(config));

  runtime::PodRuntime::Options runtime_options;
  runtime_options.state_dir = paths_.run;
  runtime_options.cgroup_name = paths_.cgroup;
  SP_TRY(runtime_, runtime::PodRuntime::open(runtime_options));
  runtime_->set_probe_netns(network_->node_netns());

  Pods::Options pod_options;
  pod_options.expose = options_.expose;
  pod_options.mounts = options_.mounts;
  pod_options.dns_records_dir = paths_.dns;
  pod_options.dns_servers = {dns_address4(ranges_).to_string()};
  pod_options.node_name = kNodeName;
  pods_ = std::make_unique<Pods>(pod_options, *runtime_, *network_, clock_);
  pods_->on_removed = [this](uint32_t id) { gate_->forget_endpoint(id); };
  enforcement_ = std::make_unique<Enforcement>(*gate_);

  if (previous) {
    state_ = *previous;
    took_over_ = true;
    SP_CHECK_OK(enforcement_->rules().load(previous->rules));
    pods_->recover(*previous, desired_);
    log_info("node", "took over the run \"" + paths_.name + "\" with " +
                         std::to_string(pods_->records().size()) + " running pods");
  }
  bool echo_lives = false;
  if (state_.echo_pid > 0)
    if (auto start = process_start_time(state_.echo_pid))
      echo_lives = *start == state_.echo_start_time;
  if (!echo_lives) {
    SP_TRY(state_.echo_pid, node::start_echo(network_->outside_netns(), "/proc/self/exe"));
    SP_TRY(state_.echo_start_time, process_start_time(state_.echo_pid));
  }
  state_.gate_layout = gate::kLayoutVersion;
  state_.manifest_dir = options_.dir;
  write_state();

  SP_CHECK_OK(open_metrics());
  admin_ = std::make_unique<admin::Server>();
  register_operations(*admin_, *this);
  return admin_->listen(paths_.admin_socket);
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

void Node::write_state() {
  pods_->fill(state_);
  state_.rules.clear();
  enforcement_->rules().save(state_.rules);
  if (auto saved = save_state(paths_.state, state_); !saved)
    log_error("node", "state not saved: " + saved.error().message);
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
Status Node::publish() {
  auto world = std::make_shared<world::World>(build_world(objects_, *pods_, ++state_.revision));
  for (auto& service : world->services) {
    if (service->headless) continue;
    auto copy = std::make_shared<k8s::Service>(*service);
    SP_TRY(copy->cluster_ips, network_->assign_cluster_ips(*service));
    service = std::move(copy);
  }
  world_ = world;
  flows_.learn(*world_);
  SP_TRY(bool fresh, enforcement_->apply(world_, *pods_));
  if (fresh && change_seen_) {
    latency_.observe(std::chrono::duration<double>(clock_.now() - *change_seen_).count());
    change_seen_.reset();
  }
  // Rule ids that the kernel now reports must be known to a successor, and never be given again.
  if (fresh) write_state();
  SP_CHECK_OK(network_->apply_services(*world_));
  return write_zone();
}

void Node::apply() {
  problems_.clear();
  workload::Phases phases;
  for (const auto& [key, record] : pods_->records()) phases[key] = record.state.phase;
  auto desired = workload::expand(objects_, &phases);
  if (!desired) {
    problems_.push_back(desired.error().message);
  } else {
    Pods::Changes changes = pods_->reconcile(*desired, objects_);
    problems_ = std::move(changes.failures);
  }
  // Written before any process of a new pod runs: a successor knows all that may be alive.
  write_state();
  if (auto published = publish(); !published) {
    problems_.push_back("not enforced, the last generation stays in force: " +
                        published.error().message);
  } else {
    for (std::string& failure : pods_->start_prepared()) problems_.push_back(std::move(failure));
  }
  for (const std::string& problem : problems_) log_error("node", problem);
  if (!problems_.empty()) retry_at_ = clock_.now() + kRetry;
}

void Node::reload() {
  if (!change_seen_) change_seen_ = clock_.now();
  for (int round = 0; round < kSettleRounds; ++round) {
    source_->acknowledge();
    pollfd fd{source_->change_fd(), POLLIN, 0};
    if (::poll(&fd, 1, kSettleMillis) <= 0) break;
  }
  auto accepted = accept_manifests(source_->load(), ranges_, options_.allow_unenforced);
  if (!accepted) {
    rejected_change_.clear();
    for (const k8s::Diagnostic& d : accepted.error()) {
      rejected_change_.push_back(d.to_string());
      log_error("node", "change not taken over: " + d.to_string());
    }
    change_seen_.reset();
    return;
  }
  rejected_change_.clear();
  objects_ = std::move(accepted->objects);
  desired_ = std::move(accepted->desired);
  warnings_ = std::move(accepted->warnings);
  apply();
  change_seen_.reset();
}

void Node::drain_events() {
  gate_->drain_events([this](const gate::FlowEvent& event) {
    flows_.add(event, wall_of(event.time_ns), world_.get(), enforcement_->rules());
  });
}

void Node::tick() {
  if (pods_->poll()) apply();
  if (!problems_.empty() && clock_.now() >= retry_at_) apply();
  announce_ready();
}

void Node::announce_ready() {
  if (ready_announced_ || !status()["ready"].as_bool()) return;
  ready_announced_ = true;
  if (options_.quiet) return;
  double seconds = std::chrono::duration<double>(clock_.now() - started_).count();
  std::printf("run \"%s\": %zu pods ready after %.1f s, gate 1 enforces generation %llu\n",
              paths_.name.c_str(), pods_->records().size(), seconds,
              static_cast<unsigned long long>(enforcement_->generation()));
  std::fflush(stdout);
}

std::string Node::metrics_text() {
  auto stats = gate_->stats();
  return stats ? write_metrics(*stats, enforcement_->rules(), flows_, *pods_, latency_)
               : std::string();
}

Value Node::status() const {
  Value out = Value::map();
  out.set("name", paths_.name);
  out.set("pid", Value::integer(::getpid()));
  out.set("manifests", options_.dir);
  out.set("tookOver", Value::boolean(took_over_));
  out.set("generation", Value::integer(static_cast<int64_t>(enforcement_->generation())));
  size_t ready = 0, wanted = desired_.size();
  for (const workload::PodPtr& pod : desired_) {
    const PodRecord* record = pods_->find(pod->meta.ns + "/" + pod->meta.name);
    if (record && record->stage == PodRecord::Stage::kStarted &&
        (record->state.ready() || record->state.phase == "Succeeded"))
      ++ready;
  }
  out.set("pods", Value::integer(static_cast<int64_t>(pods_->records().size())));
  out.set("podsReady", Value::integer(static_cast<int64_t>(ready)));
  out.set("podsWanted", Value::integer(static_cast<int64_t>(wanted)));
  out.set("ready", Value::boolean(ready == wanted && problems_.empty()));
  if (auto stats = gate_->stats()) {
    Value gate = Value::map();
    gate.set("layout", Value::integer(gate::kLayoutVersion));
    gate.set("connections", Value::integer(static_cast<int64_t>(stats->connections)));
    gate.set("connectionsLimit", Value::integer(static_cast<int64_t>(stats->connections_limit)));
    gate.set("connectionOverflows",
             Value::integer(static_cast<int64_t>(stats->connection_overflows)));
    gate.set("eventsLost", Value::integer(static_cast<int64_t>(stats->events_lost)));
    gate.set("lastPublishMicros", Value::integer(static_cast<int64_t>(stats->last_publish_micros)));
    out.set("gate", std::move(gate));
  }
  auto list = [&](std::string_view key, const std::vector<std::string>& texts) {
    Value& items = out.set(key, Value::list());
    for (const std::string& text : texts) items.push(Value::string(text));
  };
  list("problems", problems_);
  list("rejectedChange", rejected_change_);
  std::vector<std::string> warnings;
  for (const k8s::Diagnostic& d : warnings_) warnings.push_back(d.to_string());
  list("warnings", warnings);
  return out;
}

int Node::run() {
  sigset_t signals = ending_signals();
  Fd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));

  for (const k8s::Diagnostic& d : warnings_) log_warn("node", d.to_string());
  change_seen_ = clock_.now();
  apply();
  Monotonic next_tick = clock_.now();
  while (!stopping_) {
    auto now = clock_.now();
    if (now >= next_tick) {
      tick();
      next_tick = clock_.now() + kTick;
    }
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(next_tick - clock_.now());
    pollfd fds[] = {{signal_fd.get(), POLLIN, 0},   {source_->change_fd(), POLLIN, 0},
                    {gate_->event_fd(), POLLIN, 0}, {runtime_->event_fd(), POLLIN, 0},
                    {admin_->poll_fd(), POLLIN, 0}, {metrics_->poll_fd(), POLLIN, 0},
                    {mailbox_.fd(), POLLIN, 0}};
    if (::poll(fds, std::size(fds), std::max<int>(0, static_cast<int>(wait.count()) + 1)) < 0 &&
        errno != EINTR)
      break;
    if (fds[0].revents) break;
    // A policy change goes before everything else.
    if (fds[1].revents) reload();
    if (fds[2].revents) drain_events();
    if (fds[3].revents && pods_->poll()) apply();
    if (fds[4].revents) admin_->dispatch();
    if (fds[5].revents) metrics_->dispatch();
    if (fds[6].revents) mailbox_.run();
  }
  shut_down(signal_fd.get());
  return 0;
}

// In reverse order of the start: processes, then Services and links, then the gate.
void Node::shut_down(int signal_fd) {
  log_info("node", "ending the run \"" + paths_.name + "\"");
  signalfd_siginfo info{};
  while (::read(signal_fd, &info, sizeof info) > 0) {
  }
  auto deadline = clock_.now() + std::chrono::seconds(40);
  bool now = false;
  while (!pods_->stop_all(now)) {
    pollfd fds[] = {{signal_fd, POLLIN, 0}, {runtime_->event_fd(), POLLIN, 0}};
    ::poll(fds, 2, 20);
    now = now || fds[0].revents || clock_.now() >= deadline;
  }
  admin_.reset();
  metrics_.reset();
  if (auto removed = gate_->remove(); !removed) log_error("node", removed.error().message);
  gate_.reset();
  end_process(state_.echo_pid, state_.echo_start_time);
  if (auto removed = network_->remove(); !removed) log_error("node", removed.error().message);
  network_.reset();
  pods_.reset();
  runtime_.reset();
  if (auto removed = remove_run_dirs(paths_); !removed) log_error("node", removed.error().message);
}

}  // namespace sallyport::standalone
