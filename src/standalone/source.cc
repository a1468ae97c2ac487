#include "standalone/source.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <unordered_set>

#include "base/fd.h"
#include "base/fs.h"

namespace sallyport::standalone {
namespace {

// A manifest directory is shallow; more is a mistake (a link to / in it, say).
constexpr size_t kMaxWatches = 4096;
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

class DirectorySource : public Source {
 public:
  DirectorySource(std::string dir, Fd fd) : dir_(std::move(dir)), fd_(std::move(fd)) {}

  k8s::Manifest load() override {
    // Watches first: what changes while we read is then seen as a further change.
    watches_.clear();
    watch(dir_);
    return k8s::load_manifest(dir_);
  }

  [[nodiscard]] int change_fd() const override { return fd_.get(); }

  void acknowledge() override {
    char buffer[16384];
    while (::read(fd_.get(), buffer, sizeof buffer) > 0) {
    }
  }

 private:
  void watch(const std::string& dir) {
    if (watches_.size() >= kMaxWatches) return;
    int wd = ::inotify_add_watch(fd_.get(), dir.c_str(), kEvents);
    if (wd < 0 || !watches_.insert(wd).second) return;
    auto names = list_dir(dir);
    if (!names) return;
    for (const std::string& name : *names) {
      struct stat st{};
      std::string path = dir + "/" + name;
      if (name[0] != '.' && ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) watch(path);
    }
  }

  std::string dir_;
  Fd fd_;
  std::unordered_set<int> watches_;
};

}  // namespace

Result<std::unique_ptr<Source>> watch_directory(const std::string& dir) {
  struct stat st{};
  if (::stat(dir.c_str(), &st) != 0) return fail_errno(dir);
  if (!S_ISDIR(st.st_mode))
    return fail(Code::kInvalid, dir + " is not a directory; expected one with manifests (*.yaml)");
  Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail_errno("inotify");
  return std::make_unique<DirectorySource>(dir, std::move(fd));
}

}  // namespace sallyport::standalone
