#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"

namespace sallyport {
namespace {

Status remove_at(int dir, const std::string& name, const std::string& path, dev_t device) {
  struct stat st{};
  if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Status{} : Status(fail_errno("stat " + path));
  if (st.st_dev != device) return fail(Code::kConflict, path + " is on another mount, not removed");
  if (!S_ISDIR(st.st_mode)) {
    if (::unlinkat(dir, name.c_str(), 0) != 0 && errno != ENOENT)
      return fail_errno("unlink " + path);
    return {};
  }
  Fd fd(::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path);
  DIR* stream = ::fdopendir(::dup(fd.get()));
  if (!stream) return fail_errno("read " + path);
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(stream)) {
    std::string child = entry->d_name;
    if (child != "." && child != "..") names.push_back(std::move(child));
  }
  ::closedir(stream);
  for (const std::string& child : names)
    SP_CHECK_OK(remove_at(fd.get(), child, path + "/" + child, device));
  if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("rmdir " + path);
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t limit) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(path);
  std::string data;
  char buffer[65536];
  while (true) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path);
    if (n == 0) return data;
    if (data.size() + static_cast<size_t>(n) > limit)
      return fail(Code::kExhausted, path + ": larger than " + std::to_string(limit) + " bytes");
    data.append(buffer, static_cast<size_t>(n));
  }
}

Status write_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
  std::string tmp = path + ".tmp-" + std::to_string(::getpid());
  Fd fd(::open(tmp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return fail_errno(tmp);
  ::fchmod(fd.get(), mode);
  size_t done = 0;
  while (done < data.size()) {
    ssize_t n = ::write(fd.get(), data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      int err = errno;
      ::unlink(tmp.c_str());
      return fail_errno(tmp, err);
    }
    done += static_cast<size_t>(n);
  }
  fd.reset();
  if (::rename(tmp.c_str(), path.c_str()) != 0) {
    int err = errno;
    ::unlink(tmp.c_str());
    return fail_errno("rename to " + path, err);
  }
  return {};
}

Status make_dirs(const std::string& path, mode_t mode) {
  for (size_t pos = 1; pos <= path.size(); ++pos) {
    if (pos != path.size() && path[pos] != '/') continue;
    std::string part = path.substr(0, pos);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return fail_errno("mkdir " + part);
  }
  return {};
}

Status remove_tree(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0)
    return errno == ENOENT ? Status{} : Status(fail_errno("stat " + path));
  return remove_at(AT_FDCWD, path, path, st.st_dev);
}

bool exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

Result<std::vector<std::string>> list_dir(const std::string& path) {
  DIR* stream = ::opendir(path.c_str());
  if (!stream) return fail_errno(path);
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(stream)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> process_start_time(pid_t pid) {
  auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return fail(Code::kNotFound, "no process " + std::to_string(pid));
  size_t close = stat->rfind(')');  // the command name may hold spaces and parentheses
  if (close == std::string::npos) return fail(Code::kInternal, "/proc/PID/stat without a name");
  std::vector<std::string> fields = split(std::string_view(*stat).substr(close + 2), ' ');
  if (fields.size() < 20) return fail(Code::kInternal, "/proc/PID/stat is short");
  if (fields[0] == "Z" || fields[0] == "X")
    return fail(Code::kNotFound, "process " + std::to_string(pid) + " has ended");
  auto ticks = parse_number<uint64_t>(fields[19]);
  if (!ticks) return fail(Code::kInternal, "/proc/PID/stat: no start time");
  return *ticks;
}

Status set_cloexec(int fd, bool on) {
  int flags = ::fcntl(fd, F_GETFD);
  if (flags < 0 || ::fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) < 0)
    return fail_errno("fcntl");
  return {};
}

}  // namespace sallyport
