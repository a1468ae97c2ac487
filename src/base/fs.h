// Files: whole reads with a bound, atomic writes, and process identity.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport {

// Fails with kExhausted where the file is larger than `limit` bytes.
Result<std::string> read_file(const std::string& path, size_t limit = 64 << 20);

// Writes PATH.tmp-PID, then renames it: a reader sees the old or the new content, never a part.
Status write_file_atomic(const std::string& path, std::string_view data, mode_t mode = 0600);

Status make_dirs(const std::string& path, mode_t mode = 0700);
Status remove_tree(const std::string& path);  // missing is fine; does not cross mounts
[[nodiscard]] bool exists(const std::string& path);
Result<std::vector<std::string>> list_dir(const std::string& path);  // names, sorted, no . and ..

// When a process started, in clock ticks since boot (field 22 of /proc/PID/stat). A pid with the
// same start time is the same process; kNotFound where there is none (or only a zombie).
Result<uint64_t> process_start_time(pid_t pid);

// Set on every descriptor that a child must not inherit.
Status set_cloexec(int fd, bool on);

}  // namespace sallyport
