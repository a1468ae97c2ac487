#include "http/h2_session.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "http/syntax.h"

namespace sallyport::http::h2 {
namespace {

constexpr size_t kHeaderBytes = 9, kPrefaceBytes = 24;
constexpr uint8_t kFlagEndHeaders = 0x4;

ssize_t read_body(nghttp2_session* session, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                  nghttp2_data_source* source, void*) {
  auto& stream = *static_cast<StreamState*>(source->ptr);
  const size_t count = std::min(length, stream.pending.size());
  if (count == 0 && !stream.sent_end) {
    stream.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream.sent_end && count == stream.pending.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream.trailers_out.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> nv;
      for (auto& [name, value] : stream.trailers_out)
        nv.push_back({reinterpret_cast<uint8_t*>(name.data()),
                      reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
      if (nghttp2_submit_trailer(session, id, nv.data(), nv.size()) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
  }
  return static_cast<ssize_t>(count);
}

}  // namespace

void StreamState::clear() {
  id = 0;
  events = nullptr;
  pending.clear();
  trailers_out.clear();
  started = {};
  unconsumed = tiny_charge = head_bytes = head_fields = informational = 0;
  reset_code = 0;
  alive = closed = got_head = received_end = head_sent = sent_end = end_on_wire = false;
  reset_after_end = deferred = paused = blocked = malformed = too_large = peer_reset = false;
  ignore_input = tunnel = false;
}

Session::Session(CodecContext context, CodecHost& host, bool server)
    : context_(context), host_(host), guard_(context.limits), server_(server) {
  if (server) preface_left_ = kPrefaceBytes;
}

Session::~Session() {
  nghttp2_session_del(session_);
}

void Session::create(const nghttp2_settings_entry* entries, size_t count, bool server) {
  const Limits& limits = context_.limits;
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_settings(option, limits.settings_entries);
  nghttp2_option_set_max_outbound_ack(option, limits.control_queued);
  nghttp2_option_set_stream_reset_rate_limit(option, limits.reset_burst, limits.reset_per_second);
  nghttp2_option_set_max_continuations(option, limits.continuations);
  nghttp2_option_set_max_deflate_dynamic_table_size(option, limits.hpack_table_bytes);
  nghttp2_option_set_max_send_header_block_length(option, 4 * limits.head_bytes);
  nghttp2_session_callbacks* callbacks = make_callbacks();
  if (server)
    nghttp2_session_server_new2(&session_, callbacks, this, option);
  else
    nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.connection_window));
}

// How much of `bytes` may be handed on now: whole frame headers, payloads as they come, and not
// more new streams than one turn should start. Everything that it answers is handed on.
size_t Session::scan(Bytes bytes, std::optional<Counter>& crossed) {
  size_t at = 0;
  const auto take = [&](size_t& left) {
    const size_t count = std::min(left, bytes.size() - at);
    left -= count;
    at += count;
  };
  take(preface_left_);
  while (at < bytes.size()) {
    if (frame_left_ != 0) {
      take(frame_left_);
    } else {
      if (bytes.size() - at < kHeaderBytes) break;
      const FrameHeader frame = read_frame_header(bytes.data() + at);
      if (server_ && frame.type == kHeaders && frame.stream > highest_stream_) {
        if (opened_this_turn_ >= context_.limits.streams_per_turn) {
          context_.counters.add(Counter::kStreamsPerTurn);
          host_.input_next_turn();
          break;
        }
        ++opened_this_turn_;
        highest_stream_ = frame.stream;
      }
      crossed = guard_.on_frame(frame, now_);
      if (crossed) break;
      // Of a type that nobody has agreed on: legal, passed over, and no reason to send thousands.
      if (frame.type > kContinuation) note_glitch();
      if (cut_) break;
      block_ends_ = (frame.type == kHeaders || frame.type == kContinuation) &&
                    (frame.flags & kFlagEndHeaders) != 0;
      frame_left_ = frame.length;
      at += kHeaderBytes;
    }
    if (frame_left_ == 0 && std::exchange(block_ends_, false)) guard_.block_complete();
  }
  return at;
}

size_t Session::receive_bytes(Bytes in, Monotonic now) {
  now_ = now;
  recycle();
  opened_this_turn_ = 0;
  if (cut_ || fatal_) return in.size();
  std::optional<Counter> crossed;
  const size_t count = scan(in, crossed);
  if (count != 0) {
    const ssize_t used = nghttp2_session_mem_recv(session_, in.data(), count);
    if (used < 0 && !cut_)
      fail(used == NGHTTP2_ERR_FLOODED ? Counter::kControlQueued : Counter::kHttp2Protocol);
  }
  if (crossed && !fatal_) cut(*crossed);
  const bool deaf = cut_ || fatal_ || nghttp2_session_want_read(session_) == 0;
  if (cut_ || fatal_) reset_all({.reason = ResetReason::kLimit});
  if (fatal_ || nghttp2_session_want_write(session_) != 0 || is_finished()) want_output();
  return deaf ? in.size() : count;
}

void Session::collect_output(Monotonic now) {
  now_ = now;
  recycle();
  if (settings_sent_ == Monotonic::max()) settings_sent_ = now;
  ByteBuffer& out = context_.out;
  while (!fatal_ && out.size() < context_.limits.write_high) {
    const uint8_t* bytes = nullptr;
    const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
    if (count < 0) fail(Counter::kHttp2Protocol);
    if (count <= 0) break;
    out.append(bytes, static_cast<size_t>(count));
  }
  std::vector<StreamState*> writable_now;
  writable_now.swap(now_writable_);
  for (StreamState* stream : writable_now)
    if (stream->alive && stream->events != nullptr && !stream->sent_end)
      stream->events->on_writable();
  if (is_finished() && !std::exchange(ended_told_, true))
    reset_all({.reason = cut_ ? ResetReason::kLimit : ResetReason::kMalformed});
}

void Session::drained_output() {
  if (!fatal_ && context_.out.size() < context_.limits.write_high &&
      nghttp2_session_want_write(session_) != 0)
    want_output();
}

bool Session::is_finished() const {
  if (fatal_) return true;
  const bool write = nghttp2_session_want_write(session_) != 0;
  return !write && (cut_ || nghttp2_session_want_read(session_) == 0);
}

void Session::lose(Reset reset) {
  fatal_ = true;
  reset_all(reset);
  want_output();
}

// nghttp2 cannot go on: it has seen what no peer may send.
void Session::fail(Counter what) {
  if (std::exchange(fatal_, true)) return;
  context_.counters.add(what);
  host_.on_violation(what, 0);
}

void Session::cut(Counter what) {
  if (std::exchange(cut_, true)) return;
  context_.counters.add(what);
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  host_.on_violation(what, 0);
  want_output();
}

void Session::note_glitch() {
  switch (guard_.glitch(now_)) {
    case Guard::Glitch::kNone:
      return;
    case Guard::Glitch::kDrain:
      context_.counters.add(Counter::kGlitchDrain);
      draining_ = true;
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                            nghttp2_session_get_last_proc_stream_id(session_),
                            NGHTTP2_ENHANCE_YOUR_CALM, nullptr, 0);
      return;
    case Guard::Glitch::kCut:
      cut(Counter::kGlitches);
      return;
  }
}

void Session::reset_all(Reset reset) {
  const std::vector<StreamState*> streams = live_;
  for (StreamState* stream : streams) {
    if (!std::exchange(stream->alive, false)) continue;
    reset.before_response = !stream->got_head;
    if (StreamEvents* events = std::exchange(stream->events, nullptr)) events->on_reset(reset);
  }
}

// ---- streams
// --------------------------------------------------------------------------------------

StreamState& Session::begin_stream() {
  StreamState* stream = nullptr;
  if (spare_.empty()) {
    stream = make_stream();
    streams_.emplace_back(stream);
  } else {
    stream = spare_.back();
    spare_.pop_back();
  }
  stream->clear();
  stream->alive = true;
  stream->started = now_;
  live_.push_back(stream);
  guard_.stream_opened();
  return *stream;
}

void Session::bury(StreamState& stream) {
  stream.alive = false;
  stream.events = nullptr;
  std::erase(live_, &stream);
  std::erase(now_writable_, &stream);
  graveyard_.push_back(&stream);
}

void Session::recycle() {
  for (StreamState* stream : graveyard_) {
    stream->pending.clear();
    spare_.push_back(stream);
  }
  graveyard_.clear();
}

void Session::close_stream(StreamState& stream, uint32_t code) {
  // nghttp2 tells twice of a request that was cancelled before it left: that it is not sent, and
  // that its stream is closed. Put away twice, the state would serve two later streams at once.
  if (std::exchange(stream.closed, true)) return;
  if (stream.unconsumed != 0)
    nghttp2_session_consume_connection(session_, std::exchange(stream.unconsumed, 0));
  StreamEvents* events = stream.alive ? stream.events : nullptr;
  Reset reset{
      .reason = ResetReason::kPeerReset, .h2_code = code, .before_response = !stream.got_head};
  if (code == NGHTTP2_REFUSED_STREAM)
    reset.reason = ResetReason::kRefused;
  else if (stream.too_large)
    reset.reason = ResetReason::kLimit;
  else if (stream.malformed || (!stream.peer_reset && code != NGHTTP2_NO_ERROR))
    reset.reason = ResetReason::kMalformed;
  bury(stream);
  if (events != nullptr) events->on_reset(reset);
  on_stream_gone();
}

void Session::maybe_dead(StreamState& stream) {
  if (!stream.received_end || !stream.sent_end) return;
  stream.alive = false;
  stream.events = nullptr;
}

void Session::deliver_end(StreamState& stream) {
  StreamEvents* events = stream.alive && !stream.ignore_input ? stream.events : nullptr;
  stream.received_end = true;
  maybe_dead(stream);
  if (events != nullptr) events->on_data({}, true);
}

void Session::malformed(StreamState& stream) {
  context_.counters.add(Counter::kHttp2Message);
  stream.malformed = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_PROTOCOL_ERROR);
  note_glitch();
}

