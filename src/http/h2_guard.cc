#include "http/h2_guard.h"

namespace sallyport::http::h2 {
namespace {

constexpr uint8_t kFlagAck = 0x1, kFlagEndStream = 0x1, kFlagEndHeaders = 0x4;

}  // namespace

bool TokenBucket::take(Monotonic now) {
  if (last_ != Monotonic{} && now > last_) {
    const double seconds_passed = std::chrono::duration<double>(now - last_).count();
    tokens_ = std::min(burst_, tokens_ + seconds_passed * per_second_);
  }
  last_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

FrameHeader read_frame_header(const uint8_t* p) {
  return {.length = static_cast<uint32_t>(p[0] << 16 | p[1] << 8 | p[2]),
          .type = p[3],
          .flags = p[4],
          .stream = (static_cast<uint32_t>(p[5]) << 24 | static_cast<uint32_t>(p[6]) << 16 |
                     static_cast<uint32_t>(p[7]) << 8 | p[8]) &
                    0x7fffffff};
}

Guard::Guard(const Limits& limits)
    : limits_(limits),
      resets_(limits.reset_burst, limits.reset_per_second),
      control_(limits.control_burst, limits.control_per_second),
      glitches_(limits.glitch_burst, limits.glitch_per_second) {}

std::optional<Counter> Guard::on_frame(const FrameHeader& frame, Monotonic now) {
  const bool ack = (frame.flags & kFlagAck) != 0;
  bool empty = false;
  switch (frame.type) {
    case kData:
      empty = frame.length == 0 && (frame.flags & kFlagEndStream) == 0;
      break;
    case kHeaders:
      continuations_ = 0;
      block_started_ = now;
      empty = frame.length == 0 && (frame.flags & kFlagEndHeaders) == 0;
      break;
    case kContinuation:
      if (++continuations_ > limits_.continuations) return Counter::kContinuations;
      empty = frame.length == 0 && (frame.flags & kFlagEndHeaders) == 0;
      break;
    case kPriority:
      if (++priorities_ > limits_.priority_per_stream * (streams_ + 1)) return Counter::kPriority;
      return std::nullopt;
    case kRstStream:
      if (!resets_.take(now)) return Counter::kResetRate;
      return std::nullopt;
    case kSettings:
      if (frame.length > limits_.settings_entries * 6) return Counter::kSettingsEntries;
      if (!ack && !control_.take(now)) return Counter::kControlRate;
      return std::nullopt;
    case kPing:  // answers as well: few are asked for, and any number may come
    case kGoaway:
      if (!control_.take(now)) return Counter::kControlRate;
      return std::nullopt;
    case kWindowUpdate:
      if (++window_updates_ >
          limits_.window_updates_base + limits_.window_updates_streams *
                                            (streams_ + limits_.window_updates_data * data_sent_))
        return Counter::kWindowUpdates;
      return std::nullopt;
    default:
      return std::nullopt;
  }
  empty_ = empty ? empty_ + 1 : 0;
  if (empty_ > limits_.empty_frames) return Counter::kEmptyFrames;
  return std::nullopt;
}

std::optional<Counter> Guard::on_reset(Monotonic started, Monotonic now) {
  if (now - started <= limits_.reset_early) ++early_resets_;
  if (early_resets_ >= limits_.reset_least &&
      early_resets_ * 100 > streams_ * limits_.reset_percent)
    return Counter::kRapidReset;
  return std::nullopt;
}

Guard::Glitch Guard::glitch(Monotonic now) {
  if (!glitches_.take(now)) return Glitch::kCut;
  if (!drained_ && glitches_.used() > 0.75) {
    drained_ = true;
    return Glitch::kDrain;
  }
  return Glitch::kNone;
}

}  // namespace sallyport::http::h2
