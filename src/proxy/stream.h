// One TCP connection, plain or under TLS 1.3: bytes in by events, bytes out from one buffer that is
// sealed and sent once per event. An idle stream holds no buffer.
//
// Reading: one recv() per event into the worker's scratch buffer; TLS records are opened in place
// there and handed to the user at once. Writing: the user appends to out() and calls flush_soon();
// when the event is done, everything goes out by one send(). Only what the kernel does not take is
// kept. There is no call to epoll after the first.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "http/buffer.h"
#include "http/limits.h"
#include "identity/tls_context.h"
#include "proxy/address.h"
#include "proxy/event_loop.h"
#include "proxy/tls_record.h"

namespace sallyport::proxy {

using http::ByteBuffer;
using http::Bytes;

class Stream;

// What the streams of one worker share.
struct StreamContext {
  static constexpr size_t kScratch = 64 << 10;  // one read, or one sealed write
  StreamContext(EventLoop& event_loop, http::BufferPool& buffers, const http::Limits& all_limits,
                http::Counters& all_counters);
  ~StreamContext();
  EventLoop& loop;
  http::BufferPool& pool;
  const http::Limits& limits;
  http::Counters& counters;
  std::vector<uint8_t> in, out;
  size_t open = 0;  // streams with a descriptor
  std::unordered_set<Stream*> lingering;
};

enum class StreamFailure : uint8_t {
  kReset,        // by the peer, or its host said so
  kRefused,      // connect: nobody listens there
  kUnreachable,  // connect: no way there, or no answer from the kernel's side
  kTimeout,      // connect, handshake, or a peer that takes no bytes
  kTls,          // the handshake failed: Stream::handshake_result() and why
  kTruncated,    // TLS ended without close_notify
  kProtocol,     // a record that is not authentic or not allowed
};
std::string_view to_string(StreamFailure failure);

// A stream's one user. Any of these may destroy the stream (by resetting its pointer) or replace
// its user.
class StreamUser {
 public:
  virtual void on_open() {}  // connected and, under TLS, the handshake done
  virtual void on_data(Bytes bytes) = 0;
  // The peer sends no more; writing may go on.
  virtual void on_end() = 0;
  // Bytes have left out().
  virtual void on_drained() {}
  // The stream is dead and its descriptor closed; nothing follows.
  virtual void on_failure(StreamFailure failure, std::string_view why) = 0;

 protected:
  ~StreamUser() = default;
};

// What the handshake found.
struct TlsFacts {
  uint16_t version = 0, cipher = 0, group = 0;  // IANA numbers
  std::string alpn, sni;
  std::shared_ptr<const identity::Peer> peer;
  std::string peer_spiffe;  // its SPIFFE ID as text: told with every request
};

struct StreamDeleter {
  void operator()(Stream* stream) const;  // closes at once, frees at the end of the turn
};
using StreamPtr = std::unique_ptr<Stream, StreamDeleter>;

class Stream final : public Retired, private IoHandler, private TurnWork {
 public:
  // An accepted connection. Null where the loop cannot take it.
  static StreamPtr adopt(StreamContext& context, Fd socket, StreamUser& user);
  // A socket whose connect() was begun. With `ssl`, TLS follows. on_open() or on_failure() comes.
  static StreamPtr connecting(StreamContext& context, Fd socket, StreamUser& user,
                              bssl::UniquePtr<SSL> ssl);
  ~Stream() override;

  // The server's side of TLS starts now; `first` are bytes that were read before.
  void start_tls(bssl::UniquePtr<SSL> ssl, Bytes first);

  void set_user(StreamUser& user);

  [[nodiscard]] ByteBuffer& out() { return out_; }
  void flush_soon() { context_.loop.after_event(*this); }
  void write(Bytes bytes) {
    out_.append(bytes);
    flush_soon();
  }
  // Bytes that were given and not sent yet; for back-pressure.
  [[nodiscard]] size_t unsent() const { return out_.size() + sealed_.size(); }
  // FIN (after close_notify, under TLS) behind what is in out(). Nothing may be written afterwards.
  void finish();
  [[nodiscard]] bool finishing() const { return finish_; }
  void abort();  // RST, at once, without a callback

  void pause();
  void resume();
  [[nodiscard]] bool paused() const { return paused_; }

  [[nodiscard]] bool open() const { return phase_ == Phase::kOpen; }
  [[nodiscard]] bool ended() const { return ended_; }  // the peer sends no more
  // Whether bytes, an end or an error wait unread: an idle connection of a pool must not be used
  // then. The loop has just asked the kernel; where it may not know, this asks again.
  [[nodiscard]] bool stale();

  // Null for plain TCP and before the handshake's end.
  [[nodiscard]] const TlsFacts* tls() const { return facts_.get(); }
  [[nodiscard]] const identity::HandshakeFailure* handshake_failure() const {
    return handshake_failure_.get();
  }
  [[nodiscard]] uint64_t bytes_in() const { return bytes_in_; }    // payload
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }  // payload handed to the kernel
  [[nodiscard]] Monotonic read_at() const { return read_at_; }     // fresh, of the last read
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] SocketAddress local_address() const;

  // Lets a stream that nobody needs any more end well: sends what is in out() and FIN, drops what
  // still comes, and goes within a few seconds.
  static void linger(StreamPtr stream);

 private:
  friend struct StreamDeleter;
  enum class Phase : uint8_t { kConnecting, kHandshake, kOpen, kClosed };
  class Nobody;

  Stream(StreamContext& context, Fd socket, StreamUser& user, Phase phase);
  void on_io(uint32_t events) override;
  void on_turn() override;
  void connected();
  void read_some(bool until_empty);
  void read_on(bool until_empty);
  bool take(size_t size);  // what the scratch buffer holds; false: stop
  bool open_records(std::span<uint8_t> bytes);
  void handshake(Bytes input);
  void handshake_failed(int ssl_error);
  bool handshake_done(SSL* ssl);
  void flush();
  bool send_now(const uint8_t* data, size_t size, ByteBuffer* rest);
  void send_fin();
  void send_alert(uint8_t description);
  void fail(StreamFailure failure, std::string_view why);
  void close();
  void on_timer();
  void watch_stall();

  StreamContext& context_;
  StreamUser* user_;
  Fd socket_;
  Phase phase_;
  bool paused_ = false, readable_ = false, hung_up_ = false;
  bool ended_ = false, end_due_ = false;
  bool finish_ = false, finished_ = false;
  bool blocked_ = false;  // the kernel takes no more: wait for EPOLLOUT
  bool lingering_ = false;
  bool reading_ = false;  // inside read_some()
  uint64_t bytes_in_ = 0, bytes_out_ = 0, stall_mark_ = 0, discarded_ = 0;
  Monotonic read_at_;
  ByteBuffer out_;     // payload to send
  ByteBuffer sealed_;  // records that the kernel did not take yet
  ByteBuffer part_;    // the start of a record whose rest has not come
  bssl::UniquePtr<SSL> ssl_;
  std::unique_ptr<TlsRecords> records_;
  std::unique_ptr<TlsFacts> facts_;
  std::unique_ptr<identity::HandshakeFailure> handshake_failure_;
  Timer timer_;
};

// What an idle connection costs beside its user and two AEAD keys.
static_assert(sizeof(Stream) <= 384);
static_assert(sizeof(TlsRecords) <= 1536);

}  // namespace sallyport::proxy
