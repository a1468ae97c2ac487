#include "http/h1_server.h"

#include "http/test_codec.h"

namespace sallyport::http {
namespace {

using namespace testing;

class Http1Server : public ::testing::Test {
 protected:
  void feed(std::string_view text) { side.feed(*codec, text, at_seconds(0)); }
  ResponseHead response(uint16_t status, Body body = Body::kNone, uint64_t length = 0) {
    ResponseHead head;
    head.status = status;
    head.body = body;
    head.content_length = length;
    return head;
  }

  Side side;
  ServerRecorder host;
  std::unique_ptr<Codec> codec = make_h1_server(side.context(), host);
};

TEST_F(Http1Server, KeepsAliveAndAnswersPipelinedRequestsInOrder) {
  feed("GET /1 HTTP/1.1\r\nHost: w\r\n\r\nGET /2 HTTP/1.1\r\nHost: w\r\n\r\n");
  EXPECT_EQ(host.log.text(), "request GET http://w/1 end\n");
  host.last().stream->send_response(response(200));
  EXPECT_GT(host.inputs, 0);
  side.feed(*codec, "", at_seconds(0));
  EXPECT_EQ(host.log.text(), "request GET http://w/1 end\nrequest GET http://w/2 end\n");
  ResponseHead head = response(200, Body::kStream);
  head.headers.add("x-a", "1");
  head.headers.add("connection", "close");  // not the user's to say
  host.last().stream->send_response(head);
  host.last().stream->send_data(bytes_of("hello"), false);
  host.last().stream->send_data({}, false);
  host.last().stream->send_data(bytes_of(" world"), true);
  EXPECT_EQ(side.take(),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            "HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  EXPECT_FALSE(codec->finished());
  EXPECT_EQ(codec->active(), 0u);
}

TEST_F(Http1Server, OneTurnTakesSoManyPipelinedRequestsAndNoMore) {
  host.answer_at_end = true;
  std::string input;
  for (int i = 0; i < 40; ++i) input += "GET / HTTP/1.1\r\nHost: w\r\n\r\n";
  feed(input);
  EXPECT_EQ(host.requests.size(), 16u);
  EXPECT_EQ(host.inputs, 1);
  EXPECT_EQ(codec->active(), 1u) << "an end of the connection must wait for what is left";
  feed("");
  feed("");
  EXPECT_EQ(host.requests.size(), 40u);
  EXPECT_EQ(codec->active(), 0u);
}

TEST_F(Http1Server, WhoDoesNotReadTheAnswersGetsNoMoreOfThem) {
  host.answer_at_end = true;
  side.limits.write_high = 1000;
  side.limits.write_low = 100;
  std::string input;
  for (int i = 0; i < 100; ++i) input += "GET / HTTP/1.1\r\nHost: w\r\n\r\n";
  feed(input);
  for (int i = 0; i < 100; ++i) feed("");
  const size_t begun = host.requests.size();
  EXPECT_LT(begun, 40u);
  EXPECT_LT(side.out.size(), 1200u);
  EXPECT_EQ(codec->active(), 1u);
  const int asked = host.inputs;
  codec->drained();
  EXPECT_EQ(host.inputs, asked) << "nothing has left yet";
  side.take();
  codec->drained();
  EXPECT_EQ(host.inputs, asked + 1);
  feed("");
  EXPECT_GT(host.requests.size(), begun);
}

TEST_F(Http1Server, ClosesWhereTheClientAsksOrIsOld) {
  feed("GET / HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
  host.last().stream->send_response(response(204));
  EXPECT_EQ(side.take(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(codec->finished());

  codec = make_h1_server(side.context(), host);
  feed("GET / HTTP/1.0\r\nHost: w\r\nConnection: keep-alive\r\n\r\n");
  host.last().stream->send_response(response(200, Body::kLength, 2));
  host.last().stream->send_data(bytes_of("ok"), true);
  EXPECT_EQ(side.take(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
  EXPECT_FALSE(codec->finished());
  feed("GET / HTTP/1.0\r\nHost: w\r\nConnection: keep-alive\r\n\r\n");
  host.last().stream->send_response(response(200, Body::kStream));
  host.last().stream->send_data(bytes_of("until close"), true);
  EXPECT_EQ(side.take(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil close");
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, HeadAnd304HaveALengthAndNoBody) {
  feed("HEAD / HTTP/1.1\r\nHost: w\r\n\r\n");
  host.last().stream->send_response(response(200, Body::kLength, 5));
  host.last().stream->send_data(bytes_of("hello"), true);
  EXPECT_EQ(side.take(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  ResponseHead head = response(304);
  head.has_length = true;
  head.content_length = 7;
  host.last().stream->send_response(head);
  EXPECT_EQ(side.take(), "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n");
  EXPECT_FALSE(codec->finished());
}

TEST_F(Http1Server, InformationalResponsesGoBeforeTheFinalOne) {
  feed("POST / HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(host.last().stream->request().expect_continue);
  host.last().stream->send_informational(response(100));
  ResponseHead hints = response(103);
  hints.headers.add("link", "</a>");
  host.last().stream->send_informational(hints);
  feed("ok");
  host.last().stream->send_response(response(200));
  EXPECT_EQ(side.take(),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  EXPECT_FALSE(codec->finished());
}

TEST_F(Http1Server, AnAnswerBeforeTheExpectedBodyEndsTheConnection) {
  feed("POST / HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  host.last().stream->send_response(response(403));
  host.last().stream->reset();
  EXPECT_EQ(side.take(),
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, TheRestOfAnAnsweredRequestIsReadAndDropped) {
  feed("POST /a HTTP/1.1\r\nHost: w\r\nContent-Length: 10\r\n\r\nabc");
  host.last().stream->send_response(response(403));
  host.last().stream->reset();
  EXPECT_FALSE(codec->finished());
  feed("defghijGET /b HTTP/1.1\r\nHost: w\r\n\r\n");
  EXPECT_EQ(host.log.text(), "request POST http://w/a\ndata abc\nrequest GET http://w/b end\n");

  // A long rest is not.
  host.last().stream->send_response(response(200));
  feed("POST /c HTTP/1.1\r\nHost: w\r\nContent-Length: 10000000\r\n\r\n");
  host.last().stream->send_response(response(403));
  host.last().stream->reset();
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, ABodyLongerOrShorterThanDeclaredIsNeverWritten) {
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  host.last().stream->send_response(response(200, Body::kLength, 3));
  host.last().stream->send_data(bytes_of("four"), true);
  EXPECT_EQ(side.take(), "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
  EXPECT_TRUE(codec->finished());
  codec = make_h1_server(side.context(), host);
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  host.last().stream->send_response(response(200, Body::kLength, 3));
  host.last().stream->send_data(bytes_of("ab"), true);
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, UpgradeBecomesATunnelOnlyWith101) {
  const std::string upgrade =
      "GET /ws HTTP/1.1\r\nHost: w\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
      "Sec-WebSocket-Key: a\r\n\r\n";
  feed(upgrade + "early");
  EXPECT_EQ(host.log.text(), "request GET http://w/ws sec-websocket-key=a upgrade websocket\n");
  ResponseHead head = response(101, Body::kTunnel);
  host.last().stream->send_response(head);
  EXPECT_EQ(
      side.take(),
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  side.feed(*codec, "", at_seconds(0));
  feed("more");
  host.last().stream->send_data(bytes_of("\x81"), false);
  host.last().stream->send_data({}, true);
  EXPECT_TRUE(codec->output_ended());
  EXPECT_FALSE(codec->finished());  // half-closed: the client may still talk
  feed("!");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(),
            "request GET http://w/ws sec-websocket-key=a upgrade websocket\n"
            "data earlymore!\nend\n");
  EXPECT_EQ(side.take(), "\x81");
  EXPECT_TRUE(codec->finished());

  // Refused: what came early is no request.
  codec = make_h1_server(side.context(), host);
  host.log.clear();
  feed(upgrade + "GET /smuggled HTTP/1.1\r\nHost: w\r\n\r\n");
  host.last().stream->send_response(response(403));
  side.feed(*codec, "", at_seconds(0));
  EXPECT_EQ(host.log.text().find("smuggled"), std::string::npos);
  EXPECT_TRUE(side.take().ends_with("connection: close\r\n\r\n"));
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, PauseLeavesBytesInTheBuffer) {
  host.pause_on_data = true;
  feed(
      "POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: "
      "chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
  EXPECT_EQ(host.received, 1u);
  EXPECT_FALSE(codec->wants_input());
  host.pause_on_data = false;
  host.last().stream->resume();
  EXPECT_TRUE(codec->wants_input());
  EXPECT_EQ(host.inputs, 1);
  side.feed(*codec, "", at_seconds(0));
  EXPECT_EQ(host.log.text(), "request POST http://w/\ndata ab\nend\n");
}

TEST_F(Http1Server, TellsWhenThereIsRoomAgain) {
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  ServerStream& stream = *host.last().stream;
  stream.send_response(response(200, Body::kStream));
  const std::string piece(16 << 10, 'x');
  int pieces = 0;
  while (stream.writable() && ++pieces < 100) stream.send_data(bytes_of(piece), false);
  EXPECT_EQ(pieces, 16);
  codec->drained();
  EXPECT_EQ(host.writable_again, 0);
  side.out.consume(side.out.size() - side.limits.write_low);
  codec->drained();
  EXPECT_EQ(host.writable_again, 1);
  codec->drained();
  EXPECT_EQ(host.writable_again, 1);
}

TEST_F(Http1Server, AnEndInTheMiddleResetsTheRequest) {
  feed("POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 10\r\n\r\nabc");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.log.text(), "request POST http://w/\ndata abc\nreset connection ended\n");
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(side.counters.get(Counter::kBodyShort), 1u);
}

TEST_F(Http1Server, AClientThatEndsWhileItWaitsHasGoneAway) {
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  codec->receive_end(at_seconds(0));
  EXPECT_EQ(host.last_reset.reason, ResetReason::kPeerClosed);
  EXPECT_TRUE(host.last().gone);
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, DrainsAfterTheRequestUnderWay) {
  feed("GET / HTTP/1.1\r\nHost: w\r\n\r\n");
  codec->drain(at_seconds(0));
  EXPECT_FALSE(codec->finished());
  host.last().stream->send_response(response(200));
  EXPECT_TRUE(codec->finished());
  EXPECT_TRUE(side.take().ends_with("connection: close\r\n\r\n"));
  codec = make_h1_server(side.context(), host);
  codec->drain(at_seconds(0));
  EXPECT_TRUE(codec->finished());
}

TEST_F(Http1Server, AMalformedBodyAfterTheAnswerBeganEndsTheConnectionWithoutAnother) {
  feed("POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  host.last().stream->send_response(response(200, Body::kStream));
  side.take();
  feed("zz\r\n");
  EXPECT_EQ(side.take(), "");
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(host.last_reset.reason, ResetReason::kMalformed);
}

}  // namespace
}  // namespace sallyport::http
