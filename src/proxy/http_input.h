// What a codec left over, until more comes.
#pragma once

#include "http/codec.h"

namespace sallyport::proxy {

class CodecInput {
 public:
  explicit CodecInput(http::BufferPool& pool) : rest_(pool) {}

  void feed(http::Codec& codec, http::Bytes bytes, Monotonic now) {
    if (rest_.empty()) {
      const size_t used = codec.receive(bytes, now);
      if (used < bytes.size()) rest_.append(bytes.subspan(used));
      return;
    }
    rest_.append(bytes);
    again(codec, now);
  }
  void again(http::Codec& codec, Monotonic now) {
    rest_.consume(codec.receive(rest_.bytes(), now));
    // The peer has ended: that is told when nothing more can be made of what is left.
    if (end_due_ && (rest_.empty() || codec.active() == 0)) tell_end(codec, now);
  }
  void end(http::Codec& codec, Monotonic now) {
    end_due_ = true;
    if (rest_.empty() || codec.active() == 0) tell_end(codec, now);
  }
  [[nodiscard]] size_t size() const { return rest_.size(); }
  void clear() { rest_.clear(); }

 private:
  void tell_end(http::Codec& codec, Monotonic now) {
    end_due_ = false;
    rest_.clear();
    codec.receive_end(now);
  }
  http::ByteBuffer rest_;
  bool end_due_ = false;
};

}  // namespace sallyport::proxy
