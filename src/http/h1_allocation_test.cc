// Warm HTTP/1 codecs allocate nothing: a downstream and an upstream connection, 10,000 requests.
#include <cstdlib>
#include <new>

#include "http/test_codec.h"

namespace {
size_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size);  // NOLINT
  if (p == nullptr) std::abort();
  return p;
}
void operator delete(void* p) noexcept {
  std::free(p);
}  // NOLINT
void operator delete(void* p, size_t /*size*/) noexcept {
  std::free(p);
}  // NOLINT

namespace sallyport::http {
namespace {

using namespace testing;

// The least that forwards: what a proxy does without its decisions.
class Forwarder final : public ServerHost, public ClientHost, ResponseEvents {
 public:
  void output_pending() override {}
  void input_pending() override {}
  void input_next_turn() override {}
  void on_capacity() override {}
  void on_violation(Counter, uint16_t) override { ++violations; }
  StreamEvents* on_request(ServerStream& stream, RequestHead& head, bool end) override {
    down_ = &stream;
    head.headers.set("x-request-id", "0123456789");
    head.headers.remove_prefix("x-envoy-");
    up_ = client->start(head, end, *this);
    return this;
  }
  // One object gets both sides' events: data from upstream while a response is under way.
  void on_data(Bytes bytes, bool end) override {
    if (answering_)
      down_->send_data(bytes, end);
    else
      up_->send_data(bytes, end);
    if (answering_ && end) answering_ = false;
  }
  void on_trailers(HeaderList&) override {}
  void on_reset(Reset) override { ++violations; }
  void on_writable() override {}
  void on_informational(ResponseHead&) override {}
  void on_response(ResponseHead& head, bool end) override {
    answering_ = !end;
    down_->send_response(head);
  }

  ClientCodec* client = nullptr;
  int violations = 0;

 private:
  ServerStream* down_ = nullptr;
  ClientStream* up_ = nullptr;
  bool answering_ = false;
};

TEST(Http1Allocations, NoneWhenWarm) {
  Side down, up;
  Forwarder proxy;
  auto server = make_h1_server(down.context(), proxy);
  auto client = make_h1_client(up.context(), proxy);
  proxy.client = client.get();
  const std::string request =
      "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: model.inference:8080\r\n"
      "User-Agent: test\r\nAccept: */*\r\nContent-Type: application/json\r\n"
      "X-Envoy-Internal: 1\r\nContent-Length: 600\r\n\r\n" +
      std::string(600, 'q');
  const std::string response =
      "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/event-stream\r\n"
      "Transfer-Encoding: chunked\r\n\r\n400\r\n" +
      std::string(1024, 'r') + "\r\n0\r\n\r\n";
  size_t before = 0, up_bytes = 0, down_bytes = 0;
  for (int i = 0; i < 10100; ++i) {
    if (i == 100) before = allocations;
    const Bytes in = bytes_of(request);
    ASSERT_EQ(server->receive(in, at_seconds(0)), in.size());
    up_bytes = up.out.size();
    up.out.clear();
    const Bytes answer = bytes_of(response);
    ASSERT_EQ(client->receive(answer, at_seconds(0)), answer.size());
    down_bytes = down.out.size();
    down.out.clear();
    ASSERT_TRUE(client->can_start());
  }
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_GT(up_bytes, 600u);
  EXPECT_GT(down_bytes, 1024u);
  EXPECT_EQ(proxy.violations, 0);
  EXPECT_EQ(down.pool.in_use() + up.pool.in_use(), 0u);  // an idle connection holds no buffer
}

}  // namespace
}  // namespace sallyport::http
