#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "base/clock.h"

namespace sallyport {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kInfo};

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO ";
    case LogLevel::kWarn:
      return "WARN ";
    case LogLevel::kError:
      return "ERROR";
  }
  return "?";
}

}  // namespace

void set_log_level(LogLevel least) {
  least_level = least;
}

void log(LogLevel level, std::string_view module, std::string_view text) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  std::string line = rfc3339(std::chrono::system_clock::now());
  line.append(" ").append(name(level)).append(" ").append(module).append(": ");
  for (char c : text) line += c == '\n' ? ' ' : c;  // one line an entry, whatever the text holds
  line += '\n';
  // One write: lines of several threads never mix. A lost log line must not stop the node.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace sallyport
