#include "runtime/container_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
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

uint64_t mount_namespace_of(const std::string& pid) {
  struct stat st{};
  if (::stat(("/proc/" + pid + "/ns/mnt").c_str(), &st) != 0) return 0;
  return st.st_ino;
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

void report_namespace(int report) {
  uint64_t inode = mount_namespace_of("self");
  write_all(report, std::string_view(reinterpret_cast<const char*>(&inode), sizeof inode));
}

}  // namespace

StartReport parse_report(std::string_view bytes) {
  StartReport report;
  if (bytes.size() < sizeof report.mount_namespace) {
    if (!bytes.empty()) report.error = "the start was cut short";
    return report;
  }
  std::memcpy(&report.mount_namespace, bytes.data(), sizeof report.mount_namespace);
  report.error = bytes.substr(sizeof report.mount_namespace);
  return report;
}

Result<StartedProcess> start_container(const Plan& plan, const PlannedContainer& container,
                                       const std::vector<int>& cgroup_procs) {
  SP_TRY(Pipe report, make_pipe());
  SP_TRY(Pipe out, make_pipe());
  SP_TRY(Pipe err, make_pipe());
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    run_child(container, container.argv, report.write.get(), [&]() -> Status {
      int unshared = ::unshare(CLONE_NEWNS);
      int unshare_errno = errno;
      report_namespace(report.write.get());
      if (unshared != 0) return fail_errno("mount namespace", unshare_errno);
      // First, so that what the container's files take is charged to it.
      SP_CHECK_OK(join_cgroups(cgroup_procs));
      Fd null(::open((std::string(layout::kDevices) + "/null").c_str(), O_RDWR | O_CLOEXEC));
      if (!null) return fail_errno("open the null device");
      SP_CHECK_OK(enter_container_root(plan, container));
      return set_standard_files(null.get(), out.write.get(), err.write.get());
    });
  }
  for (const Fd* fd : {&report.read, &out.read, &err.read}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return StartedProcess{pid, std::move(report.read), std::move(out.read), std::move(err.read)};
}

Result<StartedProcess> start_in_container(const PlannedContainer& container, pid_t main_pid,
                                          const std::vector<std::string>& argv,
                                          const ExecFiles& files,
                                          const std::vector<int>& cgroup_procs) {
  SP_TRY(Pipe report, make_pipe());
  Fd space(::open(("/proc/" + std::to_string(main_pid) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return fail(Code::kNotFound, "the container has just ended");
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    run_child(container, argv, report.write.get(), [&]() -> Status {
      int entered = ::setns(space.get(), CLONE_NEWNS);
      int entered_errno = errno;
      report_namespace(report.write.get());
      if (entered != 0) return fail_errno("enter the container", entered_errno);
      SP_CHECK_OK(join_cgroups(cgroup_procs));
      return set_standard_files(files.in, files.out, files.err);
    });
  }
  ::fcntl(report.read.get(), F_SETFL, O_NONBLOCK);
  return StartedProcess{pid, std::move(report.read), Fd(), Fd()};
}

size_t kill_all_in(uint64_t mount_namespace) {
  DIR* proc = ::opendir("/proc");
  if (!proc) return 0;
  size_t found = 0;
  while (dirent* entry = ::readdir(proc)) {
    auto pid = parse_number<pid_t>(std::string_view(entry->d_name));
    if (!pid || *pid <= 1 || mount_namespace_of(entry->d_name) != mount_namespace) continue;
    if (::kill(*pid, SIGKILL) == 0) ++found;
  }
  ::closedir(proc);
  return found;
}

}  // namespace sallyport::runtime
