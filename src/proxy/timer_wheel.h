// Timers of one event loop: arming, moving and cancelling cost a few instructions and no memory.
// A timer never fires early and at most a tick (1 ms) late, if the loop is not busy.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace sallyport::proxy {

class TimerWheel;

// Part of the object that it belongs to; cancels itself when it dies.
class Timer {
 public:
  using Callback = void (*)(void* owner);
  Timer(Callback callback, void* owner) : callback_(callback), owner_(owner) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void cancel();
  [[nodiscard]] bool armed() const { return wheel_ != nullptr; }

 private:
  friend class TimerWheel;
  Callback callback_;
  void* owner_;
  TimerWheel* wheel_ = nullptr;
  Timer* next_ = nullptr;
  Timer** link_ = nullptr;  // what points to this timer
  uint64_t tick_ = 0;
  uint16_t slot_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(Monotonic start) : start_(start) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  void arm(Timer& timer, Monotonic when);  // again: moves it
  // Fires what is due. Callbacks may arm and cancel any timer.
  void advance(Monotonic now);
  // Milliseconds until something may be due: 0 for at once, -1 for nothing, never too late.
  [[nodiscard]] int wait_ms(Monotonic now) const;
  [[nodiscard]] size_t armed() const { return armed_; }

 private:
  friend class Timer;
  static constexpr int kLevels = 5, kBits = 6, kSlots = 1 << kBits;  // 1 ms to 12 days

  [[nodiscard]] uint64_t tick_of(Monotonic when, bool up) const;
  void insert(Timer& timer);
  void unlink(Timer& timer);
  void cascade(int level);

  Monotonic start_;
  uint64_t now_ = 0;  // every timer up to this tick has fired
  size_t armed_ = 0;
  std::array<uint64_t, kLevels> used_{};  // a bit per slot that holds timers
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
};

}  // namespace sallyport::proxy
