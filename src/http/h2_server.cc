// The server's end of an HTTP/2 connection (RFC 9113, RFC 8441).
#include <array>
#include <charconv>

#include "http/h2_session.h"
#include "http/syntax.h"

namespace sallyport::http {
namespace h2 {
namespace {

class ServerStreamState;

class Server final : public Codec, private Session {
 public:
  Server(CodecContext context, ServerHost& host, const ServerOptions& options);

  [[nodiscard]] size_t receive(Bytes in, Monotonic now) override { return receive_bytes(in, now); }
  void receive_end(Monotonic) override { lose({.reason = ResetReason::kPeerClosed}); }
  void collect(Monotonic now) override { collect_output(now); }
  void drained() override { drained_output(); }
  void connection_lost(Reset reset) override { lose(reset); }
  void drain(Monotonic now) override;
  void on_time(Monotonic now) override;
  [[nodiscard]] Monotonic deadline() const override;
  [[nodiscard]] bool finished() const override {
    return is_finished() ||
           (goaway_sent_ && live() == 0 && nghttp2_session_want_write(session_) == 0);
  }
  [[nodiscard]] bool wants_input() const override { return !finished(); }
  [[nodiscard]] size_t active() const override { return live(); }
  [[nodiscard]] Version version() const override { return Version::kHttp2; }

  void respond(ServerStreamState& stream, const ResponseHead& head);
  void inform(ServerStreamState& stream, const ResponseHead& head);

 private:
  friend class ServerStreamState;
  StreamState* make_stream() override;
  bool on_field(StreamState& stream, std::string_view name, std::string_view value) override;
  void on_head(StreamState& stream, bool end) override;
  void on_block_begins(StreamState& stream) override;
  void on_too_large(StreamState& stream) override {
    if (!stream.got_head) {
      refuse(stream, 431);
      return;
    }
    // Trailers: its user hears of it when nghttp2 closes the stream.
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_ENHANCE_YOUR_CALM);
  }
  void on_ping_ack() override { ping_acknowledged_ = true; }
  void refuse(StreamState& stream, uint16_t status);
  void last_goaway();

  ServerHost& host_;
  ServerOptions options_;
  std::string scheme_;
  // Of the head being received; a header block is never interrupted by another.
  std::string host_field_, protocol_, cookie_;
  bool has_authority_ = false, has_host_ = false, has_length_ = false, has_path_ = false;
  bool goaway_sent_ = false, ping_acknowledged_ = false;
  Monotonic last_goaway_at_ = kNever;
};

class ServerStreamState final : public StreamState, public ServerStream {
 public:
  ServerStreamState(Server& server, BufferPool& pool)
      : StreamState(server, pool), server_(server) {}

  void send_informational(const ResponseHead& head_) override { server_.inform(*this, head_); }
  void send_response(const ResponseHead& head_) override { server_.respond(*this, head_); }
  RequestHead& request() override { return head; }
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
    bodiless = false;
  }

  RequestHead head;
  bool bodiless = false;  // the answer has no body, whatever its user sends

 private:
  Server& server_;
};

ServerStreamState& own(StreamState& stream) {
  return static_cast<ServerStreamState&>(stream);
}

Server::Server(CodecContext context, ServerHost& host, const ServerOptions& options)
    : Session(context, host, true), host_(host), options_(options), scheme_(options.scheme) {
  const Limits& limits = context.limits;
  const uint32_t streams = options.max_streams == 0
                               ? limits.streams_at_start
                               : std::min(options.max_streams, limits.streams_most);
  const std::array<nghttp2_settings_entry, 5> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  create(settings.data(), options.extended_connect ? 5 : 4, true);
}

StreamState* Server::make_stream() {
  return new ServerStreamState(*this, context_.pool);
}

void Server::on_block_begins(StreamState&) {
  host_field_.clear();
  protocol_.clear();
  cookie_.clear();
  has_authority_ = has_host_ = has_length_ = has_path_ = false;
}

bool Server::on_field(StreamState& stream, std::string_view name, std::string_view value) {
  RequestHead& head = own(stream).head;
  if (name.starts_with(':')) {
    if (name == ":method") {
      if (value.size() > context_.limits.method_bytes || !is_method(value)) return false;
      head.method = value;
    } else if (name == ":scheme") {
      if (!equal_fold(value, "http") && !equal_fold(value, "https")) return false;
      head.scheme = value.size() == 5 ? "https" : "http";
    } else if (name == ":authority") {
      if (!is_authority(value)) return false;
      head.authority = value;
      has_authority_ = true;
    } else if (name == ":path") {
      if (value.size() > context_.limits.target_bytes) {
        context_.counters.add(Counter::kTargetBytes);
        return false;
      }
      if (!is_target(value)) return false;
      head.target = value;
      has_path_ = true;
    } else if (name == ":protocol") {
      protocol_ = value;
    } else {
      return false;
    }
    return true;
  }
  if (!is_lower_token(name) || !is_value(value)) return false;
  if (name == "host") {
    if (has_host_ || !is_authority(value)) return false;
    has_host_ = true;
    host_field_ = value;
    return true;
  }
  if (name == "cookie") {  // crumbs are one field everywhere else (RFC 9113 section 8.2.3)
    if (!cookie_.empty()) cookie_ += "; ";
    cookie_ += value;
    return true;
  }
  if (name == "content-length") {
    if (has_length_) return false;
    has_length_ = true;
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), head.content_length);
    return error == std::errc() && end == value.data() + value.size() && value.size() <= 18;
  }
  if (name == "te") {
    if (value != "trailers") return false;
  } else if (is_hop_by_hop(name)) {
    return false;
  } else if (name == "expect") {
    if (!equal_fold(value, "100-continue")) return false;
    head.expect_continue = true;
  }
  head.headers.add(name, value);
  return true;
}

