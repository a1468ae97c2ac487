// The flood limits of HTTP/2, by frame headers and before the frames are decoded. Pure counting.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "http/limits.h"

namespace sallyport::http::h2 {

// `burst` at once, refilled by `per_second`.
class TokenBucket {
 public:
  TokenBucket(uint32_t burst, uint32_t per_second)
      : burst_(burst), per_second_(per_second), tokens_(burst) {}
  bool take(Monotonic now);
  [[nodiscard]] double used() const { return 1.0 - tokens_ / burst_; }  // of the burst, 0 to 1

 private:
  double burst_, per_second_, tokens_;
  Monotonic last_{};
};

struct FrameHeader {
  uint32_t length = 0;
  uint8_t type = 0, flags = 0;
  uint32_t stream = 0;
};
FrameHeader read_frame_header(const uint8_t* nine_bytes);

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

class Guard {
 public:
  explicit Guard(const Limits& limits);

  // The limit that this frame crosses, if any: the connection has to go.
  std::optional<Counter> on_frame(const FrameHeader& frame, Monotonic now);
  void stream_opened() { ++streams_; }
  void data_sent() { ++data_sent_; }
  // The peer reset a stream that began at `started`.
  std::optional<Counter> on_reset(Monotonic started, Monotonic now);

  enum class Glitch : uint8_t { kNone, kDrain, kCut };
  // Something odd but legal. kDrain is answered once.
  Glitch glitch(Monotonic now);

  // A header block is under way since then; kNever-like max() where none is.
  [[nodiscard]] Monotonic block_started() const { return block_started_; }
  void block_complete() { block_started_ = Monotonic::max(); }

 private:
  const Limits& limits_;
  TokenBucket resets_, control_, glitches_;
  uint64_t streams_ = 0, early_resets_ = 0, data_sent_ = 0;
  uint64_t priorities_ = 0, window_updates_ = 0;
  uint32_t continuations_ = 0, empty_ = 0;
  Monotonic block_started_ = Monotonic::max();
  bool drained_ = false;
};

}  // namespace sallyport::http::h2
