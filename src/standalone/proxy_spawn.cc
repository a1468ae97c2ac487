#include "standalone/proxy_spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

namespace sallyport::standalone {
namespace {

// A connection through the proxy has up to two sockets, and a stock waits for more.
constexpr rlim_t kMostDescriptors = 1 << 20;

struct Child {
  int null, channel, attach, program;
  uid_t user;
  char* const* argv;
  char* const* env;
};

// Between fork and exec of a process with threads: system calls only, no allocation. glibc's
// wrappers of the set*id family would look for other threads.
[[noreturn]] void run_child(const Child& c) {
  ::setsid();  // signals of the node's terminal are the node's
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(c.null, 0) < 0 || ::dup2(c.channel, kProxyChannelFd) < 0 ||
      (c.attach >= 0 && ::dup2(c.attach, kProxyAttachFd) < 0))
    ::_exit(126);
  // Standard output and error stay the node's: warnings of the proxy are read there.
  rlimit files{kMostDescriptors, kMostDescriptors};
  if (::prlimit(0, RLIMIT_NOFILE, &files, nullptr) != 0) {
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  rlimit core{0, 0};
  ::setrlimit(RLIMIT_CORE, &core);  // it holds keys
  if (::unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) ::_exit(125);
  if (::chdir("/") != 0) ::_exit(125);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 ||
      ::syscall(SYS_setresgid, c.user, c.user, c.user) != 0 ||
      ::syscall(SYS_setresuid, c.user, c.user, c.user) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    ::_exit(124);
  ::syscall(SYS_close_range, (c.attach >= 0 ? kProxyAttachFd : kProxyChannelFd) + 1, ~0U,
            CLOSE_RANGE_CLOEXEC);
  ::syscall(SYS_execveat, c.program, "", c.argv, c.env, AT_EMPTY_PATH);
  ::_exit(127);
}

// Above the numbers that the child gives away, so that no dup2 overwrites another.
Result<Fd> high(int fd) {
  Fd moved(::fcntl(fd, F_DUPFD_CLOEXEC, 16));
  if (!moved) return fail_errno("duplicate a descriptor");
  return moved;
}

}  // namespace

Result<SpawnedProxy> spawn_proxy(const std::string& program,
                                 const std::vector<std::string>& arguments, const Fd& channel,
                                 const Fd& attach, uid_t user) {
  // Opened as root: the directories above it may be closed to others.
  Fd file(::open(program.c_str(), O_PATH | O_CLOEXEC));
  if (!file) return fail_errno("open " + program);
  SP_TRY(Fd high_file, high(file.get()));
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return fail_errno("open /dev/null");
  SP_TRY(Fd high_null, high(null.get()));
  SP_TRY(Fd high_channel, high(channel.get()));
  Fd high_attach;
  if (attach) {
    SP_TRY(high_attach, high(attach.get()));
  }

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* env[] = {path.data(), nullptr};
  Child child{high_null.get(),
              high_channel.get(),
              high_attach.get(),
              high_file.get(),
              user,
              argv.data(),
              env};
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) run_child(child);

  SpawnedProxy out;
  out.pid = pid;
  out.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  auto start = process_start_time(pid);
  if (out.pidfd && start) {
    out.start_time = *start;
    return out;
  }
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  return fail(Code::kUnavailable, "the proxy process ended at once");
}

}  // namespace sallyport::standalone
