// The loop of a node, and its end.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>

#include "base/log.h"
#include "standalone/node.h"
#include "standalone/teardown.h"

namespace sallyport::standalone {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kOverflowLook = std::chrono::seconds(5);
// How long pods may take to end; a second signal cuts it short.
constexpr auto kEndTime = std::chrono::seconds(40);
// For the answers of commands whose pods have just ended.
constexpr int kAnswerRounds = 50;
constexpr int kRoundMillis = 20;

// Kernel events carry CLOCK_MONOTONIC.
WallTime wall_of(uint64_t kernel_ns) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t now_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  auto ago = std::chrono::nanoseconds(now_ns - static_cast<int64_t>(kernel_ns));
  return std::chrono::system_clock::now() -
         std::chrono::duration_cast<std::chrono::system_clock::duration>(ago);
}

}  // namespace

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

int Node::run() {
  sigset_t signals = ending_signals();
  Fd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));

  for (const k8s::Diagnostic& d : warnings_) log_warn("node", d.to_string());
  change_seen_ = clock_.now();
  apply();
  change_seen_.reset();
  note_stale_pods();
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
    if (::poll(fds, std::size(fds), std::max<int>(0, static_cast<int>(wait.count()) + 1)) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (fds[0].revents) break;
    // A policy change goes before everything else.
    if (fds[1].revents) look_for_changes();
    if (fds[2].revents) drain_events();
    if (fds[3].revents && pods_->poll()) apply();
    if (fds[4].revents) admin_->dispatch();
    if (fds[5].revents) metrics_->dispatch();
    if (fds[6].revents) mailbox_.run();
  }
  shut_down(signal_fd.get());
  return 0;
}

void Node::drain_events() {
  gate_->drain_events([this](const gate::FlowEvent& event) {
    flows_.add(event, wall_of(event.time_ns), world_.get(), enforcement_->rules());
  });
  mesh_->drain_flows(
      [this](const telemetry::FlowRecord& record) { flows_.add_mesh(record, world_.get()); });
}

FlowLog& Node::flows() {
  drain_events();
  return flows_;
}

void Node::tick() {
  look_for_changes();
  if (pods_->poll()) apply();
  if (!problems_.empty() && clock_.now() >= retry_at_) apply();
  watch_overflow();
  if (mesh_->active()) {
    drain_events();
    mesh_->tick();
    // A proxy that was started again has another pid.
    if (mesh_->processes() != state_.proxies)
      if (auto saved = write_state(); !saved) log_error("node", saved.error().message);
  }
  announce_ready();
}

void Node::watch_overflow() {
  if (clock_.now() < next_overflow_look_) return;
  next_overflow_look_ = clock_.now() + kOverflowLook;
  auto stats = gate_->stats();
  if (!stats) return;
  if (overflows_ && stats->connection_overflows > *overflows_)
    log_error("node", std::to_string(stats->connection_overflows - *overflows_) +
                          " new connections were denied for want of room: " + overflow_advice());
  overflows_ = stats->connection_overflows;
}

// In reverse order of the start: processes, then Services and links, then the gate. Clients are
// served until the last pod has ended.
void Node::shut_down(int signal_fd) {
  stopping_ = true;
  log_info("node", "ending the run \"" + paths_.name + "\"");
  signalfd_siginfo info{};
  while (::read(signal_fd, &info, sizeof info) > 0) {
  }
  auto serve = [this] {
    drain_events();
    mailbox_.run();
    admin_->dispatch();
    metrics_->dispatch();
  };
  auto deadline = clock_.now() + kEndTime;
  bool now = false;
  while (!pods_->stop_all(now)) {
    pollfd fds[] = {
        {signal_fd, POLLIN, 0}, {runtime_->event_fd(), POLLIN, 0}, {admin_->poll_fd(), POLLIN, 0}};
    ::poll(fds, std::size(fds), kRoundMillis);
    now = now || fds[0].revents || clock_.now() >= deadline;
    serve();
  }
  for (int round = 0; round < kAnswerRounds && !mailbox_.idle(); ++round) {
    pollfd fd{mailbox_.fd(), POLLIN, 0};
    ::poll(&fd, 1, kRoundMillis);
    serve();
  }
  serve();
  // Ends whatever a client still waits for, so that no thread uses what goes now.
  admin_.reset();
  mailbox_.join();
  metrics_.reset();
  mesh_.reset();
  if (auto removed = gate_->remove(); !removed) log_error("node", removed.error().message);
  gate_.reset();
  end_process(state_.echo_pid, state_.echo_start_time);
  end_processes_in(network_->outside_netns());
  if (auto removed = network_->remove(); !removed) log_error("node", removed.error().message);
  pods_.reset();
  network_.reset();
  runtime_.reset();
  if (auto removed = remove_run_dirs(paths_); !removed) log_error("node", removed.error().message);
}

}  // namespace sallyport::standalone