void Session::send_data(StreamState& stream, Bytes bytes, bool end) {
  if (!stream.alive || stream.sent_end) return;
  stream.pending.append(bytes);
  if (end) stream.sent_end = true;
  if (!writable(stream)) stream.blocked = true;
  if (std::exchange(stream.deferred, false)) nghttp2_session_resume_data(session_, stream.id);
  want_output();
  if (end) maybe_dead(stream);
}

void Session::send_trailers(StreamState& stream, const HeaderList& trailers) {
  if (!stream.alive || stream.sent_end) return;
  for (size_t i = 0; i < trailers.size(); ++i)
    if (!is_forbidden_trailer(trailers[i].name))
      stream.trailers_out.emplace_back(trailers[i].name, trailers[i].value);
  send_data(stream, {}, true);
}

void Session::reset(StreamState& stream, uint32_t code) {
  stream.alive = false;
  stream.events = nullptr;
  if (stream.closed || fatal_) return;
  if (stream.unconsumed != 0)
    nghttp2_session_consume_connection(session_, std::exchange(stream.unconsumed, 0));
  if (server_ && stream.sent_end) {
    // Answered in full: the answer still goes out, then the rest of the request is refused.
    code = NGHTTP2_NO_ERROR;
    if (!stream.end_on_wire) {
      stream.reset_after_end = true;
      stream.reset_code = code;
      return;
    }
  }
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, code);
  want_output();
}

void Session::resume(StreamState& stream) {
  if (!std::exchange(stream.paused, false) || stream.closed || fatal_) return;
  stream.tiny_charge = 0;
  if (stream.unconsumed == 0) return;
  nghttp2_session_consume(session_, stream.id, std::exchange(stream.unconsumed, 0));
  want_output();
}

nghttp2_data_provider Session::provider_of(StreamState& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = read_body;
  return provider;
}

void Session::nv_add(std::string_view name, std::string_view value) {
  // nghttp2 takes pointers to non-const bytes and copies them.
  nv_.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                 reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                 value.size(), NGHTTP2_NV_FLAG_NONE});
}

void Session::nv_add_fields(const HeaderList& headers) {
  for (size_t i = 0; i < headers.size(); ++i) {
    const Field field = headers[i];
    if (field.name == "content-length" || field.name == "host") continue;
    if (is_hop_by_hop(field.name) && !(field.name == "te" && field.value == "trailers")) continue;
    nv_add(field.name, field.value);
  }
}

}  // namespace sallyport::http::h2
