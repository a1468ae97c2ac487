// Bodies of HTTP/1: by length, chunked, until the connection ends.
#pragma once

#include <cstdint>
#include <optional>

#include "http/h1_head.h"

namespace sallyport::http::h1 {

class BodyReader {
 public:
  explicit BodyReader(const Limits& limits) : limits_(&limits) {}

  void start_none() { state_ = State::kDone; }
  void start_length(uint64_t length);
  void start_chunked();
  void start_until_close() { state_ = State::kUntilClose; }

  struct Piece {
    enum class Kind : uint8_t { kNeedMore, kSkip, kData, kEnd, kTrailers, kViolation } kind;
    size_t consume = 0;     // take so many bytes off the buffer after handling the piece
    Bytes data = {};        // kData: a part of the buffer
    bool last = false;      // kData: the body ends with it
    Violation violation{};  // kViolation
  };
  // The next piece at the front of `in`. kTrailers fills `trailers` and ends the body; kEnd as
  // well.
  Piece next(Bytes in, HeaderList& trailers);
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  [[nodiscard]] bool until_close() const { return state_ == State::kUntilClose; }
  // Bytes that are certain to follow; for chunked bodies of the chunk under way.
  [[nodiscard]] uint64_t left() const { return left_; }

 private:
  enum class State : uint8_t { kDone, kLength, kUntilClose, kSize, kChunk, kChunkEnd, kTrailer };
  Piece size_line(Bytes in);

  const Limits* limits_;
  State state_ = State::kDone;
  uint64_t left_ = 0;
  size_t extension_bytes_ = 0;
  HeadFinder finder_;
};

}  // namespace sallyport::http::h1
