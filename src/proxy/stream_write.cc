// How a stream's bytes leave: sealed where there is TLS, in one send() per event, and what the
// kernel does not take is kept.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proxy/stream.h"

namespace sallyport::proxy {

// Seals and sends what waits. After a short write the rest of the records is kept as it is.
void Stream::flush() {
  if (phase_ != Phase::kOpen) {
    if (phase_ == Phase::kHandshake && !blocked_ && !sealed_.empty())
      send_now(sealed_.data(), sealed_.size(), &sealed_);
    return;
  }
  bool sent = false;
  while (!blocked_) {
    if (!sealed_.empty()) {
      if (!send_now(sealed_.data(), sealed_.size(), &sealed_)) return;
      continue;
    }
    const bool update = records_ && records_->update_due();
    if (out_.empty() && !update) break;
    if (!records_) {
      const size_t before = out_.size();
      if (!send_now(out_.data(), out_.size(), &out_)) return;
      bytes_out_ += before - out_.size();
      sent = true;
      continue;
    }
    uint8_t* to = context_.out.data();
    size_t size = update ? records_->seal_key_update(to) : 0;
    const size_t part = std::min(out_.size(), StreamContext::kScratch);
    const size_t written = part == 0 ? 0 : records_->seal({out_.data(), part}, to + size);
    if ((update && size == 0) || (part != 0 && written == 0)) {
      fail(StreamFailure::kProtocol, "a record could not be sealed");
      return;
    }
    size += written;
    out_.consume(part);
    bytes_out_ += part;
    sent = true;
    if (finish_ && !finished_ && out_.empty()) {
      size += records_->seal_alert(1, 0, to + size);
      finished_ = true;  // the FIN itself follows below
    }
    if (!send_now(to, size, nullptr)) return;
  }
  if (finish_ && !blocked_ && out_.empty() && sealed_.empty()) send_fin();
  watch_stall();
  if (sent && phase_ == Phase::kOpen && !lingering_) user_->on_drained();
}

// Without `rest` the unsent end is put into sealed_. False: the stream is dead.
bool Stream::send_now(const uint8_t* data, size_t size, ByteBuffer* rest) {
  ssize_t n = ::send(socket_.get(), data, size, MSG_NOSIGNAL);
  if (n < 0) {
    if (errno == EINTR) {
      n = 0;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      n = 0;
    } else {
      fail(StreamFailure::kReset, std::strerror(errno));
      return false;
    }
  }
  const auto taken = static_cast<size_t>(n);
  if (rest)
    rest->consume(taken);
  else if (taken < size)
    sealed_.append(data + taken, size - taken);
  if (taken < size) blocked_ = true;
  return true;
}

void Stream::send_fin() {
  if (records_ && !finished_) {
    finished_ = true;
    std::array<uint8_t, TlsRecords::kAlertSize> alert;
    const size_t size = records_->seal_alert(1, 0, alert.data());
    if (!send_now(alert.data(), size, nullptr) || blocked_) return;
  }
  finished_ = true;
  ::shutdown(socket_.get(), SHUT_WR);
  finish_ = false;
  if (lingering_ && ended_) fail(StreamFailure::kReset, {});
}

void Stream::send_alert(uint8_t description) {
  if (!records_ || blocked_) return;
  std::array<uint8_t, TlsRecords::kAlertSize> alert;
  const size_t size = records_->seal_alert(2, description, alert.data());
  [[maybe_unused]] ssize_t n = ::send(socket_.get(), alert.data(), size, MSG_NOSIGNAL);
}

// Bytes wait and the peer takes none: a slow reader must not hold memory for ever.
void Stream::watch_stall() {
  if (lingering_ || phase_ != Phase::kOpen) return;
  if (!blocked_) {
    if (timer_.armed()) timer_.cancel();
    return;
  }
  if (timer_.armed() && stall_mark_ == bytes_out_) return;
  stall_mark_ = bytes_out_;
  context_.loop.arm(timer_, context_.limits.write_stall);
}

}  // namespace sallyport::proxy
