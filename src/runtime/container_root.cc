#include "runtime/container_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fs.h"
#include "base/strings.h"
#include "runtime/mount_api.h"
#include "runtime/shim_layout.h"

namespace sallyport::runtime {
namespace {

constexpr uint64_t kQuiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr const char* kUpperSize = "1g";  // what a container may write outside its volumes
constexpr const char* kUpperInodes = "200k";

// Makes the directories down to `path` in the upper layer with the modes that the host's have.
Status mirror_directories(const std::string& upper, const std::string& path) {
  std::string so_far;
  for (const std::string& part : split(path, '/')) {
    if (part.empty()) continue;
    so_far += "/" + part;
    std::string made = upper + so_far;
    if (::mkdir(made.c_str(), 0755) != 0) {
      if (errno == EEXIST) continue;
      return fail_errno("mkdir " + made);
    }
    struct stat st{};
    if (::stat((layout::kHost + so_far).c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    if (::chown(made.c_str(), st.st_uid, st.st_gid) != 0 ||
        ::chmod(made.c_str(), st.st_mode & 07777) != 0)
      return fail_errno("copy the mode of " + so_far);
  }
  return {};
}

// An opaque directory in the upper layer: the host's directory of that name cannot be reached
// through the overlay, and what is below is empty.
Status hide(const std::string& upper, const std::string& path, mode_t mode) {
  std::string hidden = upper + path;
  SP_CHECK_OK(mirror_directories(upper, path.substr(0, path.rfind('/'))));
  if (::mkdir(hidden.c_str(), mode) != 0 && errno != EEXIST) return fail_errno("mkdir " + hidden);
  if (::chmod(hidden.c_str(), mode) != 0 || ::chown(hidden.c_str(), 0, 0) != 0)
    return fail_errno("mode of " + hidden);
  if (::lsetxattr(hidden.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0)
    return fail_errno("hide " + path);
  return {};
}

Status write_upper(const std::string& upper, const std::string& path, const std::string& text) {
  SP_CHECK_OK(mirror_directories(upper, path.substr(0, path.rfind('/'))));
  return write_file_atomic(upper + path, text, 0644);
}

Status mount_overlay(const Plan& plan) {
  SP_TRY(Fd scratch,
         make_filesystem("tmpfs",
                         {{"size", kUpperSize}, {"nr_inodes", kUpperInodes}, {"mode", "0755"}},
                         MOUNT_ATTR_NODEV));
  SP_CHECK_OK(attach_mount(scratch.get(), layout::kUpper));
  std::string upper = std::string(layout::kUpper) + "/u", work = std::string(layout::kUpper) + "/w";
  for (const std::string& dir : {upper, work})
    if (::mkdir(dir.c_str(), 0755) != 0) return fail_errno("mkdir " + dir);
  for (const char* dir : {"/run", "/root", "/home"}) SP_CHECK_OK(hide(upper, dir, 0755));
  for (const char* dir : {"/tmp", "/var/tmp"}) SP_CHECK_OK(hide(upper, dir, 01777));
  for (const std::string& dir : plan.masks) SP_CHECK_OK(hide(upper, dir, 0755));
  SP_CHECK_OK(write_upper(upper, "/etc/hostname", plan.hostname + "\n"));
  SP_CHECK_OK(write_upper(upper, "/etc/hosts", plan.hosts_file));
  SP_CHECK_OK(write_upper(upper, "/etc/resolv.conf", plan.resolv_conf));

  // nodev everywhere that a container can write: with CAP_MKNOD it makes nodes that do nothing.
  SP_TRY(Fd overlay,
         make_filesystem("overlay",
                         {{"lowerdir", layout::kHost}, {"upperdir", upper}, {"workdir", work}},
                         MOUNT_ATTR_NODEV));
  return attach_mount(overlay.get(), layout::kNewRoot);
}

Status mount_at(int root, const std::string& path, const Fd& mount, bool directory = true) {
  SP_TRY(Fd target, ensure_in_root(root, path, directory));
  if (Status done = attach_mount_at(mount.get(), target.get()); !done)
    return fail_in(path, done.error());
  return {};
}

// Covers a path where it exists: a directory by an empty one, a file by the null device.
Status cover(int root, const std::string& path) {
  auto target = open_in_root(root, path);
  if (!target) return {};
  struct stat st{};
  if (::fstat(target->get(), &st) != 0) return fail_errno(path);
  SP_TRY(Fd mount, clone_mount(S_ISDIR(st.st_mode) ? std::string(layout::kEmpty)
                                                   : std::string(layout::kDevices) + "/null"));
  SP_CHECK_OK(
      set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  return attach_mount_at(mount.get(), target->get());
}

Status make_read_only(int root, const std::string& path) {
  auto target = open_in_root(root, path);
  if (!target) return {};
  SP_TRY(Fd mount, clone_mount_at(target->get()));
  SP_CHECK_OK(set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY | kQuiet));
  return attach_mount_at(mount.get(), target->get());
}

// The lists of containerd (oci.WithDefaultSpec), and all of /sys/fs.
Status mount_kernel_views(int root) {
  SP_TRY(Fd proc, make_filesystem("proc", {}, kQuiet));
  SP_CHECK_OK(mount_at(root, "/proc", proc));
  SP_TRY(Fd sys, make_filesystem("sysfs", {}, kQuiet | MOUNT_ATTR_RDONLY));
  SP_CHECK_OK(mount_at(root, "/sys", sys));
  for (const char* path :
       {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
        "/proc/interrupts", "/sys/firmware", "/sys/fs", "/sys/devices/virtual/powercap",
        "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security"})
    SP_CHECK_OK(cover(root, path));
  for (const char* path :
       {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
    SP_CHECK_OK(make_read_only(root, path));
  return {};
}

Status mount_devices(int root) {
  SP_TRY(Fd dev, make_filesystem("tmpfs", {{"size", "64k"}, {"mode", "0755"}},
                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  SP_CHECK_OK(mount_at(root, "/dev", dev));
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    SP_TRY(Fd node, clone_mount(std::string(layout::kDevices) + "/" + name));
    SP_CHECK_OK(mount_at(root, std::string("/dev/") + name, node, false));
  }
  SP_TRY(Fd here, open_in_root(root, "/dev"));
  constexpr std::array<std::pair<const char*, const char*>, 5> kLinks{
      {{"/proc/self/fd", "fd"},
       {"/proc/self/fd/0", "stdin"},
       {"/proc/self/fd/1", "stdout"},
       {"/proc/self/fd/2", "stderr"},
       {"pts/ptmx", "ptmx"}}};
  for (const auto& [target, name] : kLinks)
    if (::symlinkat(target, here.get(), name) != 0) return fail_errno(std::string("/dev/") + name);
  SP_TRY(Fd pts, make_filesystem("devpts", {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}},
                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  SP_CHECK_OK(mount_at(root, "/dev/pts", pts));
  SP_TRY(Fd shm, clone_mount(layout::kShm));
  return mount_at(root, "/dev/shm", shm);
}

Result<bool> is_directory(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno("stat of what is mounted");
  return S_ISDIR(st.st_mode);
}

Status mount_exposed(int root, size_t index, const std::string& target) {
  SP_TRY(Fd mount, clone_mount(layout::exposed(index)));
  SP_CHECK_OK(
      set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  SP_TRY(bool directory, is_directory(mount.get()));
  return mount_at(root, target, mount, directory);
}

Status mount_volume(const Plan& plan, int root, const PlannedMount& planned) {
  auto volume = std::find_if(plan.volumes.begin(), plan.volumes.end(),
                             [&](const PlannedVolume& v) { return v.name == planned.volume; });
  if (volume == plan.volumes.end())
    return fail(Code::kInvalid, "volumeMount " + planned.target + ": no volume " + planned.volume);
  SP_TRY(Fd source, open_in_root(AT_FDCWD, std::string(layout::kVolumes) + "/" + volume->name));
  if (!planned.sub_path.empty()) {
    // The volume's content may be another container's: no link of it is followed. A missing
    // subPath of an emptyDir becomes a directory.
    if (!volume->files_only) {
      std::string so_far;
      for (const std::string& part : split(planned.sub_path, '/')) {
        if (part.empty() || part == "..")
          return fail(Code::kInvalid, "subPath " + planned.sub_path);
        auto parent =
            so_far.empty() ? open_beneath(source.get(), ".") : open_beneath(source.get(), so_far);
        if (!parent) return fail_in("subPath", parent.error());
        if (::mkdirat(parent->get(), part.c_str(), 0777) == 0) {
          // Another container may replace it at once: the mode goes to what was opened, no link.
          Fd made(::openat(parent->get(), part.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
          if (!made || ::fchmod(made.get(), 0777) != 0)
            return fail_errno("subPath " + planned.sub_path);
        }
        so_far += (so_far.empty() ? "" : "/") + part;
      }
    }
    auto below = open_beneath(source.get(), planned.sub_path);
    if (!below) return fail_in("volume " + volume->name + ", subPath", below.error());
    source = std::move(*below);
  }
  SP_TRY(bool directory, is_directory(source.get()));
  SP_TRY(Fd mount, clone_mount_at(source.get()));
  bool read_only = planned.read_only || volume->files_only;
  SP_CHECK_OK(set_mount_attributes(
      mount.get(), MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (read_only ? MOUNT_ATTR_RDONLY : 0)));
  return mount_at(root, planned.target, mount, directory);
}

Status mount_all_of_pod(const Plan& plan, const PlannedContainer& container, int root) {
  // Outer paths first, so that an inner mount is not covered by an outer one.
  struct Job {
    std::string target;
    size_t exposed = 0;
    const PlannedMount* volume = nullptr;
  };
  std::vector<Job> jobs;
  size_t index = 0;
  for (const std::string& path : plan.expose) jobs.push_back({path, index++, nullptr});
  for (const auto& [host, target] : plan.extra) jobs.push_back({target, index++, nullptr});
  if (!plan.binary.empty()) jobs.push_back({"/usr/local/bin/sallyport", index++, nullptr});
  for (const PlannedMount& mount : container.mounts) jobs.push_back({mount.target, 0, &mount});
  // Sorted by depth and then by position (std::stable_sort warns with this libstdc++).
  std::vector<std::pair<std::ptrdiff_t, size_t>> order;
  for (size_t i = 0; i < jobs.size(); ++i)
    order.emplace_back(std::count(jobs[i].target.begin(), jobs[i].target.end(), '/'), i);
  std::sort(order.begin(), order.end());
  for (const auto& [depth, position] : order) {
    const Job& job = jobs[position];
    Status done = job.volume ? mount_volume(plan, root, *job.volume)
                             : mount_exposed(root, job.exposed, job.target);
    if (!done) return fail_in("mount " + job.target, done.error());
  }
  return {};
}

}  // namespace

Status enter_container_root(const Plan& plan, const PlannedContainer& container) {
  SP_CHECK_OK(mount_overlay(plan));
  Fd root(::open(layout::kNewRoot, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno("the container's root");
  SP_CHECK_OK(mount_kernel_views(root.get()));
  SP_CHECK_OK(mount_devices(root.get()));
  SP_CHECK_OK(mount_all_of_pod(plan, container, root.get()));
  // The working directory has to exist before the root is sealed.
  if (container.cwd != "/") (void)ensure_in_root(root.get(), container.cwd, true);
  if (container.read_only_root) SP_CHECK_OK(set_mount_attributes(root.get(), MOUNT_ATTR_RDONLY));
  return switch_root(layout::kNewRoot);
}

}  // namespace sallyport::runtime
