// Helpers of kernel tests: what must be the same before and after.
#pragma once

#include <unistd.h>

#include <string>
#include <vector>

#include "base/fs.h"
#include "base/strings.h"

namespace sallyport::net {

// Open descriptors of this process, with what they refer to. The directory stream that lists them
// is not counted.
inline std::vector<std::string> open_descriptors() {
  std::vector<std::string> found;
  auto names = list_dir("/proc/self/fd");
  if (!names) return found;
  for (const std::string& name : *names) {
    char target[512];
    ssize_t n = ::readlink(("/proc/self/fd/" + name).c_str(), target, sizeof target);
    if (n < 0) continue;
    found.push_back(name + " " + std::string(target, static_cast<size_t>(n)));
  }
  return found;
}

// Lines of this process's mount table.
inline std::vector<std::string> mounts() {
  auto text = read_file("/proc/self/mountinfo");
  return text ? split(*text, '\n') : std::vector<std::string>{};
}

inline size_t thread_count() {
  auto tasks = list_dir("/proc/self/task");
  return tasks ? tasks->size() : 0;
}

}  // namespace sallyport::net
