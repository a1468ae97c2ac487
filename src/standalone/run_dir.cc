#include "standalone/run_dir.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/fs.h"

namespace sallyport::standalone {
namespace {

constexpr char kRunRoot[] = "/run/sallyport";
constexpr char kLastingRoot[] = "/var/lib/sallyport";
// Names become part of interface and cgroup names.
constexpr size_t kMaxName = 20;

bool is_label(const std::string& name) {
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-'; });
}

bool is_bpffs(const std::string& path) {
  struct statfs fs{};
  return ::statfs(path.c_str(), &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

}  // namespace

Result<RunPaths> run_paths(const std::string& name) {
  if (name.size() > kMaxName || !is_label(name))
    return fail(Code::kInvalid, "\"" + name +
                                    "\" is not the name of a run: expected at most 20 lower-case "
                                    "letters, digits and hyphens");
  RunPaths paths;
  paths.name = name;
  paths.run = std::string(kRunRoot) + "/" + name;
  paths.lasting = std::string(kLastingRoot) + "/" + name;
  paths.lock = std::string(kRunRoot) + "/" + name + ".lock";
  paths.state = paths.run + "/state.json";
  paths.admin_socket = paths.run + "/admin.sock";
  paths.bpf = paths.run + "/bpf";
  paths.dns = paths.run + "/dns";
  paths.cgroup = "sallyport-" + name;
  return paths;
}

std::vector<std::string> list_runs() {
  std::vector<std::string> runs;
  auto names = list_dir(kRunRoot);
  if (!names) return runs;
  for (const std::string& name : *names)
    if (run_paths(name) && exists(std::string(kRunRoot) + "/" + name + "/state.json"))
      runs.push_back(name);
  return runs;
}

Status make_run_dirs(const RunPaths& paths) {
  SP_CHECK_OK(make_dirs(paths.run));
  SP_CHECK_OK(make_dirs(paths.lasting));
  SP_CHECK_OK(make_dirs(paths.bpf));
  SP_CHECK_OK(make_dirs(paths.dns, 0755));
  ::chmod(paths.dns.c_str(), 0755);
  if (!is_bpffs(paths.bpf) && ::mount("bpf", paths.bpf.c_str(), "bpf", 0, "mode=0700") != 0)
    return fail_errno("mount a bpffs at " + paths.bpf);
  return {};
}

Status remove_run_dirs(const RunPaths& paths) {
  while (is_bpffs(paths.bpf))
    if (::umount2(paths.bpf.c_str(), MNT_DETACH) != 0) return fail_errno("unmount " + paths.bpf);
  SP_CHECK_OK(remove_tree(paths.run));
  ::unlink(paths.lock.c_str());
  // Only where it is the last run: other runs keep it.
  ::rmdir(kRunRoot);
  return {};
}

Result<RunLock> RunLock::take(const RunPaths& paths) {
  // The file, and the directory with it, may be removed by a run that ends meanwhile: look again
  // then. And held() of another process has the lock for a moment.
  for (int tries = 0; tries < 10; ++tries) {
    SP_CHECK_OK(make_dirs(kRunRoot));
    Fd fd(::open(paths.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return fail_errno(paths.lock);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK && tries < 4) {
        ::usleep(20'000);
        continue;
      }
      if (errno == EWOULDBLOCK)
        return fail(Code::kConflict, "the run \"" + paths.name +
                                         "\" is active already: use another --name, or end it with "
                                         "`sallyport down " +
                                         paths.name + "`");
      return fail_errno("lock " + paths.lock);
    }
    struct stat ours{}, named{};
    if (::fstat(fd.get(), &ours) == 0 && ::stat(paths.lock.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino)
      return RunLock(std::move(fd));
  }
  return fail(Code::kUnavailable, paths.lock + " is replaced again and again");
}

bool RunLock::held(const RunPaths& paths) {
  Fd fd(::open(paths.lock.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return false;
  return ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace sallyport::standalone
