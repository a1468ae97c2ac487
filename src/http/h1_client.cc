#include "http/h1_client.h"

#include <utility>

namespace sallyport::http {

std::unique_ptr<ClientCodec> make_h1_client(CodecContext context, ClientHost& host,
                                            const ClientOptions&) {
  return std::make_unique<h1::Client>(context, host);
}

namespace h1 {

Client::Client(CodecContext context, ClientHost& host)
    : context_(context), host_(host), body_(context.limits) {}

bool Client::can_start() const {
  return in_ == In::kIdle && !finished_ && !draining_ && !close_after_;
}

ClientStream* Client::start(const RequestHead& head, bool end, ResponseEvents& events) {
  if (!can_start()) return nullptr;
  events_ = &events;
  expect_ = {.head_request = head.method == "HEAD", .upgrade = head.body == Body::kTunnel};
  const BodyFraming framing = write_request(head, end, context_.out);
  writer_.start(framing, head.content_length);
  request_ended_ = framing == BodyFraming::kNone;
  in_ = In::kHead;
  informational_ = 0;
  got_bytes_ = paused_ = blocked_ = false;
  finder_.reset();
  host_.output_pending();
  return this;
}

bool Client::writable() const {
  return context_.out.size() < context_.limits.write_high;
}

size_t Client::receive(Bytes bytes, Monotonic) {
  Cursor in(bytes);
  in_receive_ = true;
  while (!finished_ && !paused_ && step(in)) {
  }
  in_receive_ = false;
  if (finished_) in.clear();
  return bytes.size() - in.size();
}

bool Client::step(Cursor& in) {
  if (in.empty() && in_ != In::kBody) return false;
  got_bytes_ = true;
  switch (in_) {
    case In::kIdle:
      // Bytes that nobody asked for: the server says good-bye, or does not know where it is.
      finish();
      return false;
    case In::kHead:
      return read_head(in);
    case In::kBody:
      return read_body(in);
    case In::kTunnel:
      if (events_ != nullptr) events_->on_data(in.bytes(), false);
      if (!finished_) in.clear();
      return true;
    case In::kDone:
      // More than the response: this connection cannot be trusted with another request.
      close_after_ = true;
      return false;
  }
  return false;
}

bool Client::read_head(Cursor& in) {
  std::optional<Violation> violation;
  const size_t length = finder_.find(in.bytes(), context_.limits.head_bytes, violation);
  if (!violation && length == 0) return false;
  if (!violation)
    violation =
        parse_response(in.text().substr(0, length), context_.limits, expect_, head_, framing_);
  if (!violation && head_.status < 200 && head_.status != 101 &&
      ++informational_ > context_.limits.informational)
    violation = Violation{Counter::kInformational, 502};
  if (violation) {
    violate(*violation);
    return false;
  }
  in.consume(length);
  finder_.reset();
  if (head_.status < 200 && head_.status != 101) {
    events_->on_informational(head_);
    return true;
  }
  if (!framing_.keep_alive) close_after_ = true;
  if (head_.status == 101) {
    in_ = In::kTunnel;
    close_after_ = true;
    events_->on_response(head_, false);
    return true;
  }
  if (expect_.upgrade) {
    // Refused: the request has ended, and the connection is not used for another.
    request_ended_ = true;
    close_after_ = true;
    writer_.start(BodyFraming::kNone, 0);
  }
  const bool end = head_.body == Body::kNone;
  in_ = In::kBody;
  if (framing_.chunked)
    body_.start_chunked();
  else if (framing_.until_close)
    body_.start_until_close();
  else
    body_.start_length(end ? 0 : head_.content_length);
  ResponseEvents* events = events_;
  if (end) response_ended();
  events->on_response(head_, end);
  if (end && in_ == In::kDone && request_ended_) idle();
  return true;
}

bool Client::read_body(Cursor& in) {
  const BodyReader::Piece piece = body_.next(in.bytes(), trailers_);
  using Kind = BodyReader::Piece::Kind;
  ResponseEvents* events = events_;
  switch (piece.kind) {
    case Kind::kNeedMore:
      return false;
    case Kind::kViolation:
      violate({piece.violation.what, 502});
      return false;
    case Kind::kSkip:
      break;
    case Kind::kData:
      if (piece.last) response_ended();
      events->on_data(piece.data, piece.last);
      break;
    case Kind::kEnd:
      response_ended();
      events->on_data({}, true);
      break;
    case Kind::kTrailers:
      response_ended();
      events->on_trailers(trailers_);
      break;
  }
  if (finished_) return false;
  if (piece.consume != 0) in.consume(piece.consume);
  if (in_ == In::kDone) {
    if (!in.empty()) close_after_ = true;
    if (request_ended_) idle();
  }
  return true;
}

// Before the event that says so: its receiver may send the end of the request in it.
void Client::response_ended() {
  in_ = In::kDone;
  if (request_ended_) events_ = nullptr;
}

void Client::request_ended() {
  request_ended_ = true;
  if (in_ != In::kDone) return;
  events_ = nullptr;
  if (!in_receive_) idle();
}

void Client::idle() {
  events_ = nullptr;
  in_ = In::kIdle;
  paused_ = false;
  if (close_after_ || draining_)
    finish();
  else
    host_.on_capacity();
}

void Client::send_data(Bytes bytes, bool end) {
  if (request_ended_ || finished_) return;
  if (!writer_.write(bytes, end, context_.out)) {
    reset(0);
    return;
  }
  host_.output_pending();
  if (!writable()) blocked_ = true;
  if (end) request_ended();
}

void Client::send_trailers(const HeaderList& trailers) {
  if (request_ended_ || finished_) return;
  if (!writer_.write_trailers(trailers, context_.out)) {
    reset(0);
    return;
  }
  host_.output_pending();
  request_ended();
}

void Client::reset(uint32_t) {
  events_ = nullptr;
  finish();
}

void Client::resume() {
  if (!std::exchange(paused_, false)) return;
  if (!in_receive_) host_.input_pending();
}

void Client::receive_end(Monotonic) {
  if (finished_) return;
  if (in_ == In::kTunnel || (in_ == In::kBody && body_.until_close())) {
    close_after_ = true;
    ResponseEvents* events = events_;
    response_ended();
    if (events != nullptr) events->on_data({}, true);
    if (!finished_ && in_ == In::kDone && request_ended_) idle();
    return;
  }
  if (in_ == In::kBody) context_.counters.add(Counter::kBodyShort);
  give_up({.reason = ResetReason::kPeerClosed, .before_response = !got_bytes_});
  finish();
}

void Client::drained() {
  if (!blocked_ || context_.out.size() > context_.limits.write_low) return;
  blocked_ = false;
  if (events_ != nullptr && !request_ended_) events_->on_writable();
}

void Client::give_up(Reset reset) {
  if (ResponseEvents* events = std::exchange(events_, nullptr)) events->on_reset(reset);
}

void Client::finish() {
  if (finished_) return;
  finished_ = true;
  in_ = In::kIdle;
  events_ = nullptr;
  host_.output_pending();
  host_.on_capacity();
}

void Client::connection_lost(Reset reset) {
  reset.before_response = !got_bytes_;
  give_up(reset);
  finish();
}

void Client::drain(Monotonic) {
  draining_ = true;
  if (in_ == In::kIdle) finish();
}

void Client::violate(Violation violation) {
  context_.counters.add(violation.what);
  give_up({.reason = ResetReason::kMalformed});
  host_.on_violation(violation.what, 0);
  finish();
}

}  // namespace h1
}  // namespace sallyport::http
