#include "standalone/proxy_link.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/log.h"

namespace sallyport::standalone {
namespace {

// A process that lived at least so long is started again at once.
constexpr auto kSoundLife = std::chrono::seconds(2);
constexpr auto kFirstWait = std::chrono::milliseconds(50);
constexpr auto kLongestWait = std::chrono::milliseconds(800);

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

ProxyLink::~ProxyLink() {
  if (!process_) return;
  kill();
  while (::waitpid(process_->pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

Status ProxyLink::start() {
  told = {};
  ready = refused = 0;
  queue_.clear();
  rings_.clear();
  started_ = clock_.now();
  auto go = [&]() -> Status {
    for (int i = 0; i < options_.workers; ++i) {
      SP_TRY(auto ring, telemetry::FlowRing::create(options_.ring_records));
      rings_.emplace_back(std::move(ring));
    }
    SP_TRY(auto ends, mesh::make_channel());
    std::vector<std::string> arguments{"sallyport",    "proxy",
                                       "--channel-fd", std::to_string(kProxyChannelFd),
                                       "--workers",    std::to_string(options_.workers)};
    arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
    SP_TRY(process_, spawn_proxy(options_.program, arguments, ends.second, options_.user));
    channel_.emplace(std::move(ends.first));
    for (int i = 0; i < options_.workers; ++i) {
      Fd copy(::fcntl(rings_[static_cast<size_t>(i)]->fd().get(), F_DUPFD_CLOEXEC, 0));
      if (!copy) return fail_errno("duplicate a descriptor");
      queue(mesh::FlowRingMessage{i, std::move(copy)});
    }
    return {};
  };
  Status gone = go();
  if (gone) {
    problem.clear();
    return {};
  }
  problem = "the proxy process does not start: " + gone.error().message;
  start_at = clock_.now() + kLongestWait;
  return gone;
}

void ProxyLink::ended() {
  if (!process_) return;
  bool asked_to = !channel_;
  // Whatever holds it up (a channel that is gone), it must not go on without one.
  kill();
  int status = 0;
  while (::waitpid(process_->pid, &status, 0) < 0 && errno == EINTR) continue;
  quick_ends_ = clock_.now() - started_ < kSoundLife ? std::min(quick_ends_ + 1, 10) : 0;
  auto wait = quick_ends_ == 0 ? std::chrono::milliseconds(0)
                               : std::min(kLongestWait, kFirstWait * (1 << (quick_ends_ - 1)));
  start_at = clock_.now() + wait;
  problem = "the proxy process (pid " + std::to_string(process_->pid) + ") " +
            how_it_ended(status) + "; it is started again";
  if (!asked_to) {
    log_warn("mesh", group_ + ": " + problem);
    ++restarts;
  }
  process_.reset();
  channel_.reset();
  queue_.clear();
  ready = 0;
}

void ProxyLink::close() {
  channel_.reset();
  queue_.clear();
}

void ProxyLink::kill() {
  if (process_) ::syscall(SYS_pidfd_send_signal, process_->pidfd.get(), SIGKILL, nullptr, 0);
}

bool ProxyLink::flush() {
  while (channel_ && !queue_.empty()) {
    auto sent = channel_->send(queue_.front());
    if (!sent && sent.error().code == Code::kUnavailable) return true;
    if (!sent) {
      log_error("mesh", group_ + ": " + sent.error().message);
      return false;
    }
    queue_.pop_front();
  }
  return true;
}

}  // namespace sallyport::standalone
