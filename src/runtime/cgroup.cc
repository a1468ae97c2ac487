#include "runtime/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fs.h"
#include "base/strings.h"

namespace sallyport::runtime {
namespace {

constexpr std::array<const char*, 3> kControllers{"memory", "cpu", "pids"};
constexpr int64_t kPodPids = 8192;  // no pod may use up the host's process table
constexpr int64_t kCpuPeriodUs = 100'000;

Status make_dir(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("mkdir " + path);
  return {};
}

Status put(const std::string& path, const std::string& text) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno(path);
  if (::write(fd.get(), text.data(), text.size()) < 0) return fail_errno(path + " = " + text);
  return {};
}

// Leaves first. The last process of a cgroup may still be on its way out when its parent has
// already been told of its end, so EBUSY is tried again for a moment.
Status remove_dirs(const std::string& path) {
  auto names = list_dir(path);
  if (!names)
    return names.error().os_errno == ENOENT ? Status{} : Status(std::unexpected(names.error()));
  for (const std::string& name : *names) {
    struct stat st{};
    std::string below = join({path, name}, "/");
    if (::lstat(below.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) SP_CHECK_OK(remove_dirs(below));
  }
  for (int attempt = 0;; ++attempt) {
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY || attempt == 200) return fail_errno("rmdir " + path);
    ::usleep(1000);
  }
}

Status enable_controllers(const std::string& dir, const std::set<std::string>& controllers) {
  for (const std::string& controller : controllers)
    SP_CHECK_OK(put(dir + "/cgroup.subtree_control", "+" + controller));
  return {};
}

Status limit_memory(const std::string& dir, bool v2, int64_t bytes) {
  std::string text = std::to_string(bytes);
  if (v2) {
    SP_CHECK_OK(put(dir + "/memory.max", text));
    if (exists(dir + "/memory.swap.max")) SP_CHECK_OK(put(dir + "/memory.swap.max", "0"));
    return {};
  }
  SP_CHECK_OK(put(dir + "/memory.limit_in_bytes", text));
  std::string with_swap = dir + "/memory.memsw.limit_in_bytes";
  if (exists(with_swap)) SP_CHECK_OK(put(with_swap, text));
  return {};
}

Status limit_cpu(const std::string& dir, bool v2, int64_t milli) {
  // The kernel's least quota is 1 ms.
  int64_t quota = std::max<int64_t>(1000, milli * kCpuPeriodUs / 1000);
  if (v2) return put(dir + "/cpu.max", std::to_string(quota) + " " + std::to_string(kCpuPeriodUs));
  SP_CHECK_OK(put(dir + "/cpu.cfs_period_us", std::to_string(kCpuPeriodUs)));
  return put(dir + "/cpu.cfs_quota_us", std::to_string(quota));
}

}  // namespace

CgroupMounts parse_cgroup_mounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  for (const std::string& line : split(mountinfo, '\n')) {
    std::vector<std::string> fields = split(line, ' ');
    auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 5 || fields.end() - dash < 4) continue;
    const std::string& type = *(dash + 1);
    if (type == "cgroup2" && mounts.v2.empty()) mounts.v2 = fields[4];
    if (type != "cgroup") continue;
    for (const std::string& option : split(*(dash + 3), ','))
      if (std::find(kControllers.begin(), kControllers.end(), option) != kControllers.end())
        mounts.v1.emplace(option, fields[4]);
  }
  return mounts;
}

Result<Cgroups> Cgroups::open(std::string base) {
  SP_TRY(std::string text, read_file("/proc/self/mountinfo", 16 << 20));
  CgroupMounts mounts = parse_cgroup_mounts(text);
  if (!mounts.v2.empty()) {
    SP_TRY(std::string available, read_file(mounts.v2 + "/cgroup.controllers", 4096));
    for (const std::string& name : split(trim(available), ' ')) {
      bool wanted = std::find(kControllers.begin(), kControllers.end(), name) != kControllers.end();
      // Where this is not the real root and has processes, the kernel refuses; the controller is
      // then as good as absent, and a limit that needs it is an error of its container.
      if (wanted && put(mounts.v2 + "/cgroup.subtree_control", "+" + name))
        mounts.v2_controllers.insert(name);
    }
  }
  return Cgroups(std::move(base), std::move(mounts));
}

Cgroups::Cgroups(std::string base, CgroupMounts mounts)
    : base_(std::move(base)), mounts_(std::move(mounts)) {}

