#include "standalone/source.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"

namespace sallyport::standalone {
namespace {

// A manifest directory is shallow; more is a mistake (a link to / in it, say).
constexpr size_t kMaxWatches = 4096;
constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE |
                             IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
// After its last change, a file that nobody closes counts as whole.
constexpr auto kFileRest = std::chrono::seconds(3);
// A new directory is being filled; what happened in it before it was watched is not told.
constexpr auto kDirectoryRest = std::chrono::milliseconds(200);
constexpr size_t kMaxUnsettled = 4096;

class DirectorySource : public Source {
 public:
  DirectorySource(std::string dir, Fd fd, const Clock& clock)
      : dir_(std::move(dir)), fd_(std::move(fd)), clock_(clock) {}

  k8s::Manifest load() override {
    // Watches first: what changes while we read is then seen as a further change.
    std::map<int, std::string> before = std::exchange(watches_, {});
    root_ = watch(dir_);
    lost_ = root_ < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (root_ < 0 && !lost_)
      log_warn("node",
               "changes of " + dir_ + " are not seen: " + fail_errno("inotify").error().message);
    for (const auto& [wd, path] : before)
      if (!watches_.contains(wd)) ::inotify_rm_watch(fd_.get(), wd);
    return k8s::load_manifest(dir_, &cache_);
  }

  [[nodiscard]] int change_fd() const override { return fd_.get(); }

  bool take_changes() override {
    bool changed = false;
    alignas(inotify_event) char buffer[16384];
    ssize_t n = 0;
    while ((n = ::read(fd_.get(), buffer, sizeof buffer)) > 0)
      for (ssize_t at = 0; at < n;) {
        auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        if (take(*event)) changed = true;
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    // A directory that is gone cannot tell that another has taken its place.
    if (lost_ && exists(dir_)) changed = true;
    return changed;
  }

  bool unsettled() override {
    std::erase_if(unsettled_, [&](const auto& item) { return item.second <= clock_.now(); });
    return !unsettled_.empty();
  }

 private:
  bool take(const inotify_event& event) {
    if (event.mask & IN_Q_OVERFLOW) return true;
    if (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
      bool root = event.wd == root_;
      if (root) lost_ = true;
      return root;  // of the others their parent tells
    }
    std::string name = event.len ? event.name : "";
    std::pair key(event.wd, name);
    bool hidden = name.starts_with('.');
    if (event.mask & IN_MODIFY) {
      if (!hidden) settle_at(key, kFileRest);
      return false;  // IN_CLOSE_WRITE follows
    }
    if (event.mask & IN_CREATE) {
      if (event.mask & IN_ISDIR) {
        if (!hidden) settle_at(key, kDirectoryRest);
        return !hidden;
      }
      // What open(2) has made will be closed; a link is whole at once.
      auto parent = watches_.find(event.wd);
      struct stat st{};
      if (parent == watches_.end() || ::lstat((parent->second + "/" + name).c_str(), &st) != 0 ||
          !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return true;
      if (!hidden) settle_at(key, kFileRest);
      return false;
    }
    unsettled_.erase(key);
    // Hidden files are not read, but a link to one may be: where it is renamed, look.
    return !hidden || (event.mask & (IN_MOVED_FROM | IN_MOVED_TO));
  }

  template <class Rest>
  void settle_at(const std::pair<int, std::string>& key, Rest rest) {
    if (unsettled_.size() < kMaxUnsettled || unsettled_.contains(key))
      unsettled_[key] = clock_.now() + rest;
  }

  // The watch, or -1.
  int watch(const std::string& dir) {
    if (watches_.size() >= kMaxWatches) return -1;
    int wd = ::inotify_add_watch(fd_.get(), dir.c_str(), kEvents);
    if (wd < 0 || !watches_.emplace(wd, dir).second) return wd;
    auto names = list_dir(dir);
    if (!names) return wd;
    for (const std::string& name : *names) {
      struct stat st{};
      std::string path = dir;
      path.append("/").append(name);
      if (name[0] != '.' && ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) watch(path);
    }
    return wd;
  }

  std::string dir_;
  Fd fd_;
  const Clock& clock_;
  int root_ = -1;
  k8s::ManifestCache cache_;
  bool lost_ = false;  // the directory at dir_ is not (any more) the one that is watched
  std::map<int, std::string> watches_;  // to the directory's path
  std::map<std::pair<int, std::string>, Monotonic> unsettled_;
};

}  // namespace

Result<std::unique_ptr<Source>> watch_directory(const std::string& dir, const Clock& clock) {
  struct stat st{};
  if (::stat(dir.c_str(), &st) != 0) return fail_errno(dir);
  if (!S_ISDIR(st.st_mode))
    return fail(Code::kInvalid, dir + " is not a directory; expected one with manifests (*.yaml)");
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail_errno("inotify");
  return std::make_unique<DirectorySource>(dir, std::move(fd), clock);
}

}  // namespace sallyport::standalone
