// What nghttp2 calls back. Each function only translates; the session and its role decide.
#include <algorithm>
#include <utility>

#include "http/h2_session.h"
#include "http/syntax.h"

namespace sallyport::http::h2 {

struct Callbacks {
  static Session& session_of(void* user) { return *static_cast<Session*>(user); }
  static StreamState* stream_of(nghttp2_session* session, int32_t id) {
    return static_cast<StreamState*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& self = session_of(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    StreamState* stream = stream_of(session, frame->hd.stream_id);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && self.server_) {
      stream = &self.begin_stream();
      stream->id = frame->hd.stream_id;
      nghttp2_session_set_stream_user_data(session, stream->id, stream);
    }
    if (stream == nullptr) return 0;
    stream->head_bytes = stream->head_fields = 0;
    if (stream->got_head)
      self.trailers_.clear();
    else
      self.on_block_begins(*stream);
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name_bytes,
                    size_t name_size, const uint8_t* value_bytes, size_t value_size, uint8_t,
                    void* user) {
    Session& self = session_of(user);
    StreamState* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr || frame->hd.type != NGHTTP2_HEADERS) return 0;
    const std::string_view name(reinterpret_cast<const char*>(name_bytes), name_size);
    const std::string_view value(reinterpret_cast<const char*>(value_bytes), value_size);
    const Limits& limits = self.context_.limits;
    stream->head_bytes += name.size() + value.size();
    ++stream->head_fields;
    const bool trailer = stream->got_head;
    const size_t most_bytes = trailer ? limits.trailer_bytes : limits.head_bytes;
    const size_t most_fields = trailer ? limits.trailer_fields : limits.head_fields;
    if (stream->head_bytes > most_bytes || stream->head_fields > most_fields) {
      if (!std::exchange(stream->too_large, true))
        self.context_.counters.add(trailer                           ? Counter::kTrailerBytes
                                   : stream->head_bytes > most_bytes ? Counter::kHeadBytes
                                                                     : Counter::kHeadFields);
      // A block that goes on and on is paid for by us (HPACK makes much of little): no more of it.
      if (stream->head_bytes > 2 * limits.head_bytes ||
          stream->head_fields > 10 * limits.head_fields) {
        self.cut(Counter::kHeadBytes);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
      }
      return 0;
    }
    if (stream->malformed) return 0;
    if (trailer) {
      if (!is_lower_token(name) || !is_value(value))
        stream->malformed = true;
      else if (!is_forbidden_trailer(name))
        self.trailers_.add(name, value);
      return 0;
    }
    if (!self.on_field(*stream, name, value)) stream->malformed = true;
    return 0;
  }

