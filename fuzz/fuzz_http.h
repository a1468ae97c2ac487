// A server of HTTP/1 that writes down its requests and writes each out again by a client codec.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "http/codec.h"

namespace sallyport::http::fuzz {

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline void check(bool holds, const char* what, std::string_view a = {}, std::string_view b = {}) {
  if (holds) return;
  std::fprintf(stderr, "%s\n--- first\n%.*s\n--- second\n%.*s\n", what, static_cast<int>(a.size()),
               a.data(), static_cast<int>(b.size()), b.data());
  std::abort();
}

struct Served {
  std::string log;        // all events
  std::string requests;   // requests that came to their end
  std::string forwarded;  // the same, written again
};

class Recorder final : public ServerHost, private ClientHost, private ResponseEvents {
 public:
  Recorder() : client_(make_h1_client({limits, counters, pool, up_}, *this)) {}
  void output_pending() override {}
  void input_pending() override {}
  void input_next_turn() override {}
  void on_capacity() override {}
  void on_violation(Counter what, uint16_t) override {
    result.log += "violation " + std::string(to_string(what)) + "\n";
  }
  StreamEvents* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    down_ = &stream;
    client_ = make_h1_client({limits, counters, pool, up_}, *this);
    up_.clear();
    text_ = head.method + " " + head.scheme + "://" + head.authority + head.target;
    for (size_t i = 0; i < head.headers.size(); ++i)
      text_ += "\n " + std::string(head.headers[i].name) + "=" + std::string(head.headers[i].value);
    text_ += head.body == Body::kTunnel ? "\n tunnel\n " : "\n ";
    result.log += text_;
    // Absolute-form is not written again, so the scheme is not either; HTTP/1.0 may have no host.
    skip_ = head.body == Body::kTunnel || head.scheme != "http" || head.authority.empty();
    up_stream_ = client_->start(head, end, *this);
    check(up_stream_ != nullptr, "no stream");
    if (end) finish();
    return this;
  }
  void on_data(Bytes bytes, bool end) override {
    const std::string_view data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    result.log += data;
    text_ += data;
    up_stream_->send_data(bytes, end);
    if (end) finish();
  }
  void on_trailers(HeaderList& trailers) override {
    for (size_t i = 0; i < trailers.size(); ++i)
      text_ += "\n trailer " + std::string(trailers[i].name) + "=" + std::string(trailers[i].value);
    result.log += text_;
    up_stream_->send_trailers(trailers);
    finish();
  }
  void on_reset(Reset) override { result.log += "\nreset\n"; }
  void on_writable() override {}
  void on_informational(ResponseHead&) override {}
  void on_response(ResponseHead&, bool) override {}

  Limits limits;
  Counters counters;
  BufferPool pool;
  Served result;

 private:
  void finish() {
    result.log += "\nend\n";
    if (!skip_) {
      result.requests += text_ + "\nend\n";
      result.forwarded += up_.text();
    }
    ResponseHead head;
    head.status = 200;
    down_->send_response(head);
  }

  ByteBuffer up_{pool};
  std::unique_ptr<ClientCodec> client_;
  ServerStream* down_ = nullptr;
  ClientStream* up_stream_ = nullptr;
  std::string text_;
  bool skip_ = false;
};

inline Served serve(Bytes input, size_t step) {
  Recorder recorder;
  ByteBuffer in(recorder.pool), out(recorder.pool);
  auto server = make_h1_server({recorder.limits, recorder.counters, recorder.pool, out}, recorder);
  const Monotonic now{};
  for (size_t at = 0; at < input.size() && !server->finished(); at += step) {
    in.append(input.subspan(at, std::min(step, input.size() - at)));
    in.consume(server->receive(in.bytes(), now));
  }
  if (!server->finished()) server->receive_end(now);
  check(recorder.pool.in_use() < (1u << 22) + 4 * input.size(), "too much memory");
  return recorder.result;
}

}  // namespace sallyport::http::fuzz
