// The client's end of an HTTP/2 connection (RFC 9113, RFC 8441).
#include <array>
#include <charconv>
#include <utility>

#include "http/h2_session.h"
#include "http/syntax.h"

namespace sallyport::http {
namespace h2 {
namespace {

class Client;

class ClientStreamState final : public StreamState, public ClientStream {
 public:
  using StreamState::StreamState;

  void send_data(Bytes bytes, bool end) override { session.send_data(*this, bytes, end); }
  void send_trailers(const HeaderList& trailers) override {
    session.send_trailers(*this, trailers);
  }
  void reset(uint32_t code) override { session.reset(*this, code); }
  [[nodiscard]] bool writable() const override { return session.writable(*this); }
  void pause() override { session.pause(*this); }
  void resume() override { session.resume(*this); }

  void clear() override {
    StreamState::clear();
    head.clear();
    response = nullptr;
    head_request = false;
  }

  ResponseHead head;
  ResponseEvents* response = nullptr;
  bool head_request = false;
};

ClientStreamState& own(StreamState& stream) {
  return static_cast<ClientStreamState&>(stream);
}

class Client final : public ClientCodec, private Session {
 public:
  Client(CodecContext context, ClientHost& host, const ClientOptions& options);

  [[nodiscard]] bool can_start() const override;
  ClientStream* start(const RequestHead& head, bool end, ResponseEvents& events) override;

  [[nodiscard]] size_t receive(Bytes in, Monotonic now) override { return receive_bytes(in, now); }
  void receive_end(Monotonic) override { lose({.reason = ResetReason::kPeerClosed}); }
  void collect(Monotonic now) override;
  void drained() override { drained_output(); }
  void connection_lost(Reset reset) override { lose(reset); }
  void drain(Monotonic now) override;
  void on_time(Monotonic now) override;
  [[nodiscard]] Monotonic deadline() const override;
  [[nodiscard]] bool finished() const override { return is_finished(); }
  [[nodiscard]] bool wants_input() const override { return !is_finished(); }
  [[nodiscard]] size_t active() const override { return live(); }
  [[nodiscard]] Version version() const override { return Version::kHttp2; }

