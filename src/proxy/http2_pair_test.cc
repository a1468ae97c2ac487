// HTTP/2 and gRPC through two proxies and mutual TLS: by prior knowledge, as gRPC without TLS of
// its own does it.
#include <functional>

#include "http/test_codec.h"
#include "proxy/test_http.h"

namespace sallyport::proxy::testing {
namespace {

using http::testing::at_seconds;
using http::testing::bytes_of;
using http::testing::ClientRecorder;
using http::testing::request;
using http::testing::ServerRecorder;
using http::testing::Side;

// One end of an HTTP/2 connection on a blocking socket, driven by the test's thread.
template <class Recorder>
struct End {
  explicit End(Fd socket) : fd(std::move(socket)) {}
  // Moves bytes until `done`, at most for ten seconds.
  bool run(http::Codec& codec, const std::function<bool()>& done) {
    for (int i = 0; i < 1000; ++i) {
      codec.collect(at_seconds(0));
      const std::string out = side.take();
      for (size_t at = 0; at < out.size();) {
        const ssize_t n = ::send(fd.get(), out.data() + at, out.size() - at, MSG_NOSIGNAL);
        if (n <= 0) return done();
        at += static_cast<size_t>(n);
      }
      codec.drained();
      if (done()) return true;
      pollfd wait{fd.get(), POLLIN, 0};
      if (::poll(&wait, 1, 10) != 1) continue;
      char buffer[65536];
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) {
        codec.receive_end(at_seconds(0));
        return done();
      }
      side.feed(codec, {buffer, static_cast<size_t>(n)}, at_seconds(0));
      for (int k = 0; k < 100 && !side.in.empty(); ++k) side.feed(codec, "", at_seconds(0));
    }
    return false;
  }
  Fd fd;
  Side side;
  Recorder host;
};

class Http2PairTest : public HttpPairTest {
 protected:
  void SetUp() override {
    HttpPairTest::SetUp();
    service_->ports[0].app_protocol = "grpc";
    listener_ = listen_on_loopback();
    lead_to(local_port(listener_.get()));
  }
  void connect() {
    client_ = std::make_unique<End<ClientRecorder>>(dial(at(kServiceIp, 80)));
    client_codec_ = http::make_h2_client(client_->side.context(), client_->host);
  }
  ClientRecorder::Response* start_call(std::string_view path) {
    http::RequestHead head = request("POST", path, http::Body::kStream);
    head.headers.add("content-type", "application/grpc");
    head.headers.add("te", "trailers");
    return client_->host.start(*client_codec_, head, false);
  }
  // Both ends until `done`, in small steps: there is one thread.
  bool run(const std::function<bool()>& done) {
    for (int i = 0; i < 400; ++i) {
      int turns = 0;
      const auto a_little = [&] { return ++turns > 2 || done(); };
      client_->run(*client_codec_, a_little);
      if (done()) return true;
      if (!app_) {
        Fd fd = accept_from(listener_, 5);
        if (!fd) continue;
        app_ = std::make_unique<End<ServerRecorder>>(std::move(fd));
        app_codec_ =
            http::make_h2_server(app_->side.context(), app_->host, {.extended_connect = true});
      }
      turns = 0;
      app_->run(*app_codec_, a_little);
      if (done()) return true;
    }
    return false;
  }

  Fd listener_;
  std::unique_ptr<End<ClientRecorder>> client_;
  std::unique_ptr<End<ServerRecorder>> app_;
  std::unique_ptr<http::ClientCodec> client_codec_;
  std::unique_ptr<http::Codec> app_codec_;
};

TEST_F(Http2PairTest, BidirectionalStreamWithTrailers) {
  start();
  auto& at_b = watch(*b_);
  connect();
  auto* call = start_call("/ai.Model/Chat");
  ASSERT_TRUE(run([&] { return app_ && !app_->host.requests.empty(); }));
  http::ServerStream& answer = *app_->host.last().stream;
  EXPECT_EQ(answer.request().headers.get("te"), "trailers");
  EXPECT_TRUE(answer.request().headers.get("x-forwarded-client-cert").starts_with("By=spiffe://"));
  http::ResponseHead head;
  head.status = 200;
  head.body = http::Body::kStream;
  head.headers.add("content-type", "application/grpc");
  answer.send_response(head);
  const std::string message("\0\0\0\0\3abc", 8);
  for (size_t i = 1; i <= 3; ++i) {
    call->stream->send_data(bytes_of(message), false);
    ASSERT_TRUE(run([&] { return app_->host.received == i * message.size(); }));
    answer.send_data(bytes_of(message), false);
    ASSERT_TRUE(run([&] { return client_->host.received == i * message.size(); }));
  }
  call->stream->send_data({}, true);
  ASSERT_TRUE(run([&] { return app_->host.last().ended; }));
  http::HeaderList trailers;
  trailers.add("grpc-status", "5");
  answer.send_trailers(trailers);
  ASSERT_TRUE(run([&] { return call->ended; }));
  EXPECT_NE(client_->host.log.text().find("trailers grpc-status=5\n"), std::string::npos);
  const auto seen = records(at_b, 1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].protocol, 3);
  EXPECT_STREQ(seen[0].path, "/ai.Model/Chat");
  const std::string text = b_->on_worker([](Worker& w) {
    telemetry::Exposition out;
    telemetry::declare_all(out);
    w.reporting().render(out);
    return out.text();
  });
  EXPECT_NE(text.find("grpc_response_status=\"5\""), std::string::npos);
  EXPECT_NE(text.find("request_protocol=\"grpc\""), std::string::npos);
  EXPECT_NE(text.find("istio_request_messages_total"), std::string::npos);
}

