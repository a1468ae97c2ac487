// Time behind an interface, so that logic with deadlines is tested without waiting.
#pragma once

#include <chrono>
#include <string>

namespace sallyport {

using Monotonic = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Monotonic now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock : public Clock {
 public:
  [[nodiscard]] Monotonic now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall() const override { return std::chrono::system_clock::now(); }
};

// RFC 3339 in UTC with seconds ("2026-01-02T03:04:05Z"), or with microseconds.
std::string rfc3339(WallTime time, bool micros = false);

}  // namespace sallyport
