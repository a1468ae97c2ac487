// Hosts for tests that write down what a codec says.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "http/codec.h"

namespace sallyport::http::testing {

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline Monotonic at_seconds(int seconds_passed) {
  return Monotonic{} + std::chrono::hours(1) + seconds(seconds_passed);
}

struct Side {
  Limits limits;
  Counters counters;
  BufferPool pool;
  ByteBuffer in{pool}, out{pool};
  CodecContext context() { return {limits, counters, pool, out}; }
  // Bytes from the network: what the codec leaves over waits in `in`.
  void feed(Codec& codec, std::string_view text, Monotonic now) {
    in.append(text);
    in.consume(codec.receive(in.bytes(), now));
  }
  // What was written since the last call.
  std::string take() {
    std::string text(out.text());
    out.clear();
    return text;
  }
};

inline std::string fields_text(const HeaderList& headers) {
  std::string text;
  for (size_t i = 0; i < headers.size(); ++i)
    text += " " + std::string(headers[i].name) + "=" + std::string(headers[i].value);
  return text;
}

// Events of one stream as text; data that comes in pieces reads as if it came at once.
class Log {
 public:
  void line(std::string text) {
    flush();
    lines_.push_back(std::move(text));
  }
  void data(Bytes bytes) {
    data_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string text() {
    flush();
    std::string all;
    for (const auto& l : lines_) all += l + "\n";
    return all;
  }
  void clear() {
    lines_.clear();
    data_.clear();
  }

 private:
  void flush() {
    if (data_.empty()) return;
    lines_.push_back("data " + data_);
    data_.clear();
  }
  std::vector<std::string> lines_;
  std::string data_;
};

struct ServerRecorder final : ServerHost {
  struct Request final : StreamEvents {
    explicit Request(ServerRecorder& owner) : host(owner) {}
    void on_data(Bytes bytes, bool end) override {
      host.log.data(bytes);
      host.received += bytes.size();
      if (host.pause_on_data) stream->pause();
      if (end) {
        host.log.line("end");
        ended = true;
        if (host.answer_at_end) host.answer(*stream);
      }
    }
    void on_trailers(HeaderList& trailers) override {
      host.log.line("trailers" + fields_text(trailers));
      ended = true;
      if (host.answer_at_end) host.answer(*stream);
    }
    void on_reset(Reset reset) override {
      host.log.line("reset " + std::string(to_string(reset.reason)));
      host.last_reset = reset;
      gone = true;
    }
    void on_writable() override { ++host.writable_again; }

    ServerRecorder& host;
    ServerStream* stream = nullptr;
    bool ended = false, gone = false;
  };

  void output_pending() override { ++outputs; }
  void input_pending() override { ++inputs; }
  void input_next_turn() override { ++inputs; }
  void on_violation(Counter what, uint16_t status) override {
    log.line("violation " + std::string(to_string(what)) + " " + std::to_string(status));
  }
  StreamEvents* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    log.line("request " + head.method + " " + head.scheme + "://" + head.authority + head.target +
             fields_text(head.headers) + (head.upgrade.empty() ? "" : " upgrade " + head.upgrade) +
             (end ? " end" : ""));
    requests.push_back(std::make_unique<Request>(*this));
    requests.back()->stream = &stream;
    requests.back()->ended = end;
    if (end && answer_at_end) answer(stream);
    return requests.back().get();
  }
  void answer(ServerStream& stream) {
    ResponseHead head;
    head.status = 200;
    head.headers.add("server", "test");
    if (body.empty()) {
      stream.send_response(head);
      return;
    }
    head.body = Body::kLength;
    head.content_length = body.size();
    stream.send_response(head);
    stream.send_data(bytes_of(body), true);
  }
  Request& last() { return *requests.back(); }

  Log log;
  std::vector<std::unique_ptr<Request>> requests;
  Reset last_reset;
  std::string body;
  size_t received = 0;
  int outputs = 0, inputs = 0, writable_again = 0;
  bool answer_at_end = false, pause_on_data = false;
};

struct ClientRecorder final : ClientHost {
  struct Response final : ResponseEvents {
    explicit Response(ClientRecorder& owner) : host(owner) {}
    void on_informational(ResponseHead& head) override {
      host.log.line("informational " + std::to_string(head.status) + fields_text(head.headers));
    }
    void on_response(ResponseHead& head, bool end) override {
      host.log.line("response " + std::to_string(head.status) + fields_text(head.headers) +
                    (end ? " end" : ""));
      ended = end;
    }
    void on_data(Bytes bytes, bool end) override {
      host.log.data(bytes);
      host.received += bytes.size();
      if (host.pause_on_data) stream->pause();
      if (end) host.log.line("end");
      ended = ended || end;
    }
    void on_trailers(HeaderList& trailers) override {
      host.log.line("trailers" + fields_text(trailers));
      ended = true;
    }
    void on_reset(Reset reset) override {
      host.log.line("reset " + std::string(to_string(reset.reason)) +
                    (reset.before_response ? " before" : ""));
      host.last_reset = reset;
      gone = true;
    }
    void on_writable() override { ++host.writable_again; }

    ClientRecorder& host;
    ClientStream* stream = nullptr;
    bool ended = false, gone = false;
  };

  void output_pending() override { ++outputs; }
  void input_pending() override { ++inputs; }
  void input_next_turn() override { ++inputs; }
  void on_capacity() override { ++capacity; }
  void on_violation(Counter what, uint16_t status) override {
    log.line("violation " + std::string(to_string(what)) + " " + std::to_string(status));
  }
  Response* start(ClientCodec& codec, const RequestHead& head, bool end) {
    responses.push_back(std::make_unique<Response>(*this));
    responses.back()->stream = codec.start(head, end, *responses.back());
    return responses.back()->stream == nullptr ? nullptr : responses.back().get();
  }

  Log log;
  std::vector<std::unique_ptr<Response>> responses;
  Reset last_reset;
  size_t received = 0;
  int outputs = 0, inputs = 0, capacity = 0, writable_again = 0;
  bool pause_on_data = false;
};

inline RequestHead request(std::string_view method, std::string_view target,
                           Body body = Body::kNone, uint64_t length = 0) {
  RequestHead head;
  head.method = method;
  head.scheme = "http";
  head.authority = "web.shop:8080";
  head.target = target;
  head.body = body;
  head.content_length = length;
  return head;
}

}  // namespace sallyport::http::testing
