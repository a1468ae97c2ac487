// What both ends of an HTTP/2 connection share: an nghttp2 session, its streams, the flood limits.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <vector>

#include "http/codec.h"
#include "http/h2_guard.h"

namespace sallyport::http::h2 {

class Session;

// One stream, reused by later ones. It is a user's business while alive, and nghttp2's until
// closed: an end that was sent by the user may still wait for window.
struct StreamState {
  explicit StreamState(Session& owner, BufferPool& pool) : session(owner), pending(pool) {}
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;
  virtual ~StreamState() = default;

  Session& session;
  int32_t id = 0;
  StreamEvents* events = nullptr;
  ByteBuffer pending;  // body bytes to be sent
  std::vector<std::pair<std::string, std::string>> trailers_out;
  Monotonic started{};
  size_t unconsumed = 0;  // received while paused: window not yet given back
  size_t tiny_charge = 0;
  size_t head_bytes = 0, head_fields = 0;  // of the block that is being received
  size_t informational = 0;
  uint32_t reset_code = 0;
  bool alive = false;     // its user may call it
  bool closed = false;    // nghttp2 has closed it
  bool got_head = false;  // a request, or a final response
  bool received_end = false;
  bool head_sent = false;  // a response's final head
  bool sent_end = false;   // the user's; queued
  bool end_on_wire = false;
  bool reset_after_end = false;
  bool deferred = false, paused = false, blocked = false;
  bool malformed = false, too_large = false, peer_reset = false;
  bool ignore_input = false;  // a refused tunnel: what still comes is dropped
  bool tunnel = false;        // extended CONNECT

  virtual void clear();
};

class Session {
 public:
  Session(CodecContext context, CodecHost& host, bool server);
  virtual ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The parts of Codec that need no role.
  size_t receive_bytes(Bytes in, Monotonic now);
  void collect_output(Monotonic now);
  void drained_output();
  void lose(Reset reset);
  [[nodiscard]] bool is_finished() const;
  [[nodiscard]] size_t live() const { return live_.size(); }

  // The parts of Stream.
  void send_data(StreamState& stream, Bytes bytes, bool end);
  void send_trailers(StreamState& stream, const HeaderList& trailers);
  void reset(StreamState& stream, uint32_t code);
  void pause(StreamState& stream) { stream.paused = true; }
  void resume(StreamState& stream);
  [[nodiscard]] bool writable(const StreamState& stream) const {
    return stream.pending.size() < context_.limits.write_high;
  }

 protected:
  friend struct Callbacks;

  // What the roles do with a head.
  virtual StreamState* make_stream() = 0;
  virtual bool on_field(StreamState& stream, std::string_view name, std::string_view value) = 0;
  virtual void on_head(StreamState& stream, bool end) = 0;
  virtual void on_block_begins(StreamState& stream) = 0;
  virtual void on_too_large(StreamState& stream) = 0;
  virtual void on_stream_gone() {}
  virtual void on_settings() {}
  virtual void on_goaway() {}
  virtual void on_ping_ack() {}

  // Reused streams come from here; `begin_stream` also puts it among the live ones.
  StreamState& begin_stream();
  void create(const nghttp2_settings_entry* entries, size_t count, bool server);

  // For heads: add() copies nothing; the views must live until nghttp2 has copied them.
  void nv_clear() { nv_.clear(); }
  void nv_add(std::string_view name, std::string_view value);
  void nv_add_fields(const HeaderList& headers);

  void abandon(StreamState& stream) { bury(stream); }  // nghttp2 never took it

  void deliver_end(StreamState& stream);
  void maybe_dead(StreamState& stream);
  void malformed(StreamState& stream);  // RST_STREAM with PROTOCOL_ERROR
  void note_glitch();
  void cut(Counter what);  // GOAWAY with ENHANCE_YOUR_CALM, and the end
  void want_output() { host_.output_pending(); }
  static nghttp2_data_provider provider_of(StreamState& stream);

  CodecContext context_;
  CodecHost& host_;
  nghttp2_session* session_ = nullptr;
  Guard guard_;
  Monotonic now_{};
  HeaderList trailers_;  // being received
  std::vector<nghttp2_nv> nv_;
  std::string number_;  // a content-length being written
  bool draining_ = false, cut_ = false, fatal_ = false;
  bool settings_acknowledged_ = false;
  bool server_;
  Monotonic settings_sent_ = Monotonic::max();

 private:
  size_t scan(Bytes bytes, std::optional<Counter>& crossed);
  void close_stream(StreamState& stream, uint32_t code);
  void bury(StreamState& stream);
  void recycle();
  void fail(Counter what);
  void reset_all(Reset reset);

  std::vector<StreamState*> live_;
  std::vector<StreamState*> graveyard_, spare_;
  std::vector<std::unique_ptr<StreamState>> streams_;
  std::vector<StreamState*> now_writable_;
  size_t preface_left_ = 0, frame_left_ = 0;
  uint32_t highest_stream_ = 0;
  bool block_ends_ = false;  // with the frame that is being fed
  bool ended_told_ = false;
  uint32_t opened_this_turn_ = 0;
};

// nghttp2's callbacks, in a file of their own.
nghttp2_session_callbacks* make_callbacks();

}  // namespace sallyport::http::h2
