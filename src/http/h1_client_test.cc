#include "http/h1_client.h"

#include "http/test_codec.h"

namespace sallyport::http {
namespace {

using namespace testing;

class Http1Client : public ::testing::Test {
 protected:
  void feed(std::string_view text) { side.feed(*codec, text, at_seconds(0)); }
  void start(const RequestHead& head, bool end = true) {
    ASSERT_NE(host.start(*codec, head, end), nullptr);
    side.take();
  }
  ClientStream& stream() { return *host.responses.back()->stream; }

  Side side;
  ClientRecorder host;
  std::unique_ptr<ClientCodec> codec = make_h1_client(side.context(), host);
};

TEST_F(Http1Client, WritesRequestsWithItsOwnFraming) {
  RequestHead head = request("POST", "/v1?x=1", Body::kLength, 2);
  head.headers.add("x-a", "1");
  head.headers.add("connection", "close");
  head.headers.add("transfer-encoding", "chunked");
  head.headers.add("content-length", "99");
  head.headers.add("host", "evil");
  head.headers.add("te", "trailers");
  ASSERT_NE(host.start(*codec, head, false), nullptr);
  EXPECT_FALSE(codec->can_start());
  EXPECT_EQ(codec->start(head, false, *host.responses.back()), nullptr);
  stream().send_data(bytes_of("ok"), true);
  EXPECT_EQ(
      side.take(),
      "POST /v1?x=1 HTTP/1.1\r\nhost: web.shop:8080\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nok");
  feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(codec->can_start());
  EXPECT_EQ(host.capacity, 1);

  ASSERT_NE(host.start(*codec, request("POST", "/"), true), nullptr);
  EXPECT_EQ(side.take(), "POST / HTTP/1.1\r\nhost: web.shop:8080\r\ncontent-length: 0\r\n\r\n");
  feed("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n");
  ASSERT_NE(host.start(*codec, request("PUT", "/", Body::kStream), false), nullptr);
  stream().send_data(bytes_of("abc"), false);
  HeaderList trailers;
  trailers.add("x-sum", "1");
  trailers.add("content-length", "3");
  stream().send_trailers(trailers);
  EXPECT_EQ(side.take(),
            "PUT / HTTP/1.1\r\nhost: web.shop:8080\r\ntransfer-encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
}

TEST_F(Http1Client, AnySplitGivesTheSameEvents) {
  const std::string input =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
      "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nConnection: X-B\r\nX-B: "
      "2\r\n\r\n"
      "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
  for (size_t step = 1; step < input.size(); ++step) {
    Side s;
    ClientRecorder h;
    auto c = make_h1_client(s.context(), h);
    ASSERT_NE(h.start(*c, request("GET", "/"), true), nullptr);
    for (size_t i = 0; i < input.size(); i += step)
      s.feed(*c, std::string_view(input).substr(i, step), at_seconds(0));
    EXPECT_EQ(h.log.text(),
              "informational 100\ninformational 103 link=a\nresponse 200 x-a=1\ndata abcde\n"
              "trailers x-t=1\n")
        << step;
    EXPECT_TRUE(c->can_start());
  }
}

TEST_F(Http1Client, ResponsesWithoutBodies) {
  start(request("HEAD", "/"));
  feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  EXPECT_TRUE(codec->can_start());
  start(request("GET", "/"));
  feed("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
  EXPECT_TRUE(codec->can_start());
  start(request("GET", "/"));
  feed("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_TRUE(codec->can_start());
  EXPECT_EQ(host.log.text(), "response 200 end\nresponse 304 end\nresponse 204 end\n");
}

TEST_F(Http1Client, UntilClose) {
  start(request("GET", "/"));
  feed("HTTP/1.0 200 OK\r\n\r\nabc");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(), "response 200\ndata abc\nend\n");
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Client, BytesBeyondTheResponseEndTheConnection) {
  start(request("GET", "/"));
  feed(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(host.log.text(), "response 200\ndata ok\nend\n");
  EXPECT_FALSE(codec->can_start());
  EXPECT_TRUE(codec->finished());

  codec = make_h1_client(side.context(), host);
  feed("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(codec->start(request("GET", "/"), true, *host.responses.back()), nullptr);
}

TEST_F(Http1Client, WhatIsWrongWithResponses) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::pair<std::string, const char*> cases[] = {
      {"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "malformed_field"},
      {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed_framing"},
      {ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_framing"},
      {ok + "Transfer-Encoding: gzip\r\n\r\n", "malformed_framing"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_framing"},
      {ok + "X: a\r\n b\r\n\r\n", "malformed_field"},
      {ok + "X : a\r\n\r\n", "malformed_field"},
      {"HTTP/1.1 20 OK\r\n\r\n", "malformed_line"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "malformed_line"},
      {"HTTP/1.1 099 OK\r\n\r\n", "malformed_line"},
      {"HTTP/1.1 600 OK\r\n\r\n", "malformed_line"},
      {"HTTP/2.0 200 OK\r\n\r\n", "version_refused"},
      {"ICY 200 OK\r\n\r\n", "malformed_line"},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "malformed_line"},
      {ok + "Transfer-Encoding: chunked\r\n\r\nz\r\n", "malformed_chunk"},
      {ok + "X: " + std::string(70000, 'x'), "head_bytes"},
  };
  for (const auto& [input, what] : cases) {
    codec = make_h1_client(side.context(), host);
    host.log.clear();
    start(request("GET", "/"));
    feed(input);
    EXPECT_TRUE(codec->finished()) << input;
    EXPECT_NE(host.log.text().find("reset malformed message\nviolation " + std::string(what)),
              std::string::npos)
        << input << host.log.text();
  }
}

TEST_F(Http1Client, TooManyInformationalResponses) {
  start(request("GET", "/"));
  for (size_t i = 0; i <= side.limits.informational; ++i) feed("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(side.counters.get(Counter::kInformational), 1u);
}

TEST_F(Http1Client, AnEndTellsWhetherARetryIsSafe) {
  start(request("GET", "/"));
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(), "reset connection ended before\n");
  EXPECT_TRUE(codec->finished());
  codec = make_h1_client(side.context(), host);
  host.log.clear();
  start(request("GET", "/"));
  feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(), "response 200\ndata ab\nreset connection ended\n");
  EXPECT_EQ(side.counters.get(Counter::kBodyShort), 1u);
  codec = make_h1_client(side.context(), host);
  codec->receive_end(at_seconds(0));
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Client, Tunnel) {
  RequestHead head = request("GET", "/ws", Body::kTunnel);
  head.upgrade = "websocket";
  head.headers.add("sec-websocket-key", "k");
  ASSERT_NE(host.start(*codec, head, false), nullptr);
  EXPECT_EQ(side.take(),
            "GET /ws HTTP/1.1\r\nhost: web.shop:8080\r\nsec-websocket-key: k\r\n"
            "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
  feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab");
  stream().send_data(bytes_of("xy"), false);
  stream().send_data({}, true);
  EXPECT_TRUE(codec->output_ended());
  EXPECT_EQ(side.take(), "xy");
  feed("c");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(), "response 101\ndata abc\nend\n");
  EXPECT_TRUE(codec->finished());

  // Refused: an ordinary response; the connection is not used again.
  codec = make_h1_client(side.context(), host);
  host.log.clear();
  head.headers.clear();
  ASSERT_NE(host.start(*codec, head, false), nullptr);
  EXPECT_NE(side.take().find("sec-websocket-key: "), std::string::npos);  // made where missing
  feed("HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(host.log.text(), "response 426\ndata no\nend\n");
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Client, AResponseBeforeTheRequestEndedKeepsTheStream) {
  ASSERT_NE(host.start(*codec, request("POST", "/", Body::kLength, 4), false), nullptr);
  feed("HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(codec->can_start());
  stream().send_data(bytes_of("body"), true);
  EXPECT_TRUE(codec->can_start());
}

TEST_F(Http1Client, DrainsAfterTheRequestUnderWay) {
  start(request("GET", "/"));
  codec->drain(at_seconds(0));
  EXPECT_FALSE(codec->finished());
  feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(codec->finished());
}

}  // namespace
}  // namespace sallyport::http
