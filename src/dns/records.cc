#include "dns/records.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>

#include "base/fs.h"
#include "base/log.h"

namespace sallyport::dns {

Result<Records> Records::open(const std::string& path) {
  Records records;
  records.path_ = path;
  const size_t slash = path.find_last_of('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  records.watch_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  // Without it, looking once a second has to do.
  if (records.watch_ &&
      ::inotify_add_watch(records.watch_.get(), directory.c_str(),
                          IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE) < 0)
    records.watch_.reset();
  records.seen_ = records.identity();
  if (Status status = records.load(); !status) return std::unexpected(status.error());
  return records;
}

void Records::refresh() {
  if (watch_) {
    // What the events say does not matter; they are only taken off. Bounded, as others write them.
    std::array<char, 4096> events;
    for (int i = 0; i < 64 && ::read(watch_.get(), events.data(), events.size()) > 0; ++i) {
    }
  }
  // Taken before reading: a file that changes meanwhile is read once more.
  const Identity now = identity();
  if (now == seen_) return;
  seen_ = now;
  if (Status status = load(); !status)
    log_error("dns", status.error().message + "; the records of before stay in use");
  else
    log_info("dns", "read " + path_ + " again: " + std::to_string(zone_.addresses.size()) +
                        " names with addresses");
}

Records::Identity Records::identity() const {
  struct stat info{};
  if (::stat(path_.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size};
}

Status Records::load() {
  SP_TRY(const std::string text, read_file(path_));
  auto zone = parse_zone(text);
  if (!zone) return fail_in(path_, zone.error());
  zone_ = std::move(*zone);
  return {};
}

}  // namespace sallyport::dns
