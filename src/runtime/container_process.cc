#include "runtime/container_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "base/strings.h"
#include "runtime/container_root.h"
#include "runtime/process_exec.h"
#include "runtime/shim_layout.h"

namespace sallyport::runtime {
namespace {

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

// A stream that carries a descriptor too; the write end closes when the program starts.
Result<Pipe> make_report() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return fail_errno("socketpair");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// The child's side: `prepare` brings it into the container, then the program starts.
[[noreturn]] void run_child(const PlannedContainer& container, const std::vector<std::string>& argv,
                            int report, const std::function<Status()>& prepare) {
  ::setsid();
  Status ready = prepare();
  Error error = ready ? run_program(container, argv) : ready.error();
  write_all(report, error.message);
  ::_exit(127);
}

constexpr char kNamespaceMark = 'N';

Status report_namespace(int report) {
  Fd space(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!space) return fail_errno("mount namespace");
  char mark = kNamespaceMark;
  iovec part{&mark, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = space.get();
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  if (::sendmsg(report, &header, MSG_NOSIGNAL) != 1)
    return fail_errno("report the mount namespace");
  return {};
}

}  // namespace

void read_report(const Fd& report, StartReport& into) {
  constexpr size_t kErrorLimit = 8192;
  while (report && !into.finished) {
    char bytes[512];
    iovec part{bytes, sizeof bytes};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(report.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) {
      into.finished = true;
      return;
    }
    std::string_view text(bytes, static_cast<size_t>(n));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights && rights->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
      into.mount_namespace = Fd(fd);
      text.remove_prefix(1);  // the mark that the descriptor came with
    }
    if (into.error.size() < kErrorLimit) into.error += text;
  }
}

Result<StartedProcess> start_container(const Plan& plan, const PlannedContainer& container,
                                       const std::vector<int>& cgroup_procs) {
  SP_TRY(Pipe report, make_report());
  SP_TRY(Pipe out, make_pipe());
  SP_TRY(Pipe err, make_pipe());
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    run_child(container, container.argv, report.write.get(), [&]() -> Status {
      if (::unshare(CLONE_NEWNS) != 0) return fail_errno("mount namespace");
      SP_CHECK_OK(report_namespace(report.write.get()));
      // First, so that what the container's files take is charged to it.
      SP_CHECK_OK(join_cgroups(cgroup_procs));
      Fd null(::open((std::string(layout::kDevices) + "/null").c_str(), O_RDWR | O_CLOEXEC));
      if (!null) return fail_errno("open the null device");
      SP_CHECK_OK(enter_container_root(plan, container));
      return set_standard_files(null.get(), out.write.get(), err.write.get());
    });
  }
  for (const Fd* fd : {&out.read, &err.read}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return StartedProcess{pid, std::move(report.read), std::move(out.read), std::move(err.read)};
}

Result<StartedProcess> start_in_container(const PlannedContainer& container, pid_t main_pid,
                                          const std::vector<std::string>& argv,
                                          const ExecFiles& files,
                                          const std::vector<int>& cgroup_procs) {
  SP_TRY(Pipe report, make_report());
  Fd space(::open(("/proc/" + std::to_string(main_pid) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return fail(Code::kNotFound, "the container has just ended");
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    run_child(container, argv, report.write.get(), [&]() -> Status {
      if (::setns(space.get(), CLONE_NEWNS) != 0) return fail_errno("enter the container");
      SP_CHECK_OK(join_cgroups(cgroup_procs));
      return set_standard_files(files.in, files.out, files.err);
    });
  }
  return StartedProcess{pid, std::move(report.read), Fd(), Fd()};
}

size_t kill_all_in(const Fd& mount_namespace) {
  struct stat wanted{};
  if (::fstat(mount_namespace.get(), &wanted) != 0) return 0;
  DIR* proc = ::opendir("/proc");
  if (!proc) return 0;
  size_t found = 0;
  while (dirent* entry = ::readdir(proc)) {
    auto pid = parse_number<pid_t>(std::string_view(entry->d_name));
    struct stat st{};
    if (!pid || *pid <= 1) continue;
    if (::stat((std::string("/proc/") + entry->d_name + "/ns/mnt").c_str(), &st) != 0) continue;
    if (st.st_ino != wanted.st_ino || st.st_dev != wanted.st_dev) continue;
    if (::kill(*pid, SIGKILL) == 0) ++found;
  }
  ::closedir(proc);
  return found;
}

}  // namespace sallyport::runtime
