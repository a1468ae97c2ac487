// The server's end of an HTTP/1 connection: one request after the other. Requests that come early
// (pipelining) stay in the input buffer until the one before is answered.
#pragma once

#include "http/codec.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

namespace sallyport::http::h1 {

class Server final : public Codec, private ServerStream {
 public:
  Server(CodecContext context, ServerHost& host, const ServerOptions& options);

  [[nodiscard]] size_t receive(Bytes in, Monotonic now) override;
  void receive_end(Monotonic now) override;
  void collect(Monotonic) override {}
  void drained() override;
  void connection_lost(Reset reset) override;
  void drain(Monotonic now) override;
  void on_time(Monotonic now) override;
  [[nodiscard]] Monotonic deadline() const override;
  [[nodiscard]] bool finished() const override { return finished_; }
  [[nodiscard]] bool output_ended() const override {
    return response_ended_ && writer_.framing() == BodyFraming::kTunnel;
  }
  [[nodiscard]] bool wants_input() const override;
  [[nodiscard]] size_t active() const override { return in_request_ || waiting_ ? 1 : 0; }
  [[nodiscard]] Version version() const override { return Version::kHttp11; }

 private:
  // Where the request under way stands on the wire.
  enum class In : uint8_t { kHead, kBody, kUpgrade, kTunnel, kDone, kDiscard };

  void send_informational(const ResponseHead& head) override;
  void send_response(const ResponseHead& head) override;
  RequestHead& request() override { return head_; }
  void send_data(Bytes bytes, bool end) override;
  void send_trailers(const HeaderList& trailers) override;
  void reset(uint32_t h2_code) override;
  [[nodiscard]] bool writable() const override;
  void pause() override { paused_ = true; }
  void resume() override;

  bool step(Cursor& in, Monotonic now);
  bool read_head(Cursor& in, Monotonic now);
  bool read_body(Cursor& in);
  bool discard(Cursor& in);
  bool read_tunnel(Cursor& in);
  void response_ended();
  void request_ended();
  void next_request();
  void violate(Violation violation);
  void give_up(Reset reset);
  void finish();

  CodecContext context_;
  ServerHost& host_;
  ServerOptions options_;
  StreamEvents* events_ = nullptr;
  RequestHead head_;
  HeaderList trailers_;
  HeadFinder finder_;
  BodyReader body_;
  BodyWriter writer_;
  Framing framing_;
  Monotonic head_started_ = kNever;
  uint64_t discarded_ = 0;
  In in_ = In::kHead;
  bool waiting_ = false;  // receive() left a request over that it could have begun
  bool held_ = false;     // ... until answers have left
  uint32_t begun_this_turn_ = 0;
  bool in_request_ = false;        // the stream is alive, or its rest is being discarded
  bool stream_alive_ = false;      // its user may still call it
  bool response_started_ = false;  // a final head was sent
  bool response_ended_ = false;
  bool skipped_line_ = false;
  bool close_after_ = false;  // no further request on this connection
  bool draining_ = false, paused_ = false, blocked_ = false, finished_ = false;
  bool in_receive_ = false;
};

}  // namespace sallyport::http::h1
