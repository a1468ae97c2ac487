#include "runtime/volumes.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strings.h"
#include "runtime/mount_api.h"

namespace sallyport::runtime {
namespace {

Status own_directory(const std::string& path, const PlannedVolume& volume, mode_t mode) {
  if (volume.fs_group) {
    // The set-group-id bit hands the group on to what is made below.
    mode |= 02070;
    if (::chown(path.c_str(), 0, static_cast<gid_t>(*volume.fs_group)) != 0)
      return fail_errno("fsGroup of " + path);
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("mode of " + path);
  return {};
}

Status write_file(const std::string& root, const PlannedVolume& volume, const PlannedFile& file) {
  std::string path = root;
  std::vector<std::string> parts = split(file.path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part.empty() || part == "." || part == "..")
      return fail(Code::kInvalid,
                  "path " + file.path + " of volume " + volume.name + " is not clean");
    path += "/" + part;
    if (i + 1 == parts.size()) break;
    if (::mkdir(path.c_str(), 0755) == 0)
      SP_CHECK_OK(own_directory(path, volume, 0755));
    else if (errno != EEXIST)
      return fail_errno("mkdir " + path);
  }
  SP_CHECK_OK(write_file_atomic(path, file.data, 0600));
  mode_t mode = file.mode & 0777;
  if (volume.fs_group) {
    mode |= 0440;
    if (::chown(path.c_str(), 0, static_cast<gid_t>(*volume.fs_group)) != 0)
      return fail_errno("fsGroup of " + path);
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("mode of " + path);
  return {};
}

}  // namespace

Status make_volumes(const Plan& plan, const std::string& root) {
  for (const PlannedVolume& volume : plan.volumes) {
    std::string path = root + "/" + volume.name;
    if (::mkdir(path.c_str(), 0755) != 0) return fail_errno("volume " + volume.name);
    if (!volume.files_only && (volume.in_memory || volume.size_limit > 0)) {
      FsOptions options{{"mode", "0777"}};
      if (volume.size_limit > 0) options.emplace_back("size", std::to_string(volume.size_limit));
      SP_TRY(Fd mount, make_filesystem("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID));
      SP_CHECK_OK(attach_mount(mount.get(), path));
    }
    SP_CHECK_OK(own_directory(path, volume, volume.files_only ? 0755 : 0777));
    for (const PlannedFile& file : volume.files) SP_CHECK_OK(write_file(path, volume, file));
  }
  return {};
}

}  // namespace sallyport::runtime
