#include "base/clock.h"

#include <cstdio>
#include <ctime>

namespace sallyport {

std::string rfc3339(WallTime time, bool micros) {
  auto total =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  std::time_t seconds = static_cast<std::time_t>(total / 1'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text, n);
  if (micros) {
    std::snprintf(text, sizeof text, ".%06d", static_cast<int>(total % 1'000'000));
    out += text;
  }
  return out + "Z";
}

}  // namespace sallyport
