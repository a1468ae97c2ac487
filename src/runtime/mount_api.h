// The kernel's descriptor-based mount calls, and paths resolved inside a root that is not ours yet:
// no symbolic link in a pod's tree can lead a mount outside it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::runtime {

using FsOptions = std::vector<std::pair<std::string, std::string>>;  // empty value: a flag

// A new filesystem instance, not attached anywhere. `attributes` are MOUNT_ATTR_* bits.
Result<Fd> make_filesystem(const std::string& type, const FsOptions& options, uint64_t attributes);

// A detached copy of the mount at `path` (or of the file at `fd`), without what is mounted below.
Result<Fd> clone_mount(const std::string& path);
Result<Fd> clone_mount_at(int fd);

Status set_mount_attributes(int mount_fd, uint64_t attributes);
Status attach_mount(int mount_fd, const std::string& target);
Status attach_mount_at(int mount_fd, int target_fd);

// The file at `path` below `root`, as a process with that root would see it (O_PATH).
Result<Fd> open_in_root(int root, const std::string& path);
// The same, made where it is missing: directories with mode 0755, a file (0644, empty) at the end
// where `directory` is false.
Result<Fd> ensure_in_root(int root, const std::string& path, bool directory);
// A relative path below `dir` without any symbolic link.
Result<Fd> open_beneath(int dir, const std::string& path);

// Makes the directory `new_root` (a mount point) the root of this mount namespace and drops all of
// the old tree.
Status switch_root(const std::string& new_root);

}  // namespace sallyport::runtime
