#include "runtime/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fs.h"
#include "base/strings.h"
#include "codec/json.h"
#include "runtime/shim_layout.h"
#include "runtime/status_file.h"

namespace sallyport::runtime {
namespace {

constexpr size_t kMaxSessions = 64;
constexpr int kTimesEmpty = 4;
constexpr auto kLeftoverInterval = std::chrono::milliseconds(10);

int64_t wall_ms(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall().time_since_epoch())
      .count();
}

// "oom_kill N" in memory.oom_control (v1) and memory.events (v2).
uint64_t count_oom_kills(const Fd& file) {
  char text[1024];
  ssize_t n = file ? ::pread(file.get(), text, sizeof text, 0) : 0;
  if (n <= 0) return 0;
  for (const std::string& line : split(std::string_view(text, static_cast<size_t>(n)), '\n'))
    if (line.starts_with("oom_kill ")) return parse_number<uint64_t>(line.substr(9)).value_or(0);
  return 0;
}

}  // namespace

Shim::Shim(Plan plan, Fd listener, Fd signals)
    : plan_(std::move(plan)), listener_(std::move(listener)), signals_(std::move(signals)) {
  LifecycleOptions options;
  options.restart_policy = plan_.restart_policy;
  options.backoff = std::chrono::milliseconds(plan_.backoff_ms);
  std::vector<Lifecycle::Member> members;
  for (const PlannedContainer& container : plan_.containers)
    members.push_back({container.name, container.init});
  lifecycle_ = std::make_unique<Lifecycle>(options, members);
  containers_.resize(members.size());
}

void Shim::run() {
  while (true) {
    kill_leftovers();
    act();
    save_status();
    wait_for_events();
  }
}

void Shim::wait_for_events() {
  std::vector<pollfd> polls;
  auto add = [&](int fd) {
    if (fd >= 0) polls.push_back({fd, POLLIN, 0});
  };
  add(signals_.get());
  if (sessions_.size() < kMaxSessions) add(listener_.get());
  for (const Container& c : containers_) {
    if (!c.process) continue;
    for (const Fd* fd : {&c.process->report, &c.process->out, &c.process->err}) add(fd->get());
  }
  for (const Session& session : sessions_) add(session.socket.get());

  std::optional<Monotonic> deadline = lifecycle_->next_deadline();
  if (!doomed_.empty()) {
    Monotonic soon = clock_.now() + kLeftoverInterval;
    if (!deadline || soon < *deadline) deadline = soon;
  }
  int timeout = -1;
  if (deadline) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - clock_.now()).count();
    timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  }
  if (::poll(polls.data(), polls.size(), timeout) < 0 && errno != EINTR) ::usleep(10'000);

  // All are non-blocking, so each is simply tried; what has nothing says so.
  for (size_t i = 0; i < containers_.size(); ++i) {
    if (!containers_[i].process) continue;
    read_output(containers_[i], false);
    follow_start(i);
  }
  reap();
  for (Session& session : sessions_) serve(session);
  std::erase_if(sessions_, [](const Session& s) { return s.closing && !s.process; });
  if (sessions_.size() < kMaxSessions) accept_session();
}

void Shim::accept_session() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  Session session;
  session.socket = std::move(socket);
  sessions_.push_back(std::move(session));
}

void Shim::serve(Session& session) {
  if (session.process) {
    read_report(session.process->report, session.report);
    if (session.report.finished) session.process->report.reset();
  }
  if (session.closing) return;
  auto message = receive_message(session.socket.get());
  if (!message && message.error().code == Code::kUnavailable) return;
  std::optional<Message> request;
  if (message) request = std::move(*message);
  if (!request || session.process) {
    end_session(session);  // closed, or out of order
    return;
  }
  codec::Value answer = handle(session, *request);
  if (answer.is_map() && !send_message(session.socket.get(), answer)) end_session(session);
}

void Shim::end_session(Session& session) {
  session.closing = true;
  session.socket.reset();
  // Whoever asked for it has gone: the command has no reader any more.
  if (session.process) ::kill(-session.process->pid, SIGKILL);
  if (session.process) ::kill(session.process->pid, SIGKILL);
}

void Shim::act() {
  for (const Lifecycle::Action& action : lifecycle_->step(clock_.now())) {
    Container& container = containers_[action.index];
    switch (action.kind) {
      case Lifecycle::Action::Kind::kStart:
        start(action.index);
        break;
      case Lifecycle::Action::Kind::kTerm:
        if (container.process) ::kill(container.process->pid, SIGTERM);
        break;
      case Lifecycle::Action::Kind::kKill:
        if (container.process) ::kill(container.process->pid, SIGKILL);
        break;
    }
  }
}