void Server::on_head(StreamState& stream, bool end) {
  ServerStreamState& s = own(stream);
  RequestHead& head = s.head;
  s.got_head = true;
  s.received_end = end;
  head.version = Version::kHttp2;
  if (!cookie_.empty()) head.headers.add("cookie", cookie_);
  if (has_host_ && has_authority_ && !equal_fold(host_field_, head.authority)) {
    context_.counters.add(Counter::kMalformedHost);
    malformed(s);
    return;
  }
  if (!has_authority_) head.authority = host_field_;
  if (head.authority.empty() || (head.target == "*" && head.method != "OPTIONS")) {
    malformed(s);
    return;
  }
  if (head.method == "CONNECT") {
    if (protocol_ != "websocket" || !has_path_ || end || has_length_) {
      context_.counters.add(Counter::kMethodRefused);
      refuse(s, 405);
      return;
    }
    head.method = "GET";
    head.upgrade = "websocket";
    head.body = Body::kTunnel;
    s.tunnel = true;
  } else if (!has_path_ || !protocol_.empty()) {
    malformed(s);
    return;
  } else if (!end) {
    head.body = has_length_ ? Body::kLength : Body::kStream;
  }
  if (head.body == Body::kNone) head.expect_continue = false;
  StreamEvents* events = host_.on_request(s, head, end);
  if (s.alive) s.events = events;
}

// Answers without asking anybody.
void Server::refuse(StreamState& stream, uint16_t status) {
  ResponseHead head;
  head.status = status;
  stream.got_head = true;
  stream.ignore_input = true;
  respond(own(stream), head);
  Session::reset(stream, NGHTTP2_NO_ERROR);
}

void Server::inform(ServerStreamState& stream, const ResponseHead& head) {
  if (!stream.alive || stream.head_sent || head.status >= 200 || head.status == 101) return;
  std::array<char, 4> status{};
  std::to_chars(status.data(), status.data() + 4, head.status);
  nv_clear();
  nv_add(":status", {status.data(), 3});
  nv_add_fields(head.headers);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, nv_.data(), nv_.size(),
                         nullptr);
  want_output();
}

void Server::respond(ServerStreamState& stream, const ResponseHead& head) {
  if (!stream.alive || stream.head_sent || fatal_) return;
  stream.head_sent = true;
  const bool upgraded = head.status == 101 && stream.tunnel;
  const uint16_t code = upgraded ? 200 : head.status;
  if (code < 200 || code > 999) {
    Session::reset(stream, NGHTTP2_INTERNAL_ERROR);
    return;
  }
  std::array<char, 4> status{};
  std::to_chars(status.data(), status.data() + 4, code);
  nv_clear();
  nv_add(":status", {status.data(), 3});
  nv_add_fields(head.headers);
  const bool bodiless = stream.head.method == "HEAD" || code == 204 || code == 304;
  if (code != 204 && !upgraded &&
      (head.has_length || head.body == Body::kLength || (head.body == Body::kNone && !bodiless))) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(
        digits.data(), digits.data() + digits.size(),
        head.body == Body::kNone && !head.has_length ? uint64_t{0} : head.content_length);
    number_.assign(digits.data(), end.ptr);
    nv_add("content-length", number_);
  }
  if (stream.tunnel && !upgraded) {
    // The request has ended, for its user; what the client still sends is dropped.
    stream.received_end = stream.ignore_input = true;
    stream.reset_after_end = true;
    stream.reset_code = NGHTTP2_NO_ERROR;
  }
  stream.bodiless = bodiless;
  const bool end = head.body == Body::kNone || bodiless;
  nghttp2_data_provider provider = provider_of(stream);
  nghttp2_submit_response(session_, stream.id, nv_.data(), nv_.size(), end ? nullptr : &provider);
  want_output();
  if (!end) return;
  stream.sent_end = true;
  maybe_dead(stream);
}

void Server::drain(Monotonic now) {
  if (draining_) return;
  draining_ = true;
  // In two steps: requests that are on their way are still served (RFC 9113 section 6.8).
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  last_goaway_at_ = now + seconds(1);
  want_output();
}

void Server::last_goaway() {
  last_goaway_at_ = kNever;
  goaway_sent_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  want_output();
}

Monotonic Server::deadline() const {
  if (fatal_ || cut_) return kNever;
  Monotonic at = last_goaway_at_;
  if (ping_acknowledged_ && at != kNever) at = Monotonic{};
  if (guard_.block_started() != Monotonic::max())
    at = std::min(at, guard_.block_started() + context_.limits.head_time);
  if (!settings_acknowledged_ && settings_sent_ != Monotonic::max())
    at = std::min(at, settings_sent_ + context_.limits.settings_ack);
  return at;
}

void Server::on_time(Monotonic now) {
  if (fatal_ || cut_) return;
  if (last_goaway_at_ != kNever && (ping_acknowledged_ || now >= last_goaway_at_)) last_goaway();
  std::optional<Counter> late;
  if (guard_.block_started() != Monotonic::max() &&
      now >= guard_.block_started() + context_.limits.head_time)
    late = Counter::kHeadTime;
  if (!settings_acknowledged_ && settings_sent_ != Monotonic::max() &&
      now >= settings_sent_ + context_.limits.settings_ack)
    late = Counter::kSettingsAck;
  if (late) cut(*late);
}

}  // namespace
}  // namespace h2

std::unique_ptr<Codec> make_h2_server(CodecContext context, ServerHost& host,
                                      const ServerOptions& options) {
  return std::make_unique<h2::Server>(context, host, options);
}

}  // namespace sallyport::http
