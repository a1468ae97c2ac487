// links: base http
// Bytes into an HTTP/1 client that has sent a request (the first byte says which and in what
// pieces): the events must not depend on the pieces.
#include <cstdint>
#include <string>

#include "fuzz_http.h"

namespace {

using namespace sallyport::http;

class Client final : public ClientHost, ResponseEvents {
 public:
  std::string run(Bytes input, size_t step, std::string_view method, Body body) {
    ByteBuffer in(pool_), out(pool_);
    auto client = make_h1_client({limits_, counters_, pool_, out}, *this);
    RequestHead head;
    head.method = method;
    head.authority = "web";
    head.target = "/";
    head.body = body;
    if (body == Body::kTunnel) head.upgrade = "websocket";
    stream_ = client->start(head, body != Body::kTunnel, *this);
    fuzz::check(stream_ != nullptr, "no stream");
    for (size_t at = 0; at < input.size() && !client->finished(); at += step) {
      in.append(input.subspan(at, std::min(step, input.size() - at)));
      in.consume(client->receive(in.bytes(), {}));
    }
    if (!client->finished()) client->receive_end({});
    fuzz::check(ends_ <= 1, "more than one end");
    return log_;
  }
  void output_pending() override {}
  void input_pending() override {}
  void input_next_turn() override {}
  void on_capacity() override {}
  void on_violation(Counter what, uint16_t) override { log_ += to_string(what); }
  void on_informational(ResponseHead& head) override { write(head); }
  void on_response(ResponseHead& head, bool end) override {
    write(head);
    ends_ += end ? 1 : 0;
  }
  void on_data(Bytes bytes, bool end) override {
    log_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ends_ += end ? 1 : 0;
  }
  void on_trailers(HeaderList&) override {
    log_ += "\ntrailers\n";
    ++ends_;
  }
  void on_reset(Reset) override {
    log_ += "\nreset\n";
    ++ends_;
  }
  void on_writable() override {}

 private:
  void write(const ResponseHead& head) {
    log_ += "\n" + std::to_string(head.status);
    for (size_t i = 0; i < head.headers.size(); ++i)
      log_ += "\n" + std::string(head.headers[i].name) + "=" + std::string(head.headers[i].value);
  }
  Limits limits_;
  Counters counters_;
  BufferPool pool_;
  ClientStream* stream_ = nullptr;
  std::string log_;
  int ends_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Bytes input{data + 1, size - 1};
  const auto method = (data[0] & 1) != 0 ? "HEAD" : "GET";
  const Body body = (data[0] & 2) != 0 ? Body::kTunnel : Body::kNone;
  const std::string whole = Client().run(input, input.size() + 1, method, body);
  const std::string parts = Client().run(input, data[0] / 4 + 1, method, body);
  fuzz::check(whole == parts, "pieces change the events", whole, parts);
  return 0;
}
