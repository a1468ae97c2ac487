#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "telemetry/access_log.h"

namespace sallyport::telemetry {
namespace {

// A buffer of less could not hold a line of the default format with its values at their longest.
constexpr size_t kMinCapacity = 64 << 10;

}  // namespace

AccessLogWriter::AccessLogWriter(Fd file, size_t capacity)
    : file_(std::move(file)), capacity_(std::max(capacity, kMinCapacity)) {
  buffer_.reserve(capacity_ + kMinCapacity);
}

Result<AccessLogWriter> AccessLogWriter::open(Fd file, size_t capacity) {
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return fail_errno("access log file");
  const int flags = fcntl(file.get(), F_GETFL);
  if (flags < 0) return fail_errno("access log file");
  if ((flags & O_ACCMODE) == O_RDONLY) {
    return fail(Code::kInvalid, "the access log file is not open for writing");
  }
  // Regular files ignore O_NONBLOCK; without O_APPEND workers would overwrite each other's lines.
  const int wanted = flags | O_NONBLOCK | (S_ISREG(info.st_mode) ? O_APPEND : 0);
  if (wanted != flags && fcntl(file.get(), F_SETFL, wanted) != 0) {
    return fail_errno("access log file");
  }
  return AccessLogWriter(std::move(file), capacity);
}

void AccessLogWriter::append(const AccessLogFormat& format, const LogEntry& entry) {
  if (pending() >= capacity_) {
    flush();
    if (pending() >= capacity_) {
      ++lost_;
      return;
    }
  }
  format.append(buffer_, entry);
}

void AccessLogWriter::flush() {
  while (begin_ < buffer_.size()) {
    const ssize_t n = ::write(file_.get(), buffer_.data() + begin_, buffer_.size() - begin_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) {
      // A full disk, a closed pipe: the lines are lost, the proxy goes on.
      for (size_t i = begin_; i < buffer_.size(); ++i) lost_ += buffer_[i] == '\n';
      begin_ = buffer_.size();
      break;
    }
    if (n <= 0) break;
    begin_ += static_cast<size_t>(n);
    if (begin_ < buffer_.size()) break;  // it is full for now; no second call in this turn
  }
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
  } else if (begin_ > capacity_ / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
}

}  // namespace sallyport::telemetry
