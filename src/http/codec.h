// The seam between codecs and whoever forwards messages. Codecs have no sockets and no clock: bytes
// and times are handed in, events come out, bytes to send are appended to a buffer.
//
// Turn of an event loop: the owner reads bytes and calls receive(); events come out of it
// synchronously and may call any method of any stream of any codec. When the turn ends the owner
// calls collect() on every codec that asked for it (output_pending) and writes `out`; when bytes
// have left `out` it calls drained().
//
// Lives. The codec owns its streams. A stream is dead once its end was both sent and received, or
// reset() was called on it, or on_reset() was delivered; no event comes after that and no method
// may be called. Its head stays readable until the next receive() or collect() of its codec begins.
// A codec is never destroyed inside one of its calls. Its destruction delivers no events.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "http/buffer.h"
#include "http/limits.h"
#include "http/message.h"

namespace sallyport::http {

inline constexpr Monotonic kNever = Monotonic::max();

// Bytes that are consumed at the front.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}
  [[nodiscard]] size_t size() const { return rest_.size(); }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] const uint8_t* data() const { return rest_.data(); }
  [[nodiscard]] Bytes bytes() const { return rest_; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
  }
  void consume(size_t count) { rest_ = rest_.subspan(count); }
  void clear() { rest_ = {}; }

 private:
  Bytes rest_;
};

// What a stream tells its user, for requests (on a server) and responses (on a client) alike.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  // Bytes of the body or tunnel; `end`: they are the last. An end without bytes is an empty span.
  virtual void on_data(Bytes bytes, bool end) = 0;
  virtual void on_trailers(HeaderList& trailers) = 0;  // ends the message
  virtual void on_reset(Reset reset) = 0;
  // After writable() was false: it is true again.
  virtual void on_writable() = 0;
};

class ResponseEvents : public StreamEvents {
 public:
  virtual void on_informational(ResponseHead& head) = 0;       // 1xx but 101
  virtual void on_response(ResponseHead& head, bool end) = 0;  // exactly one, before any data
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual void send_data(Bytes bytes, bool end) = 0;
  virtual void send_trailers(const HeaderList& trailers) = 0;  // ends the message
  // Gives up both directions: RST_STREAM with `h2_code`, or the end of an HTTP/1 connection.
  virtual void reset(uint32_t h2_code = 8 /* CANCEL */) = 0;
  // False above Limits::write_high of unsent bytes: pause the other side until on_writable().
  [[nodiscard]] virtual bool writable() const = 0;
  // While paused the peer is stopped (HTTP/1: nothing more is read; HTTP/2: no window is given
  // back, so at most one window of bytes still arrives).
  virtual void pause() = 0;
  virtual void resume() = 0;
};

class ServerStream : public Stream {
 public:
  virtual void send_informational(const ResponseHead& head) = 0;  // 1xx but 101
  // Of `head.body` kNone means end; other kinds are ended by send_data() or send_trailers(). For
  // HEAD, 204 and 304 the codec drops a body. 101 turns an upgrade into a tunnel; any other status
  // ends its request without an event.
  virtual void send_response(const ResponseHead& head) = 0;
  [[nodiscard]] virtual RequestHead& request() = 0;
};

class ClientStream : public Stream {};

class CodecHost {
 public:
  virtual ~CodecHost() = default;
  // Call collect() and write `out` when this loop turn ends. May be called many times in a turn.
  virtual void output_pending() = 0;
  // Call receive() again with what it left over (which may be nothing), and read on; never from in
  // here.
  virtual void input_pending() = 0;
  // The same in the next loop turn: the peer has begun as much as one turn should take from it.
  virtual void input_next_turn() = 0;
  // The peer broke a rule or a limit. An HTTP/1 server codec has already written its answer
  // `status` (0: none). For log and metrics; finished() tells what to do.
  virtual void on_violation(Counter what, uint16_t status) = 0;
};

class ServerHost : public CodecHost {
 public:
  // A request. The events of its body go to the returned object; null: it was answered or reset.
  virtual StreamEvents* on_request(ServerStream& stream, RequestHead& head, bool end) = 0;
};

class ClientHost : public CodecHost {
 public:
  // A stream died or the peer changed its mind: see can_start(), active(), finished().
  virtual void on_capacity() = 0;
};

class Codec {
 public:
  virtual ~Codec() = default;
  // Consumes what it can of `in` and says how many bytes; the owner keeps the rest and gives it
  // again, at the front, with more bytes or after input_pending(). `in` is read in place: it must
  // not change during the call.
  [[nodiscard]] virtual size_t receive(Bytes in, Monotonic now) = 0;
  // The peer sends no more. Ends bodies that last until then and tunnels, resets the rest.
  virtual void receive_end(Monotonic now) = 0;
  // Puts what waits into `out`, up to Limits::write_high.
  virtual void collect(Monotonic now) = 0;
  virtual void drained() = 0;  // bytes left `out`: on_writable() where it is time
  // The connection is gone (error, reset): resets every stream.
  virtual void connection_lost(Reset reset) = 0;
  // No new streams; those that run go on. HTTP/1: `connection: close`; HTTP/2: GOAWAY.
  virtual void drain(Monotonic now) = 0;
  virtual void on_time(Monotonic now) = 0;
  [[nodiscard]] virtual Monotonic deadline() const = 0;  // call on_time() then; kNever
  // Write what is in `out`, then close the connection.
  [[nodiscard]] virtual bool finished() const = 0;
  // A tunnel's own direction has ended: write what is in `out`, then end the connection's sending
  // side (close_notify, FIN) and read on.
  [[nodiscard]] virtual bool output_ended() const { return false; }
  // False: leave bytes in the socket. While a request is being answered a server codec reads ahead:
  // the owner stops where Limits::pipelined_bytes are left over.
  [[nodiscard]] virtual bool wants_input() const = 0;
  [[nodiscard]] virtual size_t active() const = 0;  // live streams, and what waits
  [[nodiscard]] virtual Version version() const = 0;
};

class ClientCodec : public Codec {
 public:
  [[nodiscard]] virtual bool can_start() const = 0;
  // Sends a head (`end`: there is no body). Null where can_start() is false. `head` is only read,
  // and only during the call. `events` must live as long as the stream.
  virtual ClientStream* start(const RequestHead& head, bool end, ResponseEvents& events) = 0;
};

// Common to all codecs; references must outlive them.
struct CodecContext {
  const Limits& limits;
  Counters& counters;
  BufferPool& pool;
  ByteBuffer& out;
};

struct ServerOptions {
  std::string_view scheme = "http";  // of requests, where the head does not say ("https" over TLS)
  uint32_t max_streams = 0;          // HTTP/2; 0: Limits::streams_at_start
  bool extended_connect = false;     // offer RFC 8441
};
struct ClientOptions {
  bool keepalive_ping = false;  // HTTP/2 PING, between proxies
  // Start upgrades before the peer's SETTINGS have said whether it takes them: of use to who only
  // passes on a request that somebody else made.
  bool early_extended_connect = false;
};

std::unique_ptr<Codec> make_h1_server(CodecContext context, ServerHost& host,
                                      const ServerOptions& options = {});
std::unique_ptr<Codec> make_h2_server(CodecContext context, ServerHost& host,
                                      const ServerOptions& options = {});
std::unique_ptr<ClientCodec> make_h1_client(CodecContext context, ClientHost& host,
                                            const ClientOptions& options = {});
std::unique_ptr<ClientCodec> make_h2_client(CodecContext context, ClientHost& host,
                                            const ClientOptions& options = {});

}  // namespace sallyport::http
