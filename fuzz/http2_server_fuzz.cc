// links: base http
// Bytes into an HTTP/2 server that answers, pauses and resets (the first byte says how). Bit 7: the
// preface and empty SETTINGS are put before the input.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuzz_http.h"
#include "http/syntax.h"

namespace {

using namespace sallyport::http;

class Server final : public ServerHost {
 public:
  explicit Server(uint8_t mode) : mode_(mode) {}

  struct Request final : StreamEvents {
    Request(Server& owner, ServerStream& its) : server(owner), stream(its) {}
    void on_data(Bytes bytes, bool end) override {
      fuzz::check(!dead, "an event after the end");
      server.body_bytes += bytes.size();
      if ((server.mode_ & 1) != 0 && !end) stream.pause();
      if ((server.mode_ & 2) != 0 && !end) {
        stream.reset();
        dead = true;
      } else if (end) {
        server.answer(*this);
      }
    }
    void on_trailers(HeaderList& trailers) override {
      fuzz::check(!dead, "an event after the end");
      server.check_fields(trailers);
      server.answer(*this);
    }
    void on_reset(Reset) override {
      fuzz::check(!dead, "an event after the end");
      dead = true;
    }
    void on_writable() override { fuzz::check(!dead, "an event after the end"); }
    Server& server;
    ServerStream& stream;
    bool dead = false;
  };

  void run(Bytes input, size_t step) {
    ByteBuffer in(pool_), out(pool_);
    auto codec = make_h2_server({limits_, counters_, pool_, out}, *this,
                                {.extended_connect = (mode_ & 4) != 0});
    if ((mode_ & 128) != 0) {
      in.append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      in.append(std::string_view("\0\0\0\4\0\0\0\0\0", 9));
    }
    for (size_t at = 0; at < input.size() && !codec->finished(); at += step) {
      in.append(input.subspan(at, std::min(step, input.size() - at)));
      size_t used = 0;
      do {
        used = codec->receive(in.bytes(), {});
        in.consume(used);
        codec->collect({});
        out.clear();
        codec->drained();
      } while (used != 0 && !in.empty() && !codec->finished());
      fuzz::check(pool_.in_use() < (1u << 23) + 4 * input.size(), "too much memory");
    }
    if (!codec->finished()) codec->receive_end({});
    codec->collect({});
    fuzz::check(codec->finished(), "not finished after the end");
    for (const auto& request : requests_) fuzz::check(request->dead, "a stream without an end");
  }

  void output_pending() override {}
  void input_pending() override {}
  void input_next_turn() override {}
  void on_violation(Counter, uint16_t) override {}
  StreamEvents* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    fuzz::check(is_method(head.method) && is_target(head.target) && is_authority(head.authority) &&
                    head.method != "CONNECT",
                "a malformed request came through");
    check_fields(head.headers);
    requests_.push_back(std::make_unique<Request>(*this, stream));
    if (end || (mode_ & 8) != 0) answer(*requests_.back(), !end);
    return requests_.back()->dead ? nullptr : requests_.back().get();
  }
  void check_fields(const HeaderList& headers) {
    fuzz::check(headers.size() <= limits_.head_fields, "too many fields");
    for (size_t i = 0; i < headers.size(); ++i)
      fuzz::check(is_lower_token(headers[i].name) && is_value(headers[i].value),
                  "a malformed field came through");
  }
  void answer(Request& request, bool early = false) {
    ResponseHead head;
    head.status = 200;
    head.body = (mode_ & 16) != 0 ? Body::kStream : Body::kNone;
    request.stream.send_response(head);
    if (head.body == Body::kStream) request.stream.send_data(fuzz::bytes_of("hello"), true);
    if (early) request.stream.reset();
    request.dead = true;
  }

  size_t body_bytes = 0;

 private:
  uint8_t mode_;
  Limits limits_;
  Counters counters_;
  BufferPool pool_;
  std::vector<std::unique_ptr<Request>> requests_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Server(data[0]).run({data + 2, size - 2}, data[1] + 1u);
  return 0;
}
