// Both ends of HTTP/2 against each other.
#include "http/test_h2.h"

namespace sallyport::http {
namespace {

using namespace testing;

ResponseHead response(uint16_t status, Body body = Body::kNone, uint64_t length = 0) {
  ResponseHead head;
  head.status = status;
  head.body = body;
  head.content_length = length;
  return head;
}

TEST(Http2, RequestAndResponseWithBodiesAndTrailers) {
  Pair p;
  RequestHead head = request("POST", "/pkg.Service/Method", Body::kStream);
  head.headers.add("content-type", "application/grpc");
  head.headers.add("te", "trailers");
  head.headers.add("connection", "x");
  head.headers.add("cookie", "a=1");
  head.headers.add("cookie", "b=2");
  auto* r = p.client_host.start(*p.client, head, false);
  ASSERT_NE(r, nullptr);
  r->stream->send_data(bytes_of("hello "), false);
  p.run();
  r->stream->send_data(bytes_of("world"), true);
  p.run();
  EXPECT_EQ(p.server_host.log.text(),
            "request POST http://web.shop:8080/pkg.Service/Method content-type=application/grpc "
            "te=trailers cookie=a=1; b=2\ndata hello world\nend\n");
  ServerStream& s = *p.server_host.last().stream;
  s.send_informational(response(103));
  s.send_response(response(200, Body::kStream));
  s.send_data(bytes_of("answer"), false);
  HeaderList trailers;
  trailers.add("grpc-status", "0");
  trailers.add("x-envoy-secret", "1");
  s.send_trailers(trailers);
  p.run();
  EXPECT_EQ(p.client_host.log.text(),
            "informational 103\nresponse 200\ndata answer\ntrailers grpc-status=0\n");
  EXPECT_EQ(p.client->active(), 0u);
  EXPECT_EQ(p.server->active(), 0u);
  EXPECT_FALSE(p.client->finished());
  EXPECT_FALSE(p.server->finished());
}

TEST(Http2, LengthsHeadAndTrailersOnly) {
  Pair p;
  p.server_host.answer_at_end = true;
  p.server_host.body = "hello";
  p.client_host.start(*p.client, request("GET", "/a"), true);
  p.client_host.start(*p.client, request("HEAD", "/b"), true);
  p.client_host.start(*p.client, request("OPTIONS", "*"), true);
  RequestHead put = request("PUT", "/c", Body::kLength, 3);
  p.client_host.start(*p.client, put, false)->stream->send_data(bytes_of("abc"), true);
  p.run();
  EXPECT_EQ(p.server_host.log.text(),
            "request GET http://web.shop:8080/a end\nrequest HEAD http://web.shop:8080/b end\n"
            "request OPTIONS http://web.shop:8080* end\nrequest PUT http://web.shop:8080/c\n"
            "data abc\nend\n");
  EXPECT_EQ(p.server_host.last().stream->request().content_length, 3u);
  EXPECT_NE(p.client_host.log.text().find("response 200 server=test end\n"), std::string::npos);

  Pair q;
  q.client_host.start(*q.client, request("POST", "/g"), true);
  q.run();
  ResponseHead only = response(200);
  only.headers.add("grpc-status", "7");
  q.server_host.last().stream->send_response(only);
  q.run();
  EXPECT_EQ(q.client_host.log.text(), "response 200 grpc-status=7 end\n");
}

TEST(Http2, ALargeBodyFlowsByWindowsAndIsNotHeldInMemory) {
  Pair p;
  auto* r = p.client_host.start(*p.client, request("POST", "/", Body::kStream), false);
  const std::string piece(16 << 10, 'x');
  size_t sent = 0, most = 0;
  for (int i = 0; i < 10000 && sent < (32u << 20); ++i) {
    while (r->stream->writable() && sent < (32u << 20)) {
      r->stream->send_data(bytes_of(piece), false);
      sent += piece.size();
    }
    p.run();
    most = std::max(most, p.client_side.pool.in_use() + p.server_side.pool.in_use());
    p.sent_up.clear();
  }
  r->stream->send_data({}, true);
  p.run();
  EXPECT_EQ(p.server_host.received, sent);
  EXPECT_TRUE(p.server_host.last().ended);
  EXPECT_LT(most, 2u << 20);
}

TEST(Http2, APausedStreamStopsItsSenderAndNoOther) {
  Pair p;
  p.server_host.pause_on_data = true;
  auto* slow = p.client_host.start(*p.client, request("POST", "/slow", Body::kStream), false);
  const std::string piece(64 << 10, 'x');
  size_t sent = 0;
  for (int i = 0; i < 100 && slow->stream->writable(); ++i) {
    slow->stream->send_data(bytes_of(piece), false);
    sent += piece.size();
    p.run();
  }
  EXPECT_FALSE(slow->stream->writable());
  EXPECT_EQ(p.server_host.received, p.server_side.limits.stream_window);
  EXPECT_LE(sent,
            p.server_side.limits.stream_window + p.client_side.limits.write_high + piece.size());

  auto* slow_request = p.server_host.requests.front().get();
  p.server_host.pause_on_data = false;
  p.server_host.answer_at_end = true;
  auto* fast = p.client_host.start(*p.client, request("POST", "/fast", Body::kStream), false);
  fast->stream->send_data(bytes_of(piece), true);
  p.run();
  EXPECT_TRUE(fast->ended);

  slow_request->stream->resume();
  p.run();
  EXPECT_EQ(p.client_host.writable_again, 1);
  slow->stream->send_data({}, true);
  p.run();
  EXPECT_TRUE(slow->ended);
  EXPECT_EQ(p.server_host.received, sent + piece.size());
}

TEST(Http2, WindowsAreGivenBackForStreamsThatEndWhilePaused) {
  Pair p;
  p.server_host.pause_on_data = true;
  const std::string piece(60 << 10, 'x');
  // Far more than the connection's window in all.
  for (int i = 0; i < 200; ++i) {
    auto* r = p.client_host.start(*p.client, request("POST", "/", Body::kStream), false);
    ASSERT_NE(r, nullptr) << i;
    r->stream->send_data(bytes_of(piece), i % 2 == 0);
    p.run();
    ASSERT_EQ(p.server_host.received, piece.size() * static_cast<size_t>(i + 1));
    if (i % 2 == 0) {
      p.server_host.last().stream->reset();
    } else {
      r->stream->reset();
    }
    p.now += milliseconds(100);
    p.run();
  }
  EXPECT_FALSE(p.server->finished());
}

TEST(Http2, ResetsGoBothWays) {
  Pair p;
  auto* a = p.client_host.start(*p.client, request("POST", "/a", Body::kStream), false);
  p.run();
  a->stream->reset(8);
  p.run();
  EXPECT_EQ(p.server_host.last_reset.h2_code, 8u);
  EXPECT_EQ(p.server_host.last_reset.reason, ResetReason::kPeerReset);
  auto* b = p.client_host.start(*p.client, request("GET", "/b"), true);
  p.run();
  p.server_host.last().stream->reset(2);
  p.run();
  EXPECT_TRUE(b->gone);
  EXPECT_EQ(p.client_host.last_reset.h2_code, 2u);
  EXPECT_TRUE(p.client_host.last_reset.before_response);
  auto* c = p.client_host.start(*p.client, request("GET", "/c"), true);
  p.run();
  p.server_host.last().stream->reset(7);
  p.run();
  EXPECT_TRUE(c->gone);
  EXPECT_EQ(p.client_host.last_reset.reason, ResetReason::kRefused);
}

TEST(Http2, AnEarlyAnswerArrivesWholeBeforeItsReset) {
  Pair p;
  auto* r = p.client_host.start(*p.client, request("POST", "/", Body::kStream), false);
  p.run();
  ServerStream& s = *p.server_host.last().stream;
  s.send_response(response(403, Body::kLength, 19));
  s.send_data(bytes_of("RBAC: access denied"), true);
  s.reset();
  p.run();
  EXPECT_NE(p.client_host.log.text().find("response 403\ndata RBAC: access denied\nend\n"),
            std::string::npos)
      << p.client_host.log.text();
  EXPECT_TRUE(r->ended);
}

TEST(Http2, WebSocketByExtendedConnect) {
  Pair p;
  RequestHead head = request("GET", "/ws", Body::kTunnel);
  head.upgrade = "websocket";
  EXPECT_EQ(p.client_host.start(*p.client, head, false), nullptr);  // SETTINGS have not come
  p.run();
  auto* r = p.client_host.start(*p.client, head, false);
  ASSERT_NE(r, nullptr);
  p.run();
  EXPECT_EQ(p.server_host.log.text(), "request GET http://web.shop:8080/ws upgrade websocket\n");
  p.server_host.last().stream->send_response(response(101, Body::kTunnel));
  p.run();
  r->stream->send_data(bytes_of("ping"), false);
  p.server_host.last().stream->send_data(bytes_of("pong"), true);
  p.run();
  r->stream->send_data({}, true);
  p.run();
  EXPECT_EQ(p.client_host.log.text(), "response 101\ndata pong\nend\n");
  EXPECT_EQ(p.server_host.log.text(),
            "request GET http://web.shop:8080/ws upgrade websocket\ndata ping\nend\n");
  EXPECT_EQ(p.client->active() + p.server->active(), 0u);

  r = p.client_host.start(*p.client, head, false);
  p.client_host.log.clear();
  p.run();
  p.server_host.last().stream->send_response(response(403, Body::kLength, 2));
  p.server_host.last().stream->send_data(bytes_of("no"), true);
  p.run();
  EXPECT_EQ(p.client_host.log.text(), "response 403\ndata no\nend\n");
  EXPECT_EQ(p.client->active() + p.server->active(), 0u);

  Pair early({.extended_connect = true}, {.early_extended_connect = true});
  EXPECT_NE(early.client_host.start(*early.client, head, false), nullptr);
  early.run();
  EXPECT_EQ(early.server_host.requests.size(), 1u);

  Pair plain({.extended_connect = false}, {.early_extended_connect = true});
  plain.run();
  EXPECT_EQ(plain.client_host.start(*plain.client, head, false), nullptr);
}

TEST(Http2, DrainServesWhatIsOnItsWay) {
  Pair p;
  auto* a = p.client_host.start(*p.client, request("GET", "/a"), true);
  p.run();
  auto* late = p.client_host.start(*p.client, request("GET", "/late"), true);
  p.server->drain(p.now);
  p.run();
  EXPECT_FALSE(p.client->can_start());
  EXPECT_EQ(p.server_host.requests.size(), 2u);
  EXPECT_LE(p.server->deadline(), p.now + seconds(1));
  p.now += seconds(1);
  p.server->on_time(p.now);
  p.run();
  EXPECT_FALSE(p.server->finished());
  for (auto& r : p.server_host.requests) r->stream->send_response(response(200));
  p.run();
  EXPECT_TRUE(a->ended);
  EXPECT_TRUE(late->ended);
  EXPECT_TRUE(p.server->finished());
  EXPECT_TRUE(p.client->finished());
}

TEST(Http2, AClientThatDrainsSaysGoodBye) {
  Pair p;
  auto* a = p.client_host.start(*p.client, request("GET", "/a"), true);
  p.run();
  p.client->drain(p.now);
  EXPECT_FALSE(p.client->can_start());
  p.run();
  EXPECT_FALSE(p.client->finished());
  p.server_host.last().stream->send_response(response(200));
  p.run();
  EXPECT_TRUE(a->ended);
  EXPECT_TRUE(p.client->finished());
  EXPECT_TRUE(p.server->finished());
}

TEST(Http2, ALostConnectionResetsEveryStream) {
  Pair p;
  auto* a = p.client_host.start(*p.client, request("GET", "/a"), true);
  auto* b = p.client_host.start(*p.client, request("GET", "/b"), true);
  p.run();
  p.server_host.last().stream->send_response(response(200, Body::kStream));
  p.run();
  p.client->receive_end(p.now);
  EXPECT_TRUE(a->gone);
  EXPECT_TRUE(b->gone);
  EXPECT_FALSE(p.client_host.last_reset.before_response);
  EXPECT_TRUE(p.client->finished());
}

TEST(Http2, StreamsAreBoundedByThePeer) {
  Pair p({.max_streams = 3});
  p.run();
  for (int i = 0; i < 3; ++i)
    EXPECT_NE(p.client_host.start(*p.client, request("GET", "/"), true), nullptr);
  EXPECT_EQ(p.client_host.start(*p.client, request("GET", "/"), true), nullptr);
  p.run();
  p.server_host.last().stream->send_response(response(200));
  p.run();
  EXPECT_TRUE(p.client->can_start());
  EXPECT_GT(p.client_host.capacity, 0);
}

TEST(Http2, NoEmptyDataFramesButTheLast) {
  Pair p;
  auto* r = p.client_host.start(*p.client, request("POST", "/", Body::kStream), false);
  p.run();
  r->stream->send_data({}, false);
  p.run();
  r->stream->send_data(bytes_of("a"), false);
  r->stream->send_data(bytes_of("b"), false);  // the same turn: the same frame
  p.run();
  p.sent_up.clear();
  HeaderList trailers;
  trailers.add("x", "1");
  r->stream->send_trailers(trailers);
  p.run();
  EXPECT_EQ(p.sent_up[3], 1);  // HEADERS at once, no empty DATA before
  EXPECT_EQ(p.server_host.log.text(),
            "request POST http://web.shop:8080/\ndata ab\ntrailers x=1\n");
  EXPECT_EQ(p.server_side.counters.get(Counter::kEmptyFrames), 0u);
}

TEST(Http2, PingsFindAPeerThatIsGone) {
  Pair p({}, {.keepalive_ping = true});
  auto* r = p.client_host.start(*p.client, request("GET", "/"), true);
  p.run();
  EXPECT_EQ(p.client->deadline(), p.now + seconds(10));
  p.now += seconds(10);
  p.client->on_time(p.now);
  p.run();  // answered
  p.now += seconds(10);
  p.client->on_time(p.now);
  p.client->collect(p.now);
  p.client_side.take();  // lost
  p.now += seconds(19);
  p.client->on_time(p.now);
  EXPECT_FALSE(r->gone);
  p.now += seconds(1);
  p.client->on_time(p.now);
  EXPECT_TRUE(r->gone);
  EXPECT_EQ(p.client_side.counters.get(Counter::kPingTimeout), 1u);
  EXPECT_TRUE(p.client->finished());
}

TEST(Http2, AnySplitGivesTheSameEvents) {
  const std::string input =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") +
      headers_frame(1, get_fields("/a") + hpack("cookie", "a=1") + hpack("cookie", "b=2")) +
      headers_frame(3,
                    hpack(":method", "POST") + hpack(":scheme", "HTTP") + hpack(":path", "/b") +
                        hpack("host", "web"),
                    false) +
      frame(0, 0, 3, "hello") + frame(0, 8, 3, std::string("\2ok\0\0", 5)) +
      headers_frame(3, hpack("x-t", "1"));
  for (size_t step = 1; step <= input.size(); ++step) {
    Side side;
    ServerRecorder host;
    auto server = make_h2_server(side.context(), host);
    for (size_t i = 0; i < input.size(); i += step)
      side.feed(*server, std::string_view(input).substr(i, step), at_seconds(0));
    ASSERT_EQ(host.log.text(),
              "request GET http://web/a cookie=a=1; b=2 end\nrequest POST http://web/b\n"
              "data hellook\ntrailers x-t=1\n")
        << step;
  }
}

}  // namespace
}  // namespace sallyport::http
