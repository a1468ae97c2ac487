#include "runtime/mount_api.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/strings.h"

namespace sallyport::runtime {
namespace {

Result<Fd> open_resolving(int dir, const std::string& path, uint64_t flags, uint64_t resolve) {
  open_how how_to{};
  how_to.flags = flags | O_CLOEXEC;
  how_to.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: a concurrent rename or mount made the kernel unsure; it asks to try again.
  for (int attempt = 0; attempt < 32; ++attempt) {
    long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how_to, sizeof how_to);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return fail_errno(path);
}

// The kernel writes why a filesystem was refused into its context.
std::string refusal(int context) {
  char text[512];
  ssize_t n = ::read(context, text, sizeof text - 1);
  if (n <= 0) return "";
  return " (" + std::string(trim(std::string_view(text, static_cast<size_t>(n)))) + ")";
}

}  // namespace

Result<Fd> make_filesystem(const std::string& type, const FsOptions& options, uint64_t attributes) {
  Fd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context) return fail_errno("open filesystem type " + type);
  for (const auto& [key, value] : options) {
    int set = value.empty()
                  ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                  : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
    if (set != 0) {
      int err = errno;
      std::string what = join({key, value}, "=");
      return fail_errno(join({type, "option", what}, " ") + refusal(context.get()), err);
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int err = errno;
    return fail_errno("create " + type + refusal(context.get()), err);
  }
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) return fail_errno("mount " + type);
  return mount;
}

Result<Fd> clone_mount(const std::string& path) {
  Fd fd(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!fd) return fail_errno("bind " + path);
  return fd;
}

Result<Fd> clone_mount_at(int source) {
  Fd fd(::open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!fd) return fail_errno("bind");
  return fd;
}

Status set_mount_attributes(int mount_fd, uint64_t attributes) {
  mount_attr attr{};
  attr.attr_set = attributes;
  if (::mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
    return fail_errno("set mount attributes");
  return {};
}

Status attach_mount(int mount_fd, const std::string& target) {
  if (::move_mount(mount_fd, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail_errno("mount at " + target);
  return {};
}

Status attach_mount_at(int mount_fd, int target_fd) {
  if (::move_mount(mount_fd, "", target_fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return fail_errno("mount");
  return {};
}

Result<Fd> open_in_root(int root, const std::string& path) {
  return open_resolving(root, path, O_PATH, RESOLVE_IN_ROOT);
}

Result<Fd> ensure_in_root(int root, const std::string& path, bool directory) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part == "..") return fail(Code::kInvalid, path + ": '..' is not allowed in a mount path");
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
  }
  std::string so_far = ".";
  SP_TRY(Fd here, open_in_root(root, so_far));
  for (size_t i = 0; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    so_far += "/" + parts[i];
    auto next = open_in_root(root, so_far);
    if (!next && next.error().os_errno == ENOENT) {
      if (last && !directory) {
        Fd made(::openat(here.get(), parts[i].c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (!made) return fail_errno("create " + path);
      } else if (::mkdirat(here.get(), parts[i].c_str(), 0755) != 0) {
        return fail_errno("create directory " + so_far.substr(1));
      }
      next = open_in_root(root, so_far);
    }
    if (!next) return fail_in("resolve " + path, next.error());
    here = std::move(*next);
  }
  struct stat st{};
  if (::fstat(here.get(), &st) != 0) return fail_errno(path);
  if (S_ISDIR(st.st_mode) != directory)
    return fail(Code::kInvalid, path + ": is " + (directory ? "not a directory" : "a directory") +
                                    ", but what is mounted there is" + (directory ? "" : " not"));
  return here;
}

Result<Fd> open_beneath(int dir, const std::string& path) {
  return open_resolving(dir, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

Status switch_root(const std::string& new_root) {
  if (::chdir(new_root.c_str()) != 0) return fail_errno("chdir " + new_root);
  // The same directory as new and old root: the old tree ends up stacked on the new one.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root " + new_root);
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("drop the old root");
  if (::chdir("/") != 0) return fail_errno("chdir /");
  return {};
}

}  // namespace sallyport::runtime
