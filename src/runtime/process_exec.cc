#include "runtime/process_exec.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"
#include "base/strings.h"
#include "runtime/capabilities.h"
#include "runtime/oom_score.h"
#include "runtime/seccomp.h"
#include "runtime/users.h"

namespace sallyport::runtime {
namespace {

Status set_limits() {
  struct Limit {
    __rlimit_resource_t resource;
    rlim_t soft, hard;
  };
  constexpr Limit kLimits[] = {
      {RLIMIT_CORE, 0, 0},  // a core file would only fill the overlay
      {RLIMIT_NOFILE, 65536, 1 << 20},
      {RLIMIT_STACK, 8 << 20, RLIM_INFINITY},
      {RLIMIT_MEMLOCK, 8 << 20, 8 << 20},
      {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_NICE, 0, 0},
      {RLIMIT_RTPRIO, 0, 0},
  };
  for (const Limit& limit : kLimits) {
    rlimit value{limit.soft, limit.hard};
    if (::setrlimit(limit.resource, &value) == 0) continue;
    // Above fs.nr_open: take what the kernel allows.
    rlimit now{};
    if (::getrlimit(limit.resource, &now) != 0) return fail_errno("getrlimit");
    now.rlim_cur = std::min(limit.soft, now.rlim_max);
    if (::setrlimit(limit.resource, &now) != 0) return fail_errno("setrlimit");
  }
  return {};
}

Status reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return fail_errno("sigprocmask");
  return {};
}

Status enter_directory(const std::string& path) {
  if (::chdir(path.c_str()) == 0) return {};
  if (errno != ENOENT) return fail_errno("workingDir " + path);
  SP_CHECK_OK(make_dirs(path, 0755));  // as container runtimes do
  if (::chdir(path.c_str()) != 0) return fail_errno("workingDir " + path);
  return {};
}

Status become(const PlannedContainer& container) {
  UserEntry user = find_user("/etc/passwd", container.uid);
  gid_t gid = static_cast<gid_t>(container.gid.value_or(user.gid));
  std::vector<gid_t> groups;
  for (int64_t group : container.groups) groups.push_back(static_cast<gid_t>(group));
  if (::setgroups(groups.size(), groups.data()) != 0) return fail_errno("setgroups");
  if (::setresgid(gid, gid, gid) != 0) return fail_errno("setgid");
  SP_CHECK_OK(limit_bounding_set(container.capabilities));
  if (container.no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno("no_new_privs");
  // While CAP_SYS_ADMIN is still there, so that setuid programs keep working where they may.
  SP_CHECK_OK(install_container_filter());
  uid_t uid = static_cast<uid_t>(container.uid);
  if (::setresuid(uid, uid, uid) != 0) return fail_errno("setuid");
  return set_capabilities(uid == 0 ? container.capabilities : 0);
}

std::string value_of(const std::vector<std::string>& env, std::string_view name) {
  for (const std::string& entry : env)
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  return "";
}

std::vector<char*> pointers(std::vector<std::string>& list) {
  std::vector<char*> out;
  for (std::string& item : list) out.push_back(item.data());
  out.push_back(nullptr);
  return out;
}

Error exec_error(const std::string& program, int err) {
  return fail_errno("exec " + program, err).error();
}

}  // namespace

Status join_cgroups(const std::vector<int>& procs_files) {
  for (int fd : procs_files)
    if (::write(fd, "0", 1) != 1) return fail_errno("join the container's cgroup");
  return {};
}

Status set_standard_files(int in, int out, int err) {
  // Above the range of 0 to 2 first, so that none overwrites another.
  int sources[3] = {in, out, err};
  for (int& source : sources) {
    source = ::fcntl(source, F_DUPFD_CLOEXEC, 3);
    if (source < 0) return fail_errno("duplicate a descriptor");
  }
  for (int i = 0; i < 3; ++i)
    if (::dup2(sources[i], i) < 0) return fail_errno("duplicate a descriptor");
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return fail_errno("close_range");
  return {};
}

Error run_program(const PlannedContainer& container, const std::vector<std::string>& argv) {
  if (argv.empty()) return {Code::kInvalid, "no command", 0};
  std::vector<std::string> env = container.env;
  if (value_of(env, "HOME").empty())
    env.push_back("HOME=" + find_user("/etc/passwd", container.uid).home);
  for (Status step : {set_limits(), reset_signals(), enter_directory(container.cwd)})
    if (!step) return step.error();
  ::umask(022);
  // The shim's protection from the kernel's memory killer is not for containers.
  set_oom_score(0);
  if (Status done = become(container); !done) return done.error();

  std::vector<std::string> arguments = argv;
  std::vector<char*> argument_pointers = pointers(arguments), env_pointers = pointers(env);
  const std::string& program = argv.front();
  if (program.empty()) return {Code::kInvalid, "the command is an empty string", 0};
  if (program.find('/') != std::string::npos) {
    ::execve(program.c_str(), argument_pointers.data(), env_pointers.data());
    return exec_error(program, errno);
  }
  int failure = 0;
  for (const std::string& dir : split(value_of(env, "PATH"), ':')) {
    std::string candidate = (dir.empty() ? "." : dir) + "/" + program;
    ::execve(candidate.c_str(), argument_pointers.data(), env_pointers.data());
    if (errno != ENOENT && errno != ENOTDIR) failure = errno;
  }
  if (failure) return exec_error(program, failure);
  return {Code::kNotFound, "exec " + program + ": not found in PATH", ENOENT};
}

}  // namespace sallyport::runtime
