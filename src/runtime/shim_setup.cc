#include "runtime/shim_setup.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/fd.h"
#include "base/fs.h"
#include "runtime/mount_api.h"
#include "runtime/shim_layout.h"

namespace sallyport::runtime {
namespace {

// Bounds what a pod's emptyDir volumes may hold together where they have no sizeLimit.
constexpr const char* kScratchSize = "4g";
constexpr const char* kScratchInodes = "1m";

Status make_directory(const std::string& path, mode_t mode = 0755) {
  if (::mkdir(path.c_str(), mode) != 0) return fail_errno("mkdir " + path);
  return {};
}

Result<Fd> clone_host_path(const std::string& path, const std::string& what) {
  auto mount = clone_mount(path);
  if (!mount) return fail_in(what, mount.error());
  return mount;
}

// A copy of the running program, for the case that its file has been replaced or removed.
Status copy_program(const std::string& target) {
  Fd in(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Fd out(::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
  if (!in || !out) return fail_errno("copy this program");
  while (true) {
    ssize_t n = ::copy_file_range(in.get(), nullptr, out.get(), nullptr, size_t{16} << 20, 0);
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
      char buffer[1 << 16];
      n = ::read(in.get(), buffer, sizeof buffer);
      if (n > 0 && ::write(out.get(), buffer, static_cast<size_t>(n)) != n)
        return fail_errno("copy this program");
    }
    if (n < 0) return fail_errno("copy this program");
    if (n == 0) return {};
  }
}

struct HostMounts {
  Fd root, state;
  std::vector<Fd> exposed;
  bool copy_binary = false;
};

// Taken while the host's tree is still in sight.
Result<HostMounts> take_host_mounts(const Plan& plan, const std::string& state_path) {
  HostMounts taken;
  SP_TRY(taken.root, clone_mount("/"));
  SP_TRY(taken.state, clone_mount(state_path));
  for (const std::string& path : plan.expose) {
    SP_TRY(Fd mount, clone_host_path(path, "expose " + path));
    taken.exposed.push_back(std::move(mount));
  }
  for (const auto& [host, target] : plan.extra) {
    std::string what = "mount ";
    what.append(host).append(" at ").append(target);
    SP_TRY(Fd mount, clone_host_path(host, what));
    taken.exposed.push_back(std::move(mount));
  }
  if (!plan.binary.empty()) {
    auto mount = clone_mount(plan.binary);
    struct stat there{}, self{};
    if (mount && ::fstat(mount->get(), &there) == 0 && ::stat("/proc/self/exe", &self) == 0 &&
        there.st_ino == self.st_ino && there.st_dev == self.st_dev)
      taken.exposed.push_back(std::move(*mount));
    else
      taken.copy_binary = true;
  }
  return taken;
}

Status attach_exposed(const HostMounts& taken, const std::string& root) {
  size_t index = 0;
  for (const Fd& mount : taken.exposed) {
    std::string target = root + layout::exposed(index++);
    struct stat st{};
    if (::fstat(mount.get(), &st) != 0) return fail_errno(target);
    if (S_ISDIR(st.st_mode)) {
      SP_CHECK_OK(make_directory(target));
    } else if (!Fd(::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))) {
      return fail_errno(target);
    }
    SP_CHECK_OK(set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY));
    SP_CHECK_OK(attach_mount(mount.get(), target));
  }
  if (taken.copy_binary) SP_CHECK_OK(copy_program(root + layout::exposed(index)));
  return {};
}

Status make_devices(const std::string& root) {
  struct Device {
    const char* name;
    unsigned major, minor;
  };
  constexpr std::array kDevices{Device{"null", 1, 3},    Device{"zero", 1, 5},
                                Device{"full", 1, 7},    Device{"random", 1, 8},
                                Device{"urandom", 1, 9}, Device{"tty", 5, 0}};
  for (const Device& device : kDevices) {
    std::string path = root + layout::kDevices + "/" + device.name;
    if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(device.major, device.minor)) != 0 ||
        ::chmod(path.c_str(), 0666) != 0)
      return fail_errno(path);
  }
  return {};
}

Status move_to_own_tree(const Plan& plan, const std::string& state_path) {
  // Nothing mounted here may appear on the host, nor the other way round.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno("make mounts private");
  SP_TRY(HostMounts taken, take_host_mounts(plan, state_path));
  SP_TRY(Fd own, make_filesystem(
                     "tmpfs",
                     {{"size", kScratchSize}, {"nr_inodes", kScratchInodes}, {"mode", "0755"}}, 0));
  // The new root needs a place to stand on for a moment: the state directory, already cloned.
  const std::string& root = state_path;
  SP_CHECK_OK(attach_mount(own.get(), root));
  for (const char* dir :
       {layout::kHost, layout::kState, layout::kExposed, layout::kVolumes, layout::kDevices,
        layout::kShm, layout::kEmpty, layout::kUpper, layout::kNewRoot, "/proc"})
    SP_CHECK_OK(make_directory(root + dir));
  SP_CHECK_OK(set_mount_attributes(taken.root.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
  SP_CHECK_OK(attach_mount(taken.root.get(), root + layout::kHost));
  SP_CHECK_OK(attach_mount(taken.state.get(), root + layout::kState));
  SP_CHECK_OK(attach_exposed(taken, root));
  SP_CHECK_OK(make_devices(root));
  SP_TRY(Fd shm, make_filesystem("tmpfs", {{"size", "64m"}, {"mode", "1777"}},
                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  SP_CHECK_OK(attach_mount(shm.get(), root + layout::kShm));
  SP_TRY(Fd proc,
         make_filesystem("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  SP_CHECK_OK(attach_mount(proc.get(), root + "/proc"));
  return switch_root(root);
}

Status loopback_up() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("bring up lo");
  return {};
}

// As containerd sets them: a port below 1024 and ping need no capability in a namespace of one's
// own.
void set_network_defaults() {
  constexpr std::array<std::pair<const char*, const char*>, 2> kSettings{
      {{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
       {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"}}};
  for (const auto& [path, value] : kSettings) {
    Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
    // An older kernel may lack one; the pod then needs the capability.
    if (fd && ::write(fd.get(), value, std::strlen(value)) < 0) continue;
  }
}

}  // namespace

Status set_up_shim(const Plan& plan, const std::string& state_path) {
  if (::unshare(CLONE_NEWCGROUP) != 0 && errno != EINVAL) return fail_errno("cgroup namespace");
  if (::sethostname(plan.hostname.data(), plan.hostname.size()) != 0)
    return fail_errno("sethostname");
  if (::setdomainname("", 0) != 0) return fail_errno("setdomainname");
  SP_CHECK_OK(loopback_up());
  SP_CHECK_OK(move_to_own_tree(plan, state_path));
  set_network_defaults();
  return {};
}

}  // namespace sallyport::runtime
