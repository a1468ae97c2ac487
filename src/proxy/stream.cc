#include "proxy/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace sallyport::proxy {
namespace {

constexpr int kReadsPerTurn = 4;  // after a FIN; then others get their turn
constexpr std::chrono::seconds kLinger{5};
// Read and dropped meanwhile: the rest of an upload that was refused.
constexpr uint64_t kLingerBytes = 16 << 20;

}  // namespace

// Whoever has let go of a lingering stream.
class Stream::Nobody final : public StreamUser {
 public:
  void on_data(Bytes) override {}
  void on_end() override {}
  void on_failure(StreamFailure, std::string_view) override {}
  static Nobody& get() {
    static constinit Nobody nobody;
    return nobody;
  }
};

StreamContext::StreamContext(EventLoop& event_loop, http::BufferPool& buffers,
                             const http::Limits& all_limits, http::Counters& all_counters)
    : loop(event_loop),
      pool(buffers),
      limits(all_limits),
      counters(all_counters),
      in(kScratch + kRecordMost + kRecordHeader),
      out(TlsRecords::sealed_size(kScratch) + TlsRecords::kKeyUpdateSize + TlsRecords::kAlertSize) {
}

StreamContext::~StreamContext() {
  while (!lingering.empty()) {
    const std::unique_ptr<Stream> stream(*lingering.begin());
    lingering.erase(lingering.begin());
  }
}

std::string_view to_string(StreamFailure failure) {
  switch (failure) {
    case StreamFailure::kReset:
      return "connection reset";
    case StreamFailure::kRefused:
      return "connection refused";
    case StreamFailure::kUnreachable:
      return "destination unreachable";
    case StreamFailure::kTimeout:
      return "timed out";
    case StreamFailure::kTls:
      return "TLS handshake failed";
    case StreamFailure::kTruncated:
      return "TLS ended without close_notify";
    case StreamFailure::kProtocol:
      return "TLS record refused";
  }
  return "unknown";
}

void StreamDeleter::operator()(Stream* stream) const {
  stream->close();
  stream->context_.loop.retire(std::unique_ptr<Retired>(stream));
}

Stream::Stream(StreamContext& context, Fd socket, StreamUser& user, Phase phase)
    : context_(context),
      user_(&user),
      socket_(std::move(socket)),
      phase_(phase),
      out_(context.pool),
      sealed_(context.pool),
      part_(context.pool),
      timer_([](void* self) { static_cast<Stream*>(self)->on_timer(); }, this) {
  ++context_.open;
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Stream::~Stream() {
  close();
}

StreamPtr Stream::adopt(StreamContext& context, Fd socket, StreamUser& user) {
  StreamPtr stream(new Stream(context, std::move(socket), user, Phase::kOpen));
  if (!context.loop.add(stream->socket_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *stream))
    return nullptr;
  return stream;
}

StreamPtr Stream::connecting(StreamContext& context, Fd socket, StreamUser& user,
                             bssl::UniquePtr<SSL> ssl) {
  StreamPtr stream(new Stream(context, std::move(socket), user, Phase::kConnecting));
  stream->ssl_ = std::move(ssl);
  if (!context.loop.add(stream->socket_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *stream))
    return nullptr;
  context.loop.arm(stream->timer_, context.limits.connect_time);
  return stream;
}

void Stream::set_user(StreamUser& user) {
  user_ = &user;
  if (ended_) {
    end_due_ = true;  // the new user has not heard
    flush_soon();
  }
}

void Stream::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  timer_.cancel();
  forget();
  context_.loop.remove(socket_.get(), *this);
  socket_.reset();
  --context_.open;
  out_.clear();
  sealed_.clear();
  part_.clear();
  ssl_.reset();
  records_.reset();
}

