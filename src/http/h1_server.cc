#include "http/h1_server.h"

#include <charconv>
#include <utility>

namespace sallyport::http {

std::unique_ptr<Codec> make_h1_server(CodecContext context, ServerHost& host,
                                      const ServerOptions& options) {
  return std::make_unique<h1::Server>(context, host, options);
}

namespace h1 {
namespace {

// What is read and thrown away of a request that was answered before its body came, to keep the
// connection; a longer rest costs more than a new connection.
constexpr uint64_t kDiscardMost = 256 << 10;

}  // namespace

Server::Server(CodecContext context, ServerHost& host, const ServerOptions& options)
    : context_(context), host_(host), options_(options), body_(context.limits) {}

bool Server::wants_input() const {
  // Between the end of a request and the end of its answer only a little is read ahead; the owner
  // bounds it (Limits::pipelined_bytes). The end of the connection is still seen that way.
  return !finished_ && !(paused_ && (in_ == In::kBody || in_ == In::kTunnel));
}

bool Server::writable() const {
  return context_.out.size() < context_.limits.write_high;
}

size_t Server::receive(Bytes bytes, Monotonic now) {
  Cursor in(bytes);
  waiting_ = false;
  begun_this_turn_ = 0;
  in_receive_ = true;
  while (!finished_ && step(in, now)) {
  }
  in_receive_ = false;
  if (finished_) in.clear();
  return bytes.size() - in.size();
}

// One step; false: more bytes or another call are needed.
bool Server::step(Cursor& in, Monotonic now) {
  switch (in_) {
    case In::kHead:
      return read_head(in, now);
    case In::kBody:
      return !paused_ && read_body(in);
    case In::kDiscard:
      return discard(in);
    case In::kTunnel:
      return !paused_ && read_tunnel(in);
    case In::kUpgrade:
    case In::kDone:
      return false;
  }
  return false;
}

bool Server::read_head(Cursor& in, Monotonic now) {
  if (in.empty() || close_after_) return false;
  // Who does not read the answers gets no more of them, and who asks much at once waits for others.
  if (!writable()) {
    waiting_ = held_ = true;
    return false;
  }
  if (begun_this_turn_ >= context_.limits.streams_per_turn) {
    waiting_ = true;
    host_.input_next_turn();
    return false;
  }
  if (head_started_ == kNever) head_started_ = now;
  // One empty line before a request is forgiven (RFC 9112 section 2.2).
  if (in.data()[0] == '\r' && !skipped_line_) {
    if (in.size() < 2) return false;
    if (in.data()[1] != '\n') {
      violate({Counter::kMalformedLine, 400});
      return false;
    }
    skipped_line_ = true;
    in.consume(2);
    head_started_ = kNever;
    return true;
  }
  std::optional<Violation> violation;
  const size_t length = finder_.find(in.bytes(), context_.limits.head_bytes, violation);
  if (!violation && length == 0) return false;
  if (!violation)
    violation = parse_request(in.text().substr(0, length), context_.limits, options_.scheme, head_,
                              framing_);
  if (violation) {
    violate(*violation);
    return false;
  }
  in.consume(length);
  finder_.reset();
  head_started_ = kNever;
  skipped_line_ = false;
  in_request_ = stream_alive_ = true;
  ++begun_this_turn_;
  response_started_ = response_ended_ = false;
  paused_ = blocked_ = false;
  if (!framing_.keep_alive) close_after_ = true;

  const bool end = head_.body == Body::kNone;
  in_ = end ? In::kDone : head_.body == Body::kTunnel ? In::kUpgrade : In::kBody;
  if (framing_.chunked)
    body_.start_chunked();
  else
    body_.start_length(head_.content_length);
  StreamEvents* events = host_.on_request(*this, head_, end);
  if (stream_alive_) events_ = events;
  return true;
}

bool Server::read_body(Cursor& in) {
  const BodyReader::Piece piece = body_.next(in.bytes(), trailers_);
  using Kind = BodyReader::Piece::Kind;
  switch (piece.kind) {
    case Kind::kNeedMore:
      return false;
    case Kind::kViolation:
      violate(piece.violation);
      return false;
    case Kind::kSkip:
      break;
    case Kind::kData:
      if (piece.last) request_ended();
      if (events_ != nullptr) events_->on_data(piece.data, piece.last);
      break;
    case Kind::kEnd:
      request_ended();
      if (events_ != nullptr) events_->on_data({}, true);
      break;
    case Kind::kTrailers:
      request_ended();
      if (events_ != nullptr) events_->on_trailers(trailers_);
      break;
  }
  if (piece.consume != 0 && !finished_) in.consume(piece.consume);
  if (response_ended_ && in_ == In::kDone) next_request();
  return true;
}

// The rest of a body that nobody wants any more.
bool Server::discard(Cursor& in) {
  const BodyReader::Piece piece = body_.next(in.bytes(), trailers_);
  using Kind = BodyReader::Piece::Kind;
  if (piece.kind == Kind::kNeedMore) return false;
  discarded_ += piece.consume;
  if (piece.kind == Kind::kViolation || discarded_ > kDiscardMost) {
    finish();
    return false;
  }
  if (piece.consume != 0) in.consume(piece.consume);
  if (body_.done()) next_request();
  return true;
}

bool Server::read_tunnel(Cursor& in) {
  if (in.empty()) return false;
  if (events_ != nullptr) events_->on_data(in.bytes(), false);
  if (!finished_) in.clear();
  return true;
}

void Server::receive_end(Monotonic) {
  if (finished_) return;
  switch (in_) {
    case In::kHead:
      finish();
      return;
    case In::kTunnel:
      in_ = In::kDone;
      close_after_ = true;
      if (StreamEvents* events = events_) {
        if (response_ended_) next_request();
        events->on_data({}, true);
      }
      return;
    case In::kDone:
      // Whoever ends its side while it waits for an answer has gone away, as far as anybody can
      // tell: what is being computed for it should stop. Envoy and nginx read it the same way.
    case In::kUpgrade:
    case In::kBody:
      if (in_ == In::kBody) context_.counters.add(Counter::kBodyShort);
      give_up({.reason = ResetReason::kPeerClosed});
      finish();
      return;
    case In::kDiscard:
      finish();
      return;
  }
}

void Server::send_informational(const ResponseHead& head) {
  // A client of HTTP/1.0 would take it for the answer.
  if (response_started_ || head.status >= 200 || head.status == 101 ||
      head_.version == Version::kHttp10)
    return;
  write_response(head, {}, context_.out);
  if (head.status == 100) head_.expect_continue = false;
  host_.output_pending();
}

void Server::send_response(const ResponseHead& head) {
  if (response_started_ || finished_) return;
  response_started_ = true;
  const bool upgraded = head.status == 101 && in_ == In::kUpgrade;
  if (head.status == 101 && !upgraded) {
    reset(0);
    return;
  }
  // A client that waits for 100 may or may not send its body after another answer: nobody could say
  // where the next request starts. The same holds for bytes sent early in the hope of a tunnel.
  if (head_.expect_continue && in_ == In::kBody) close_after_ = true;
  if (in_ == In::kUpgrade && !upgraded) close_after_ = true;
  if (draining_) close_after_ = true;
  const BodyFraming framing = write_response(head,
                                             {.head_request = head_.method == "HEAD",
                                              .old_client = head_.version == Version::kHttp10,
                                              .close = close_after_},
                                             context_.out);
  host_.output_pending();
  if (framing == BodyFraming::kUntilClose) close_after_ = true;
  writer_.start(framing, head.content_length);
  if (upgraded) {
    in_ = In::kTunnel;
    close_after_ = true;
    host_.input_pending();  // what came early waits in the buffer
    return;
  }
  if (in_ == In::kUpgrade) in_ = In::kDone;
  if (head.body == Body::kNone) response_ended();
}

void Server::send_data(Bytes bytes, bool end) {
  if (!response_started_ || response_ended_ || finished_) return;
  if (!writer_.write(bytes, end, context_.out)) {
    reset(0);
    return;
  }
  host_.output_pending();
  if (!writable()) blocked_ = true;
  if (end) response_ended();
}

void Server::send_trailers(const HeaderList& trailers) {
  if (!response_started_ || response_ended_ || finished_) return;
  if (!writer_.write_trailers(trailers, context_.out)) {
    reset(0);
    return;
  }
  host_.output_pending();
  response_ended();
}

void Server::response_ended() {
  response_ended_ = true;
  if (in_ == In::kDone) {
    stream_alive_ = false;
    events_ = nullptr;
    next_request();
  }
}

void Server::request_ended() {
  in_ = In::kDone;
  if (response_ended_) stream_alive_ = false;
}

// Both directions have ended: the connection is ready for another request, or done.
void Server::next_request() {
  events_ = nullptr;
  stream_alive_ = in_request_ = paused_ = false;
  if (close_after_ || draining_) {
    finish();
    return;
  }
  in_ = In::kHead;
  if (!in_receive_) host_.input_pending();
}

void Server::reset(uint32_t) {
  events_ = nullptr;
  stream_alive_ = false;
  if (finished_) return;
  if (!response_ended_ || close_after_ || in_ != In::kBody || body_.left() > kDiscardMost) {
    finish();
    return;
  }
  // Answered in full: the rest of the request is read for the sake of the connection.
  in_ = In::kDiscard;
  discarded_ = 0;
  if (!in_receive_) host_.input_pending();
}

void Server::resume() {
  if (!std::exchange(paused_, false)) return;
  if (!in_receive_) host_.input_pending();
}

void Server::drained() {
  if (context_.out.size() > context_.limits.write_low) return;
  if (std::exchange(held_, false)) host_.input_pending();
  if (!blocked_) return;
  blocked_ = false;
  if (events_ != nullptr && !response_ended_) events_->on_writable();
}

void Server::give_up(Reset reset) {
  stream_alive_ = false;
  if (StreamEvents* events = std::exchange(events_, nullptr)) events->on_reset(reset);
}

void Server::finish() {
  if (finished_) return;
  finished_ = true;
  in_request_ = stream_alive_ = false;
  events_ = nullptr;
  host_.output_pending();  // the owner looks at finished() when the turn ends
}

void Server::connection_lost(Reset reset) {
  give_up(reset);
  finish();
}

void Server::drain(Monotonic) {
  draining_ = true;
  if (!in_request_ && head_started_ == kNever) finish();
}

void Server::violate(Violation violation) {
  context_.counters.add(violation.what);
  const bool answer = !response_started_ || !in_request_;
  give_up({.reason = ResetReason::kMalformed});
  if (answer) {
    ByteBuffer& out = context_.out;
    char digits[4];
    out.append("HTTP/1.1 ");
    out.append(digits, static_cast<size_t>(std::to_chars(digits, digits + 4, violation.status).ptr -
                                           digits));
    out.append(" ");
    out.append(reason_phrase(violation.status));
    out.append("\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  }
  host_.on_violation(violation.what, answer ? violation.status : uint16_t{0});
  finish();
}

Monotonic Server::deadline() const {
  if (finished_ || head_started_ == kNever) return kNever;
  return head_started_ + context_.limits.head_time;
}

void Server::on_time(Monotonic now) {
  if (now < deadline()) return;
  violate({Counter::kHeadTime, 408});
}

}  // namespace h1
}  // namespace sallyport::http
