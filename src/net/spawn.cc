#include "net/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/fd.h"
#include "net/netns.h"

namespace sallyport::net {
namespace {

constexpr size_t kMostOutput = 1 << 20;

// posix_spawn's two settings objects, freed together.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // Starts with default signal handling and nothing open above standard error.
  Status prepare(short more_flags) {
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK |
                                                               POSIX_SPAWN_SETSIGDEF | more_flags));
    if (int err = ::posix_spawn_file_actions_addclosefrom_np(&actions, 3); err != 0)
      return fail_errno("spawn", err);
    return {};
  }

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

Result<pid_t> spawn(int netns_fd, const std::vector<std::string>& argv, SpawnSettings& settings) {
  if (argv.empty()) return fail(Code::kInvalid, "no program was named");
  std::vector<char*> args;
  args.reserve(argv.size() + 1);
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};
  pid_t pid = -1;
  SP_CHECK_OK(in_netns(netns_fd, [&]() -> Status {
    int err = ::posix_spawn(&pid, args[0], &settings.actions, &settings.attributes, args.data(),
                            environment);
    if (err != 0) return fail_errno("start " + argv[0], err);
    return {};
  }));
  return pid;
}

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno("pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<Outcome> run_in(int netns_fd, const std::vector<std::string>& argv, std::string_view input,
                       int timeout_ms) {
  SP_TRY(Pipe in, make_pipe());
  SP_TRY(Pipe out, make_pipe());
  SpawnSettings settings;
  ::posix_spawn_file_actions_adddup2(&settings.actions, in.read.get(), 0);
  ::posix_spawn_file_actions_adddup2(&settings.actions, out.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&settings.actions, out.write.get(), 2);
  SP_CHECK_OK(settings.prepare(0));
  // The child's ends block, as programs expect; the flag is of the pipe end, not of the process.
  ::fcntl(in.read.get(), F_SETFL, 0);
  ::fcntl(out.write.get(), F_SETFL, 0);
  // A child that ends before it has read everything must not end this process: SIGPIPE is blocked
  // for this thread alone while it writes.
  sigset_t pipe_signal, before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  SP_TRY(pid_t pid, spawn(netns_fd, argv, settings));
  in.read.reset();
  out.write.reset();
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);

  Outcome outcome;
  bool late = false, broken_pipe = false;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (out.read) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      late = true;
      break;
    }
    if (in.write && input.empty()) in.write.reset();
    pollfd fds[2] = {{out.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}};
    if (::poll(fds, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) break;
    if (in.write && (fds[1].revents & (POLLOUT | POLLERR | POLLHUP))) {
      ssize_t n = ::write(in.write.get(), input.data(), std::min<size_t>(input.size(), 1 << 16));
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) {
        broken_pipe = broken_pipe || errno == EPIPE;
        in.write.reset();
      }
    }
    if (fds[0].revents & (POLLIN | POLLERR | POLLHUP)) {
      char buffer[65536];
      ssize_t n = ::read(out.read.get(), buffer, sizeof buffer);
      if (n > 0) {
        size_t room = kMostOutput - outcome.output.size();
        outcome.output.append(buffer, std::min(room, static_cast<size_t>(n)));
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        out.read.reset();
      }
    }
  }
  if (broken_pipe) {  // takes the pending SIGPIPE, which would fire when it is unblocked
    timespec now{};
    ::sigtimedwait(&pipe_signal, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);

  // Its output is closed; a program that goes on without it gets until the deadline.
  int status = 0;
  while (true) {
    pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) return fail_errno("wait for " + argv[0]);
    if (late || std::chrono::steady_clock::now() >= deadline) {
      ::kill(pid, SIGKILL);
      while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
      return fail(Code::kUnavailable,
                  argv[0] + " did not end within " + std::to_string(timeout_ms) + " ms");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  outcome.status = exit_code(status);
  return outcome;
}

Result<pid_t> start_in(int netns_fd, const std::vector<std::string>& argv) {
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&settings.actions, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addchdir_np(&settings.actions, "/");
  SP_CHECK_OK(settings.prepare(POSIX_SPAWN_SETSID));
  return spawn(netns_fd, argv, settings);
}

}  // namespace sallyport::net