TEST_F(Http2PairTest, DeniedIsPermissionDenied) {
  k8s::AuthorizationRule rule;
  k8s::AuthorizationOperation operation;
  operation.paths.values = {"/ai.Model/Admin*"};
  rule.to.push_back(operation);
  policy(k8s::AuthorizationAction::kDeny, rule);
  start();
  connect();
  auto* call = start_call("/ai.Model/AdminReset");
  ASSERT_TRUE(run([&] { return call->ended || call->gone; }));
  EXPECT_TRUE(client_->host.log.text().starts_with(
      "response 200 content-type=application/grpc grpc-status=7 "
      "grpc-message=RBAC: access denied end\n"));
  EXPECT_FALSE(app_);
  // The connection is good for others.
  call = start_call("/ai.Model/Chat");
  ASSERT_TRUE(run([&] { return app_ && !app_->host.requests.empty(); }));
}

TEST_F(Http2PairTest, ResetsGoThroughBothWays) {
  start();
  connect();
  auto* call = start_call("/a");
  ASSERT_TRUE(run([&] { return app_ && !app_->host.requests.empty(); }));
  call->stream->reset(8);
  ASSERT_TRUE(run([&] { return app_->host.last().gone; }));
  EXPECT_EQ(app_->host.last_reset.h2_code, 8u);
  call = start_call("/b");
  ASSERT_TRUE(run([&] { return app_->host.requests.size() == 2; }));
  http::ResponseHead head;
  head.status = 200;
  head.body = http::Body::kStream;
  app_->host.last().stream->send_response(head);
  app_->host.last().stream->send_data(bytes_of("x"), false);
  ASSERT_TRUE(run([&] { return client_->host.received == 1; }));
  app_->host.last().stream->reset(11);
  ASSERT_TRUE(run([&] { return call->gone; }));
  EXPECT_EQ(client_->host.last_reset.h2_code, 11u);
}

TEST_F(Http2PairTest, ManyStreamsShareOneConnection) {
  start();
  connect();
  ASSERT_TRUE(run([&] { return true; }));
  std::vector<ClientRecorder::Response*> calls;
  const auto pump = [&](size_t count) {
    return run([&] { return app_ && app_->host.requests.size() == count; });
  };
  for (int i = 0; i < 50; ++i) calls.push_back(start_call("/s"));
  ASSERT_TRUE(pump(50));
  EXPECT_EQ(a_->on_worker([](Worker& w) { return w.pool().connections(); }), 1u);
  for (auto& r : app_->host.requests) app_->host.answer(*r->stream);
  for (auto* call : calls) call->stream->send_data({}, true);
  ASSERT_TRUE(
      run([&] { return std::ranges::all_of(calls, [](auto* c) { return c->ended || c->gone; }); }));
  for (auto* call : calls) EXPECT_TRUE(call->ended);
}

TEST_F(Http2PairTest, ASlowReaderStopsItsSource) {
  start();
  connect();
  client_->host.pause_on_data = true;
  auto* call = start_call("/big");
  call->stream->send_data({}, true);
  ASSERT_TRUE(run([&] { return app_ && !app_->host.requests.empty() && app_->host.last().ended; }));
  http::ServerStream& answer = *app_->host.last().stream;
  http::ResponseHead head;
  head.status = 200;
  head.body = http::Body::kStream;
  answer.send_response(head);
  const std::string piece(64 << 10, 'x');
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    if (answer.writable()) {
      answer.send_data(bytes_of(piece), false);
      sent += piece.size();
    }
    int turns = 0;
    run([&] { return ++turns > 4; });
  }
  EXPECT_FALSE(answer.writable());
  EXPECT_LT(sent, 6u << 20);
  for (TestProxy* proxy : {a_.get(), b_.get()})
    EXPECT_LT(proxy->on_worker([](Worker& w) { return w.buffers().in_use(); }), 3u << 20);
  client_->host.pause_on_data = false;
  call->stream->resume();
  answer.send_data({}, true);
  ASSERT_TRUE(run([&] { return call->ended; }));
  EXPECT_EQ(client_->host.received, sent);
}

TEST_F(Http2PairTest, WebSocketOverExtendedConnect) {
  start();
  connect();
  ASSERT_TRUE(run([&] { return client_codec_->can_start() && client_->side.pool.in_use() == 0; }));
  int turns = 0;
  run([&] { return ++turns > 10; });  // SETTINGS
  http::RequestHead head = request("GET", "/ws", http::Body::kTunnel);
  head.upgrade = "websocket";
  auto* tunnel = client_->host.start(*client_codec_, head, false);
  ASSERT_NE(tunnel, nullptr);
  ASSERT_TRUE(
      run([&] { return tunnel->gone || tunnel->ended || (app_ && !app_->host.requests.empty()); }));
  ASSERT_TRUE(app_ && !app_->host.requests.empty()) << client_->host.log.text();
  http::ResponseHead accepted;
  accepted.status = 101;
  accepted.body = http::Body::kTunnel;
  app_->host.last().stream->send_response(accepted);
  app_->host.last().stream->send_data(bytes_of("hi"), false);
  ASSERT_TRUE(run([&] { return client_->host.received == 2; }));
  tunnel->stream->send_data(bytes_of("yo"), true);
  ASSERT_TRUE(run([&] { return app_->host.last().ended; }));
  app_->host.last().stream->send_data({}, true);
  ASSERT_TRUE(run([&] { return tunnel->ended; }));
}

}  // namespace
}  // namespace sallyport::proxy::testing