 private:
  StreamState* make_stream() override { return new ClientStreamState(*this, context_.pool); }
  bool on_field(StreamState& stream, std::string_view name, std::string_view value) override;
  void on_head(StreamState& stream, bool end) override;
  void on_block_begins(StreamState& stream) override;
  void on_too_large(StreamState& stream) override {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  void on_stream_gone() override;
  void on_settings() override {
    settings_received_ = true;
    host_.on_capacity();
  }
  void on_goaway() override { host_.on_capacity(); }
  void on_ping_ack() override { ping_sent_ = kNever; }

  ClientHost& host_;
  ClientOptions options_;
  bool has_length_ = false, has_status_ = false, settings_received_ = false;
  Monotonic next_ping_ = kNever, ping_sent_ = kNever;
};

Client::Client(CodecContext context, ClientHost& host, const ClientOptions& options)
    : Session(context, host, false), host_(host), options_(options) {
  const Limits& limits = context.limits;
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  create(settings.data(), settings.size(), false);
}

bool Client::can_start() const {
  if (draining_ || cut_ || fatal_ || nghttp2_session_check_request_allowed(session_) == 0)
    return false;
  const uint32_t offered =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  // Before the peer's SETTINGS nghttp2 answers with no limit at all.
  return live() < std::min(offered, offered > context_.limits.streams_most
                                        ? context_.limits.streams_at_start
                                        : context_.limits.streams_most);
}

ClientStream* Client::start(const RequestHead& head, bool end, ResponseEvents& events) {
  if (!can_start()) return nullptr;
  const bool tunnel = head.body == Body::kTunnel;
  const bool unknown = !settings_received_ && options_.early_extended_connect;
  if (tunnel && !unknown &&
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1)
    return nullptr;
  nv_clear();
  nv_add(":method", tunnel ? std::string_view("CONNECT") : std::string_view(head.method));
  if (tunnel) nv_add(":protocol", head.upgrade);
  nv_add(":scheme", head.scheme);
  nv_add(":authority", head.authority);
  nv_add(":path", head.target);
  nv_add_fields(head.headers);
  if (!tunnel && head.body == Body::kLength) {
    std::array<char, 24> digits{};
    const auto last =
        std::to_chars(digits.data(), digits.data() + digits.size(), head.content_length);
    number_.assign(digits.data(), last.ptr);
    nv_add("content-length", number_);
  }
  ClientStreamState& stream = own(begin_stream());
  stream.events = stream.response = &events;
  stream.head_request = head.method == "HEAD";
  stream.tunnel = tunnel;
  const bool bodiless = !tunnel && (end || head.body == Body::kNone);
  stream.sent_end = bodiless;
  nghttp2_data_provider provider = provider_of(stream);
  const int32_t id = nghttp2_submit_request(session_, nullptr, nv_.data(), nv_.size(),
                                            bodiless ? nullptr : &provider, &stream);
  if (id < 0) {
    abandon(stream);
    return nullptr;
  }
  stream.id = id;
  want_output();
  return &stream;
}

void Client::on_block_begins(StreamState& stream) {
  own(stream).head.clear();
  has_length_ = has_status_ = false;
}

bool Client::on_field(StreamState& stream, std::string_view name, std::string_view value) {
  ResponseHead& head = own(stream).head;
  if (name == ":status") {
    if (value.size() != 3) return false;
    const auto [end, error] = std::from_chars(value.data(), value.data() + 3, head.status);
    has_status_ = true;
    return error == std::errc() && end == value.data() + 3 && head.status >= 100 &&
           head.status <= 599 && head.status != 101;
  }
  if (!is_lower_token(name) || !is_value(value) || is_hop_by_hop(name)) return false;
  if (name == "content-length") {
    if (has_length_) return false;
    has_length_ = true;
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), head.content_length);
    return error == std::errc() && end == value.data() + value.size() && value.size() <= 18;
  }
  head.headers.add(name, value);
  return true;
}

void Client::on_head(StreamState& stream, bool end) {
  ClientStreamState& s = own(stream);
  ResponseHead& head = s.head;
  head.version = Version::kHttp2;
  if (!has_status_) {
    malformed(s);
    return;
  }
  if (head.status < 200) {
    if (end || ++s.informational > context_.limits.informational) {
      if (!end) context_.counters.add(Counter::kInformational);
      malformed(s);
      return;
    }
    if (s.alive && s.response != nullptr) s.response->on_informational(head);
    return;
  }
  s.got_head = true;
  if (s.tunnel && head.status < 300) {
    if (end) {
      malformed(s);
      return;
    }
    head.status = 101;
    head.body = Body::kTunnel;
  } else {
    if (s.tunnel && !s.sent_end) {
      // Refused: our side of the stream has nothing more to say.
      s.sent_end = true;
      if (std::exchange(s.deferred, false)) nghttp2_session_resume_data(session_, s.id);
    }
    head.has_length = has_length_;
    if (!end) head.body = has_length_ && !s.head_request ? Body::kLength : Body::kStream;
  }
  ResponseEvents* events = s.alive ? s.response : nullptr;
  s.received_end = end;
  maybe_dead(s);
  if (events != nullptr) events->on_response(head, end);
}

void Client::on_stream_gone() {
  if (draining_ && live() == 0) nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  host_.on_capacity();
  want_output();
}

void Client::collect(Monotonic now) {
  if (options_.keepalive_ping && live() != 0 && next_ping_ == kNever)
    next_ping_ = now + context_.limits.ping_interval;
  collect_output(now);
}

void Client::drain(Monotonic) {
  if (draining_) return;
  draining_ = true;
  if (live() == 0) nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  want_output();
}

Monotonic Client::deadline() const {
  if (fatal_ || cut_) return kNever;
  Monotonic at = next_ping_;
  if (ping_sent_ != kNever) at = std::min(at, ping_sent_ + context_.limits.ping_timeout);
  if (guard_.block_started() != Monotonic::max())
    at = std::min(at, guard_.block_started() + context_.limits.head_time);
  if (!settings_acknowledged_ && settings_sent_ != Monotonic::max())
    at = std::min(at, settings_sent_ + context_.limits.settings_ack);
  return at;
}

void Client::on_time(Monotonic now) {
  if (fatal_ || cut_) return;
  if (ping_sent_ != kNever && now >= ping_sent_ + context_.limits.ping_timeout) {
    context_.counters.add(Counter::kPingTimeout);
    lose({.reason = ResetReason::kTimeout});
    return;
  }
  if (now >= next_ping_) {
    // Only while a stream waits: an idle connection that broke is found when it is used.
    next_ping_ = live() == 0 ? kNever : now + context_.limits.ping_interval;
    if (live() != 0 && ping_sent_ == kNever) {
      ping_sent_ = now;
      nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
      want_output();
    }
  }
  if (guard_.block_started() != Monotonic::max() &&
      now >= guard_.block_started() + context_.limits.head_time)
    cut(Counter::kHeadTime);
  else if (!settings_acknowledged_ && settings_sent_ != Monotonic::max() &&
           now >= settings_sent_ + context_.limits.settings_ack)
    cut(Counter::kSettingsAck);
}

}  // namespace
}  // namespace h2

std::unique_ptr<ClientCodec> make_h2_client(CodecContext context, ClientHost& host,
                                            const ClientOptions& options) {
  return std::make_unique<h2::Client>(context, host, options);
}

}  // namespace sallyport::http
