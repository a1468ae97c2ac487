// The client's end of an HTTP/1 connection: one request at a time, never pipelined.
#pragma once

#include "http/codec.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

namespace sallyport::http::h1 {

class Client final : public ClientCodec, private ClientStream {
 public:
  Client(CodecContext context, ClientHost& host);

  [[nodiscard]] bool can_start() const override;
  ClientStream* start(const RequestHead& head, bool end, ResponseEvents& events) override;

  [[nodiscard]] size_t receive(Bytes in, Monotonic now) override;
  void receive_end(Monotonic now) override;
  void collect(Monotonic) override {}
  void drained() override;
  void connection_lost(Reset reset) override;
  void drain(Monotonic now) override;
  void on_time(Monotonic) override {}
  [[nodiscard]] Monotonic deadline() const override { return kNever; }
  [[nodiscard]] bool finished() const override { return finished_; }
  [[nodiscard]] bool output_ended() const override {
    return request_ended_ && writer_.framing() == BodyFraming::kTunnel;
  }
  [[nodiscard]] bool wants_input() const override { return !finished_ && !paused_; }
  [[nodiscard]] size_t active() const override { return in_ == In::kIdle ? 0 : 1; }
  [[nodiscard]] Version version() const override { return Version::kHttp11; }

 private:
  enum class In : uint8_t { kIdle, kHead, kBody, kTunnel, kDone };

  void send_data(Bytes bytes, bool end) override;
  void send_trailers(const HeaderList& trailers) override;
  void reset(uint32_t h2_code) override;
  [[nodiscard]] bool writable() const override;
  void pause() override { paused_ = true; }
  void resume() override;

  bool step(Cursor& in);
  bool read_head(Cursor& in);
  bool read_body(Cursor& in);
  void response_ended();
  void request_ended();
  void idle();
  void violate(Violation violation);
  void give_up(Reset reset);
  void finish();

  CodecContext context_;
  ClientHost& host_;
  ResponseEvents* events_ = nullptr;
  ResponseHead head_;
  HeaderList trailers_;
  HeadFinder finder_;
  BodyReader body_;
  BodyWriter writer_;
  ResponseContext expect_;
  Framing framing_;
  size_t informational_ = 0;
  In in_ = In::kIdle;
  bool request_ended_ = true;
  bool got_bytes_ = false;  // of this response
  bool close_after_ = false, draining_ = false, paused_ = false, blocked_ = false;
  bool finished_ = false, in_receive_ = false;
};

}  // namespace sallyport::http::h1
