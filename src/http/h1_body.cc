#include "http/h1_body.h"

#include <algorithm>
#include <cstring>

#include "http/syntax.h"

namespace sallyport::http::h1 {
namespace {

using Piece = BodyReader::Piece;
using Kind = Piece::Kind;

Piece bad(Counter what, uint16_t status = 400) {
  return {.kind = Kind::kViolation, .violation = {what, status}};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void BodyReader::start_length(uint64_t length) {
  left_ = length;
  state_ = length == 0 ? State::kDone : State::kLength;
}

void BodyReader::start_chunked() {
  left_ = 0;
  extension_bytes_ = 0;
  state_ = State::kSize;
}

// SIZE[;extensions] CRLF. Extensions are dropped; blanks around the size are not accepted.
Piece BodyReader::size_line(Bytes in) {
  const size_t window = std::min(in.size(), limits_->chunk_line_bytes);
  const auto* lf =
      window == 0 ? nullptr : static_cast<const uint8_t*>(std::memchr(in.data(), '\n', window));
  if (lf == nullptr) {
    if (in.size() >= limits_->chunk_line_bytes) return bad(Counter::kChunkLine);
    return {.kind = Kind::kNeedMore};
  }
  const auto length = static_cast<size_t>(lf - in.data());
  if (length == 0 || in[length - 1] != '\r') return bad(Counter::kMalformedChunk);
  const std::string_view line(reinterpret_cast<const char*>(in.data()), length - 1);
  size_t digits = 0;
  uint64_t size = 0;
  for (; digits < line.size(); ++digits) {
    const int digit = hex_digit(line[digits]);
    if (digit < 0) break;
    size = size * 16 + static_cast<uint64_t>(digit);
    if (digits == 15) return bad(Counter::kMalformedChunk);
  }
  if (digits == 0) return bad(Counter::kMalformedChunk);
  const std::string_view extension = line.substr(digits);
  if (!extension.empty() && (extension.front() != ';' || !is_text(extension)))
    return bad(Counter::kMalformedChunk);
  extension_bytes_ += extension.size();
  if (extension_bytes_ > limits_->chunk_extension_bytes) return bad(Counter::kChunkLine);
  left_ = size;
  state_ = size == 0 ? State::kTrailer : State::kChunk;
  finder_.reset();
  return {.kind = Kind::kSkip, .consume = length + 1};
}

Piece BodyReader::next(Bytes in, HeaderList& trailers) {
  switch (state_) {
    case State::kDone:
      return {.kind = Kind::kEnd};
    case State::kUntilClose:
      if (in.empty()) return {.kind = Kind::kNeedMore};
      return {.kind = Kind::kData, .consume = in.size(), .data = in};
    case State::kLength:
    case State::kChunk: {
      if (in.empty()) return {.kind = Kind::kNeedMore};
      const size_t count = static_cast<size_t>(std::min<uint64_t>(in.size(), left_));
      left_ -= count;
      const bool length = state_ == State::kLength;
      if (left_ == 0) state_ = length ? State::kDone : State::kChunkEnd;
      return {.kind = Kind::kData,
              .consume = count,
              .data = in.first(count),
              .last = length && left_ == 0};
    }
    case State::kChunkEnd:
      if (!in.empty() && in[0] != '\r') return bad(Counter::kMalformedChunk);
      if (in.size() < 2) return {.kind = Kind::kNeedMore};
      if (in[1] != '\n') return bad(Counter::kMalformedChunk);
      state_ = State::kSize;
      return {.kind = Kind::kSkip, .consume = 2};
    case State::kSize:
      return size_line(in);
    case State::kTrailer: {
      if (!in.empty() && in[0] == '\r') {
        if (in.size() < 2) return {.kind = Kind::kNeedMore};
        if (in[1] != '\n') return bad(Counter::kMalformedChunk);
        state_ = State::kDone;
        return {.kind = Kind::kEnd, .consume = 2};
      }
      std::optional<Violation> violation;
      const size_t length = finder_.find(in, limits_->trailer_bytes, violation);
      if (violation)
        return bad(violation->what == Counter::kHeadBytes ? Counter::kTrailerBytes
                                                          : Counter::kMalformedChunk,
                   violation->status);
      if (length == 0) return {.kind = Kind::kNeedMore};
      const std::string_view text(reinterpret_cast<const char*>(in.data()), length);
      if (auto wrong = parse_trailers(text, *limits_, trailers))
        return bad(wrong->what, wrong->status);
      state_ = State::kDone;
      return {.kind = trailers.empty() ? Kind::kEnd : Kind::kTrailers, .consume = length};
    }
  }
  return bad(Counter::kMalformedChunk);
}

}  // namespace sallyport::http::h1