void Stream::abort() {
  if (phase_ == Phase::kClosed) return;
  const struct linger hard{1, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

void Stream::fail(StreamFailure failure, std::string_view why) {
  if (phase_ == Phase::kClosed) return;
  if (lingering_) {
    close();
    context_.lingering.erase(this);
    context_.loop.retire(std::unique_ptr<Retired>(this));
    return;
  }
  // A reset would overtake an alert that was just sent.
  if (failure == StreamFailure::kTls || failure == StreamFailure::kProtocol)
    close();
  else
    abort();
  user_->on_failure(failure, why.empty() ? to_string(failure) : why);
}

void Stream::pause() {
  paused_ = true;
}

void Stream::resume() {
  if (!paused_) return;
  paused_ = false;
  if (readable_) flush_soon();
}

void Stream::on_io(uint32_t events) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kConnecting) {
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected();
    if (phase_ == Phase::kClosed || phase_ == Phase::kConnecting) return;
  }
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hung_up_ = true;
  if ((events & EPOLLOUT) && blocked_) {
    blocked_ = false;
    flush();
    if (phase_ == Phase::kClosed) return;
  }
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    readable_ = true;
    if (!paused_ || phase_ == Phase::kHandshake)
      read_some(hung_up_);
    else if (events & (EPOLLERR | EPOLLHUP)) {
      // A reset is told even to a user who does not want to read now.
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) fail(StreamFailure::kReset, std::strerror(error));
    }
  }
}

void Stream::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == EINPROGRESS) return;
  if (error != 0) {
    const StreamFailure what = error == ECONNREFUSED ? StreamFailure::kRefused
                               : error == ETIMEDOUT  ? StreamFailure::kTimeout
                               : error == ECONNRESET ? StreamFailure::kReset
                                                     : StreamFailure::kUnreachable;
    fail(what, std::strerror(error));
    return;
  }
  if (ssl_) {
    phase_ = Phase::kHandshake;
    context_.loop.arm(timer_, context_.limits.handshake_time);
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    handshake({});
    return;
  }
  phase_ = Phase::kOpen;
  timer_.cancel();
  user_->on_open();
}

void Stream::start_tls(bssl::UniquePtr<SSL> ssl, Bytes first) {
  ssl_ = std::move(ssl);
  phase_ = Phase::kHandshake;
  context_.loop.arm(timer_, context_.limits.handshake_time);
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  handshake(first);
}

// With edges a read that fills less than its buffer has emptied the socket; after a FIN or an error
// one goes on until the kernel says so.
void Stream::read_some(bool until_empty) {
  reading_ = true;
  read_on(until_empty);
  reading_ = false;
}

void Stream::read_on(bool until_empty) {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const size_t kept = part_.size();
    if (kept != 0) std::memcpy(context_.in.data(), part_.data(), kept);
    const ssize_t n = ::recv(socket_.get(), context_.in.data() + kept, StreamContext::kScratch, 0);
    if (n > 0) {
      read_at_ = context_.loop.fresh_now();
      part_.clear();
      if (!take(kept + static_cast<size_t>(n))) return;
      if (paused_ && phase_ == Phase::kOpen) return;  // readable_ stays: resume() goes on
      if (static_cast<size_t>(n) < StreamContext::kScratch && !until_empty && !hung_up_) {
        readable_ = false;
        return;
      }
      // A full buffer: what it became is sent first, while it is in the cache.
      if (static_cast<size_t>(n) == StreamContext::kScratch) break;
      continue;
    }
    if (n == 0) {
      readable_ = false;
      if (lingering_) {
        ended_ = true;
        if (finished_ && sealed_.empty()) fail(StreamFailure::kReset, {});
      } else if (phase_ == Phase::kHandshake) {
        handshake_failure_ = std::make_unique<identity::HandshakeFailure>(
            identity::HandshakeFailure{identity::HandshakeResult::kClosed, "closed by the peer"});
        fail(StreamFailure::kTls, "the peer closed the connection during the handshake");
      } else if (records_ && !ended_) {
        fail(StreamFailure::kTruncated, {});
      } else if (!ended_) {
        ended_ = true;
        user_->on_end();
      }
      return;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readable_ = false;
      return;
    }
    fail(StreamFailure::kReset, std::strerror(errno));
    return;
  }
  context_.loop.next_turn(*this);  // readable_ is set
}