  static int invalid_header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t*,
                            size_t, const uint8_t*, size_t, uint8_t, void*) {
    if (StreamState* stream = stream_of(session, frame->hd.stream_id)) stream->malformed = true;
    return 0;
  }

  static void headers_complete(Session& self, StreamState& stream, bool end) {
    if (stream.malformed) {
      self.malformed(stream);
      return;
    }
    if (stream.too_large) {
      self.on_too_large(stream);
      self.note_glitch();
      return;
    }
    if (!stream.got_head) {
      self.on_head(stream, end);
      return;
    }
    StreamEvents* events = stream.alive && !stream.ignore_input ? stream.events : nullptr;
    stream.received_end = true;
    self.maybe_dead(stream);
    if (events == nullptr) return;
    if (self.trailers_.empty())
      events->on_data({}, true);
    else
      events->on_trailers(self.trailers_);
  }

  static int frame_recv(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& self = session_of(user);
    StreamState* stream =
        frame->hd.stream_id == 0 ? nullptr : stream_of(session, frame->hd.stream_id);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (stream != nullptr) headers_complete(self, *stream, end);
        break;
      case NGHTTP2_DATA:
        if (frame->hd.length != 0 && frame->data.padlen == frame->hd.length && !end)
          self.note_glitch();  // nothing but padding
        if (stream != nullptr && end && !stream->received_end) self.deliver_end(*stream);
        break;
      case NGHTTP2_RST_STREAM:
        if (stream == nullptr) {
          self.note_glitch();
          break;
        }
        stream->peer_reset = true;
        if (self.server_)
          if (const auto crossed = self.guard_.on_reset(stream->started, self.now_))
            self.cut(*crossed);
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
          self.settings_acknowledged_ = true;
        else
          self.on_settings();
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) self.on_ping_ack();
        break;
      case NGHTTP2_GOAWAY:
        self.on_goaway();
        break;
      default:
        break;
    }
    return 0;
  }

  static int data_chunk(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes,
                        size_t size, void* user) {
    Session& self = session_of(user);
    StreamState* stream = stream_of(session, id);
    if (stream == nullptr || !stream->alive || stream->ignore_input) {
      // Nobody takes them; the connection's window must not shrink for that.
      nghttp2_session_consume_connection(session, size);
      return 0;
    }
    stream->unconsumed += size;
    if (stream->events != nullptr) stream->events->on_data({bytes, size}, false);
    if (!stream->alive || stream->closed) return 0;  // reset() has given the window back
    if (!stream->paused) {
      nghttp2_session_consume(session, id, std::exchange(stream->unconsumed, 0));
      return 0;
    }
    const Limits& limits = self.context_.limits;
    if (size < limits.tiny_data) {
      stream->tiny_charge += limits.tiny_data;
      if (stream->tiny_charge > limits.connection_window / 2) {
        self.context_.counters.add(Counter::kTinyData);
        stream->too_large = true;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
        stream->ignore_input = true;
      }
    }
    return 0;
  }

  static int stream_close(nghttp2_session* session, int32_t id, uint32_t code, void* user) {
    if (StreamState* stream = stream_of(session, id)) session_of(user).close_stream(*stream, code);
    return 0;
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length,
                       nghttp2_data_source* source, void* user) {
    Session& self = session_of(user);
    auto& stream = *static_cast<StreamState*>(source->ptr);
    self.context_.out.append(head, 9);
    if (length != 0) {
      self.context_.out.append(stream.pending.bytes().first(length));
      stream.pending.consume(length);
    }
    if (stream.blocked && stream.pending.size() <= self.context_.limits.write_low) {
      stream.blocked = false;
      self.now_writable_.push_back(&stream);
    }
    return 0;
  }

  static int frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& self = session_of(user);
    if (frame->hd.type == NGHTTP2_DATA) self.guard_.data_sent();
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    StreamState* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->end_on_wire = true;
    if (stream->reset_after_end && !stream->received_end)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, stream->reset_code);
    return 0;
  }

  static int frame_not_send(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    Session& self = session_of(user);
    if (self.server_ || frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST)
      return 0;
    // A request that never left: the session was told to stop in between.
    const auto hit = std::ranges::find(self.live_, frame->hd.stream_id, &StreamState::id);
    if (hit != self.live_.end()) self.close_stream(**hit, NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int code, void* user) {
    Session& self = session_of(user);
    self.context_.counters.add(code == NGHTTP2_ERR_REFUSED_STREAM ? Counter::kStreams
                               : code == NGHTTP2_ERR_HTTP_MESSAGING ||
                                       code == NGHTTP2_ERR_HTTP_HEADER
                                   ? Counter::kHttp2Message
                                   : Counter::kHttp2Protocol);
    self.note_glitch();
    return 0;
  }
};

nghttp2_session_callbacks* make_callbacks() {
  nghttp2_session_callbacks* c = nullptr;
  nghttp2_session_callbacks_new(&c);
  nghttp2_session_callbacks_set_on_begin_headers_callback(c, Callbacks::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(c, Callbacks::header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(c, Callbacks::invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(c, Callbacks::frame_recv);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, Callbacks::data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(c, Callbacks::stream_close);
  nghttp2_session_callbacks_set_send_data_callback(c, Callbacks::send_data);
  nghttp2_session_callbacks_set_on_frame_send_callback(c, Callbacks::frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(c, Callbacks::frame_not_send);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, Callbacks::invalid_frame);
  return c;
}

}  // namespace sallyport::http::h2
