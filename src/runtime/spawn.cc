#include "runtime/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "base/fs.h"
#include "codec/json.h"
#include "runtime/protocol.h"

namespace sallyport::runtime {
namespace {

constexpr int kPlanFd = 3;
constexpr int kReadyFd = 4;
constexpr int kReadyTimeoutMs = 20'000;

// Above the numbers that the child gives to them, so that no dup2 overwrites another.
Result<Fd> high(Fd fd) {
  Fd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 16));
  if (!moved) return fail_errno("duplicate a descriptor");
  return moved;
}

struct ChildFiles {
  int null, log, plan, ready;
};

// Between clone and exec of a process with threads: system calls only, no allocation.
[[noreturn]] void child(const ChildFiles& files, const char* program, char* const* argv,
                        char* const* env) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(files.null, 0) < 0 || ::dup2(files.log, 1) < 0 || ::dup2(files.log, 2) < 0 ||
      ::dup2(files.plan, kPlanFd) < 0 || ::dup2(files.ready, kReadyFd) < 0)
    ::_exit(126);
  ::close_range(kReadyFd + 1, ~0U, 0);
  ::execve(program, argv, env);
  ::_exit(127);
}

Status wait_ready(int fd) {
  std::string answer;
  while (answer.size() < 8192) {
    pollfd poll_for{fd, POLLIN, 0};
    int ready = ::poll(&poll_for, 1, kReadyTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Code::kUnavailable, "the pod's shim did not come up in 20 s");
    char bytes[512];
    ssize_t n = ::read(fd, bytes, sizeof bytes);
    if (n < 0) return fail_errno("read from the pod's shim");
    if (n == 0) break;
    answer.append(bytes, static_cast<size_t>(n));
    if (answer == "ok") return {};
  }
  if (answer.empty()) return fail(Code::kInternal, "the pod's shim ended at once (see shim.log)");
  return fail(Code::kInvalid, answer);
}

}  // namespace

Result<SpawnedShim> spawn_shim(const std::string& self_exe, const Plan& plan,
                               const std::string& state_path, int cgroup_dir) {
  SP_TRY(Fd plan_file, memory_file(codec::write_json(encode_plan(plan))));
  SP_TRY(plan_file, high(std::move(plan_file)));
  SP_TRY(Fd null, high(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  SP_TRY(Fd log, high(Fd(::open((state_path + "/shim.log").c_str(),
                                O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600))));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  Fd ready(ends[0]);
  SP_TRY(Fd ready_write, high(Fd(ends[1])));

  std::string name = "sallyport", command = "shim", state = state_path;
  std::string plan_number = std::to_string(kPlanFd), ready_number = std::to_string(kReadyFd);
  std::array<char*, 6> argv{name.data(),        command.data(),      state.data(),
                            plan_number.data(), ready_number.data(), nullptr};
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";  // nothing of the node's environment
  std::array<char*, 2> env{path.data(), nullptr};

  int pidfd = -1;
  clone_args args{};
  args.flags =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_dir >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup_dir);
  }
  ChildFiles files{null.get(), log.get(), plan_file.get(), ready_write.get()};
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) child(files, self_exe.c_str(), argv.data(), env.data());
  if (pid < 0) return fail_errno("start the pod's shim in new namespaces");
  SpawnedShim spawned{static_cast<pid_t>(pid), Fd(pidfd)};
  ready_write.reset();
  if (Status up = wait_ready(ready.get()); !up) {
    ::kill(spawned.pid, SIGKILL);
    ::waitpid(spawned.pid, nullptr, 0);
    return std::unexpected(up.error());
  }
  return spawned;
}

}  // namespace sallyport::runtime