bool Stream::take(size_t size) {
  const std::span<uint8_t> bytes(context_.in.data(), size);
  if (lingering_) {
    // Who floods would otherwise be read for nothing until the time is over.
    discarded_ += size;
    if (discarded_ <= kLingerBytes) return true;
    fail(StreamFailure::kReset, {});
    return false;
  }
  if (phase_ == Phase::kHandshake) {
    handshake(bytes);
    return phase_ != Phase::kClosed;
  }
  if (records_) return open_records(bytes);
  bytes_in_ += size;
  user_->on_data(bytes);
  return phase_ != Phase::kClosed;
}

bool Stream::open_records(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const TlsRecords::Opened opened = records_->open(bytes);
    switch (opened.kind) {
      case TlsRecords::Kind::kNeedMore:
        part_.append(Bytes(bytes));
        return true;
      case TlsRecords::Kind::kData:
        if (ended_) break;  // after close_notify nothing counts
        bytes_in_ += opened.plaintext.size();
        if (!opened.plaintext.empty()) user_->on_data(opened.plaintext);
        if (phase_ == Phase::kClosed) return false;
        break;
      case TlsRecords::Kind::kNothing:
        if (records_->update_due()) flush_soon();
        break;
      case TlsRecords::Kind::kEnd:
        if (!ended_) {
          ended_ = true;
          user_->on_end();
          if (phase_ == Phase::kClosed) return false;
        }
        break;
      case TlsRecords::Kind::kAlert:
        fail(StreamFailure::kReset, "the peer sent a TLS alert");
        return false;
      case TlsRecords::Kind::kBroken:
        send_alert(opened.alert);
        fail(StreamFailure::kProtocol, {});
        return false;
    }
    bytes = bytes.subspan(opened.consumed);
  }
  return true;
}

void Stream::finish() {
  if (finished_ || finish_) return;
  finish_ = true;
  flush_soon();
}

void Stream::on_turn() {
  if (phase_ == Phase::kClosed) return;
  if (end_due_) {
    end_due_ = false;
    user_->on_end();
    if (phase_ == Phase::kClosed) return;
  }
  if (unsent() != 0 || finish_ || (records_ && records_->update_due())) {
    flush();
    if (phase_ == Phase::kClosed) return;
  }
  if (readable_ && !paused_) read_some(hung_up_);
}

void Stream::on_timer() {
  switch (phase_) {
    case Phase::kConnecting:
      context_.counters.add(http::Counter::kConnectTime);
      fail(StreamFailure::kTimeout, "connecting took too long");
      break;
    case Phase::kHandshake:
      context_.counters.add(http::Counter::kHandshakeTime);
      fail(StreamFailure::kTimeout, "the TLS handshake took too long");
      break;
    case Phase::kOpen:
      if (!lingering_) context_.counters.add(http::Counter::kWriteStall);
      fail(StreamFailure::kTimeout, "the peer takes no bytes");
      break;
    case Phase::kClosed:
      break;
  }
}

bool Stream::stale() {
  if (phase_ != Phase::kOpen || ended_ || hung_up_) return true;
  if (reading_) return false;  // what was there has just been read
  if (readable_) return true;
  if (context_.loop.heard(*this)) return false;
  char byte = 0;
  const ssize_t n = ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

SocketAddress Stream::local_address() const {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&raw), &size) != 0) return {};
  return from_sockaddr(raw).value_or(SocketAddress{});
}

void Stream::linger(StreamPtr stream) {
  if (!stream || stream->phase_ != Phase::kOpen) return;
  // Both ends have been told already: there is nothing to wait for.
  if (stream->finished_ && stream->ended_ && stream->unsent() == 0) return;
  Stream* raw = stream.release();
  raw->user_ = &Nobody::get();
  raw->lingering_ = true;
  raw->context_.lingering.insert(raw);
  raw->paused_ = false;
  raw->end_due_ = false;
  raw->context_.loop.arm(raw->timer_, kLinger);
  raw->finish();
  raw->flush_soon();
}

}  // namespace sallyport::proxy
