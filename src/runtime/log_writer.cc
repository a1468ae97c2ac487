#include "runtime/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace sallyport::runtime {
namespace {

std::string stamp(WallTime time) {
  auto nanos =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  std::time_t seconds = static_cast<std::time_t>(nanos / 1'000'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + n, sizeof text - n, ".%09lldZ",
                static_cast<long long>(nanos % 1'000'000'000));
  return text;
}

}  // namespace

LogWriter::LogWriter(std::string path, size_t file_limit)
    : path_(std::move(path)), file_limit_(file_limit) {
  open_file();
}

void LogWriter::open_file() {
  file_ = Fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  struct stat st{};
  size_ = file_ && ::fstat(file_.get(), &st) == 0 ? static_cast<size_t>(st.st_size) : 0;
}

void LogWriter::append(bool from_stderr, std::string_view bytes, WallTime now) {
  std::string& pending = pending_[from_stderr ? 1 : 0];
  while (!bytes.empty()) {
    size_t room = kLineLimit - pending.size();
    // One byte more than fits: a line that ends exactly at the limit is whole.
    size_t end = bytes.substr(0, room + 1).find('\n');
    if (end != std::string_view::npos) {
      pending.append(bytes.substr(0, end));
      write_line(from_stderr, pending, true, now);
      pending.clear();
      bytes.remove_prefix(end + 1);
    } else if (room == 0) {
      write_line(from_stderr, pending, false, now);
      pending.clear();
    } else {
      size_t taken = std::min(room, bytes.size());
      pending.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
    }
  }
}

void LogWriter::flush(WallTime now) {
  for (bool from_stderr : {false, true}) {
    std::string& pending = pending_[from_stderr ? 1 : 0];
    if (pending.empty()) continue;
    write_line(from_stderr, pending, true, now);
    pending.clear();
  }
}

void LogWriter::write_line(bool from_stderr, std::string_view text, bool whole, WallTime now) {
  std::string line = stamp(now);
  line += from_stderr ? " stderr " : " stdout ";
  line += whole ? "F " : "P ";
  line += text;
  line += '\n';
  if (size_ > 0 && size_ + line.size() > file_limit_) {
    ::rename(path_.c_str(), (path_ + ".1").c_str());
    open_file();
  }
  // A full disk loses log lines; it must not stop the pod.
  if (!file_) open_file();
  if (!file_) return;
  ssize_t n = ::write(file_.get(), line.data(), line.size());
  if (n > 0) size_ += static_cast<size_t>(n);
}

}  // namespace sallyport::runtime