void Shim::start(size_t index) {
  Container& container = containers_[index];
  const PlannedContainer& planned = plan_.containers[index];
  container.report = {};
  container.running = false;
  container.oom_kills = count_oom_kills(container.oom_file);
  if (!container.log)
    container.log =
        std::make_unique<LogWriter>(std::string(layout::kState) + "/" + planned.name + ".log");
  if (!planned.error.empty()) {
    lifecycle_->start_failed(index, planned.error, clock_.now(), wall_ms(clock_));
    return;
  }
  std::vector<int> procs;
  for (const Fd& fd : container.cgroup_procs) procs.push_back(fd.get());
  auto started = start_container(plan_, planned, procs);
  if (!started) {
    lifecycle_->start_failed(index, started.error().message, clock_.now(), wall_ms(clock_));
    return;
  }
  container.process = std::move(*started);
}

void Shim::follow_start(size_t index) {
  Container& container = containers_[index];
  if (!container.process || !container.process->report) return;
  read_report(container.process->report, container.report);
  if (!container.report.finished) return;
  container.process->report.reset();
  if (!container.report.error.empty()) return;  // told when the child is reaped
  container.running = true;
  lifecycle_->running(index, container.process->pid, clock_.now(), wall_ms(clock_));
}

void Shim::read_output(Container& container, bool to_the_end) {
  if (!container.process) return;
  std::array<Fd*, 2> pipes{&container.process->out, &container.process->err};
  std::vector<char> bytes(64 << 10);
  for (size_t i = 0; i < pipes.size(); ++i) {
    // A container that writes without end must not keep the loop from other work.
    for (int round = 0; *pipes[i] && round < (to_the_end ? 64 : 1); ++round) {
      ssize_t n = ::read(pipes[i]->get(), bytes.data(), bytes.size());
      if (n < 0) break;
      if (n == 0)
        pipes[i]->reset();
      else
        container.log->append(i == 1, std::string_view(bytes.data(), static_cast<size_t>(n)),
                              clock_.wall());
    }
  }
}

void Shim::reap() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) > 0) {
  }
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    for (size_t i = 0; i < containers_.size(); ++i)
      if (const auto& process = containers_[i].process; process && process->pid == pid)
        container_ended(i, status);
    for (Session& session : sessions_)
      if (session.process && session.process->pid == pid) exec_ended(session, status);
  }
}

void Shim::container_ended(size_t index, int status) {
  Container& container = containers_[index];
  follow_start(index);
  // Ends what the container left behind before its output is closed, so that nothing is lost.
  if (container.report.mount_namespace)
    doomed_.push_back({std::move(container.report.mount_namespace)});
  if (container.kill_file && ::write(container.kill_file.get(), "1", 1) != 1)
    container.kill_file.reset();  // the other way below still works
  kill_leftovers();
  read_output(container, true);
  container.log->flush(clock_.wall());
  container.process.reset();
  if (!container.report.error.empty()) {
    lifecycle_->start_failed(index, container.report.error, clock_.now(), wall_ms(clock_));
    return;
  }
  Lifecycle::Exit exit;
  exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.code = exit.signal ? 128 + exit.signal : WEXITSTATUS(status);
  // Under v1 the kernel may have picked a child of the first process; the count tells.
  exit.out_of_memory = exit.code != 0 && count_oom_kills(container.oom_file) > container.oom_kills;
  lifecycle_->exited(index, exit, clock_.now(), wall_ms(clock_));
}

void Shim::exec_ended(Session& session, int status) {
  serve(session);
  session.process.reset();
  if (session.closing) return;
  codec::Value answer = codec::Value::map();
  if (!session.report.error.empty())
    answer.set("error", session.report.error);
  else
    answer.set("exit", codec::Value::integer(WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                                                 : WEXITSTATUS(status)));
  (void)send_message(session.socket.get(), answer);
  end_session(session);
}

void Shim::kill_leftovers() {
  std::erase_if(doomed_, [](Doomed& doomed) {
    size_t found = 1;
    for (int pass = 0; pass < 20 && found > 0; ++pass) found = kill_all_in(doomed.mount_namespace);
    doomed.times_empty = found == 0 ? doomed.times_empty + 1 : 0;
    return doomed.times_empty == kTimesEmpty;
  });
}

void Shim::save_status() {
  PodState state = lifecycle_->snapshot();
  state.uid = plan_.uid;
  std::string text = codec::write_json(encode_state(state));
  if (text == last_status_) return;
  if (write_file_atomic(std::string(layout::kState) + "/status.json", text, 0600))
    last_status_ = std::move(text);
}

}  // namespace sallyport::runtime
