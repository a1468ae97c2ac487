#include "standalone/proxy_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/log.h"
#include "mesh/config.h"

namespace sallyport::standalone {
namespace {

// A process that lived at least so long is started again at once.
constexpr auto kSoundLife = std::chrono::seconds(2);
constexpr auto kFirstWait = std::chrono::milliseconds(50);
constexpr auto kLongestWait = std::chrono::milliseconds(800);

// For all that a process that outlived its node has to tell.
constexpr auto kAdoptTime = std::chrono::seconds(3);
constexpr int kBufferBytes = 1 << 20;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalid, path + ": too long for a socket");
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<Fd> listen_at(const std::string& path) {
  SP_TRY(sockaddr_un address, address_of(path));
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket");
  (void)::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 1) != 0)
    return fail_errno("listen at " + path);
  return fd;
}

Result<Fd> connect_to(const std::string& path) {
  SP_TRY(sockaddr_un address, address_of(path));
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket");
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kBufferBytes, sizeof kBufferBytes);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to " + path);
  return fd;
}

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
    SP_TRY(auto ends, mesh::make_channel());
    std::vector<std::string> arguments{"sallyport",    "proxy",
                                       "--channel-fd", std::to_string(kProxyChannelFd),
                                       "--workers",    std::to_string(options_.workers)};
    Fd attach;
    if (!options_.socket_dir.empty()) {
      SP_TRY(attach, listen_at(socket_path()));
      arguments.insert(arguments.end(), {"--attach-fd", std::to_string(kProxyAttachFd)});
    }
    arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
    SP_TRY(process_, spawn_proxy(options_.program, arguments, ends.second, attach, options_.user));
    channel_.emplace(std::move(ends.first));
    return make_rings();
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

Status ProxyLink::make_rings() {
  for (int i = 0; i < options_.workers; ++i) {
    SP_TRY(auto ring, telemetry::FlowRing::create(options_.ring_records));
    rings_.emplace_back(std::move(ring));
    Fd copy(::fcntl(rings_.back()->fd().get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("duplicate a descriptor");
    queue(mesh::FlowRingMessage{i, std::move(copy)});
  }
  return {};
}

// Group names are names of namespaces or pods: a slash is the one character of theirs that a file
// name cannot have.
std::string ProxyLink::socket_path() const {
  std::string name = group_;
  std::ranges::replace(name, '/', '_');
  return options_.socket_dir + "/" + name + ".sock";
}

Result<ProxyLink::Adopted> ProxyLink::adopt(pid_t pid, uint64_t start_time) {
  SpawnedProxy process;
  process.pid = pid;
  process.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Asked after the descriptor is there: it cannot be another process any more.
  auto started = process_start_time(pid);
  if (!process.pidfd || !started || *started != start_time)
    return fail(Code::kNotFound, "the process is gone");
  process.start_time = start_time;
  SP_TRY(Fd socket, connect_to(socket_path()));
  mesh::Channel channel(std::move(socket));
  Adopted out;
  const auto deadline = clock_.now() + kAdoptTime;
  while (true) {
    auto message = channel.receive_to_node();
    if (!message && message.error().code != Code::kUnavailable)
      return std::unexpected(message.error());
    if (!message) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_.now());
      if (left.count() <= 0) return fail(Code::kUnavailable, "the process does not answer");
      pollfd wait{channel.fd(), POLLIN, 0};
      ::poll(&wait, 1, static_cast<int>(left.count()));
      continue;
    }
    if (auto* serving = std::get_if<mesh::ServingMessage>(&*message)) {
      auto listeners = std::make_shared<capture::Listeners>();
      listeners->outbound4 = std::move(serving->outbound4);
      listeners->outbound6 = std::move(serving->outbound6);
      listeners->inbound4 = std::move(serving->inbound4);
      listeners->inbound6 = std::move(serving->inbound6);
      out.pods[serving->uid] = std::move(listeners);
    } else if (auto* attached = std::get_if<mesh::AttachedMessage>(&*message)) {
      if (attached->schema != mesh::kConfigSchema)
        return fail(Code::kConflict, "the process reads configurations of schema " +
                                         std::to_string(attached->schema));
      out.generation = attached->generation;
      break;
    }
  }
  process_ = std::move(process);
  channel_.emplace(std::move(channel));
  started_ = clock_.now();
  told.pods = out.pods;
  ready = out.generation;
  SP_CHECK_OK(make_rings());
  return out;
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
  if (process_) ::syscall(SYS_pidfd_send_signal, process_->pidfd.get(), SIGTERM, nullptr, 0);
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