std::string Cgroups::home_of(const std::string& controller) const {
  if (mounts_.v2_controllers.contains(controller)) return mounts_.v2;
  auto found = mounts_.v1.find(controller);
  return found == mounts_.v1.end() ? "" : found->second;
}

std::vector<std::string> Cgroups::roots() const {
  std::set<std::string> all;
  if (!mounts_.v2.empty()) all.insert(mounts_.v2);
  for (const char* controller : kControllers)
    if (std::string home = home_of(controller); !home.empty()) all.insert(home);
  return {all.begin(), all.end()};
}

Result<Fd> Cgroups::make_pod(const std::string& uid) {
  for (const std::string& root : roots()) {
    std::string base = join({root, base_}, "/"), pod = join({base, uid}, "/");
    bool v2 = root == mounts_.v2;
    SP_CHECK_OK(make_dir(base));
    if (v2 && !mounts_.v2_controllers.empty()) {
      SP_CHECK_OK(enable_controllers(base, mounts_.v2_controllers));
    }
    SP_CHECK_OK(make_dir(pod));
    if (v2 && !mounts_.v2_controllers.empty())
      SP_CHECK_OK(enable_controllers(pod, mounts_.v2_controllers));
  }
  if (std::string pids = home_of("pids"); !pids.empty())
    SP_CHECK_OK(put(pids + "/" + base_ + "/" + uid + "/pids.max", std::to_string(kPodPids)));
  if (mounts_.v2.empty()) return Fd();
  // Version 2 keeps processes in leaves only.
  std::string leaf = mounts_.v2 + "/" + base_ + "/" + uid + "/.shim";
  SP_CHECK_OK(make_dir(leaf));
  Fd dir(::open(leaf.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail_errno(leaf);
  return dir;
}

Result<ContainerCgroup> Cgroups::make_container(const std::string& uid,
                                                const std::string& container,
                                                const PlannedLimits& limits) {
  ContainerCgroup made;
  auto dir_in = [&](const std::string& root) {
    return root + "/" + base_ + "/" + uid + "/" + container;
  };
  for (const std::string& root : roots()) {
    SP_CHECK_OK(make_dir(dir_in(root)));
    Fd procs(::open((dir_in(root) + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!procs) return fail_errno(dir_in(root));
    made.procs.push_back(std::move(procs));
    if (root == mounts_.v2)
      made.kill = Fd(::open((dir_in(root) + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  }
  struct Wanted {
    const char* controller;
    const std::optional<int64_t>* limit;
  };
  for (const Wanted& wanted : {Wanted{"memory", &limits.memory}, Wanted{"cpu", &limits.cpu_milli},
                               Wanted{"pids", &limits.pids}}) {
    std::string home = home_of(wanted.controller);
    bool v2 = home == mounts_.v2;
    std::string_view controller = wanted.controller;
    if (home.empty()) {
      if (*wanted.limit)
        return fail(Code::kInvalid, "resources.limits: this host has no cgroup controller \"" +
                                        std::string(controller) + "\"");
      continue;
    }
    std::string dir = dir_in(home);
    if (controller == "memory")
      made.oom = Fd(::open((dir + (v2 ? "/memory.events" : "/memory.oom_control")).c_str(),
                           O_RDONLY | O_CLOEXEC));
    if (!*wanted.limit) continue;
    int64_t value = **wanted.limit;
    if (controller == "memory") SP_CHECK_OK(limit_memory(dir, v2, value));
    if (controller == "cpu") SP_CHECK_OK(limit_cpu(dir, v2, value));
    if (controller == "pids") SP_CHECK_OK(put(dir + "/pids.max", std::to_string(value)));
  }
  return made;
}

Status Cgroups::remove_pod(const std::string& uid) {
  Status result;
  for (const std::string& root : roots()) {
    std::string base = join({root, base_}, "/");
    if (Status done = remove_dirs(join({base, uid}, "/")); !done) result = done;
    ::rmdir(base.c_str());  // stays while there are other pods
  }
  return result;
}

std::vector<std::string> Cgroups::pods() const {
  std::set<std::string> found;
  for (const std::string& root : roots()) {
    auto names = list_dir(root + "/" + base_);
    if (!names) continue;
    for (const std::string& name : *names) {
      struct stat st{};
      if (::stat(join({root, base_, name}, "/").c_str(), &st) == 0 && S_ISDIR(st.st_mode))
        found.insert(name);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace sallyport::runtime
