// What an HTTP/1 server accepts and what it refuses.
#include "http/h1_server.h"
#include "http/test_codec.h"

namespace sallyport::http {
namespace {

using namespace testing;

std::string run(std::string_view input, size_t step, std::string* written = nullptr) {
  Side side;
  ServerRecorder host;
  host.answer_at_end = true;
  auto codec = make_h1_server(side.context(), host);
  for (size_t i = 0; i < input.size(); i += step) {
    side.feed(*codec, input.substr(i, step), at_seconds(0));
  }
  side.feed(*codec, "", at_seconds(0));
  if (written != nullptr) *written = side.take();
  return host.log.text();
}

TEST(Http1Request, AnySplitGivesTheSameEvents) {
  const std::string messages[] = {
      "GET /a?b=c HTTP/1.1\r\nHost: web\r\nX-One: 1\r\nx-one:\t two \r\n\r\n",
      "POST /v1 HTTP/1.1\r\nHost: web:80\r\nContent-Length: 11\r\n\r\nhello world"
      "GET /next HTTP/1.1\r\nHost: web\r\n\r\n",
      "PUT /c HTTP/1.1\r\nhost: web\r\ntransfer-encoding: Chunked\r\ntrailer: x-sum\r\n\r\n"
      "5;ext=\"a b\"\r\nhello\r\n00006\r\n world\r\n0\r\nX-Sum: 9\r\nhost: evil\r\n\r\n"
      "\r\nGET / HTTP/1.1\r\nHost: web\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: web\r\n\r\n",
      "GET http://Web:80/x HTTP/1.1\r\nHost: web:80\r\n\r\n",
      "GET https://web HTTP/1.1\r\nHost: web\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: w\r\nConnection: close, x-drop\r\nX-Drop: 1\r\nX-Keep: \xc3\xa4\r\n"
      "Keep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
  };
  for (const std::string& message : messages) {
    const std::string whole = run(message, message.size());
    EXPECT_EQ(whole.find("violation"), std::string::npos) << message << whole;
    for (size_t step = 1; step < 8; ++step) EXPECT_EQ(run(message, step), whole) << message << step;
  }
  EXPECT_EQ(run(messages[0], 1000), "request GET http://web/a?b=c x-one=1 x-one=two end\n");
  EXPECT_EQ(run(messages[1], 1000),
            "request POST http://web:80/v1\ndata hello world\nend\n"
            "request GET http://web/next end\n");
  EXPECT_EQ(run(messages[2], 1000),
            "request PUT http://web/c trailer=x-sum\ndata hello world\ntrailers x-sum=9\n"
            "request GET http://web/ end\n");
  EXPECT_EQ(run(messages[5], 1000), "request GET https://web/ end\n");
  EXPECT_EQ(run(messages[7], 1000), "request GET http://w/ x-keep=\xc3\xa4 end\n");
}

struct Refused {
  const char* name;
  std::string input;
  const char* violation;
};

TEST(Http1Request, WhatTwoParsersCouldReadInTwoWaysIsRefused) {
  const std::string get = "GET / HTTP/1.1\r\n", host = "Host: web\r\n";
  const std::string post = "POST / HTTP/1.1\r\nHost: web\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const Refused cases[] = {
      {"bare LF in request line", "GET / HTTP/1.1\nHost: web\r\n\r\n", "malformed_field 400"},
      {"bare LF in field", get + "Host: web\nX: 1\r\n\r\n", "malformed_field 400"},
      {"bare LF LF", get + "Host: web\n\n", "malformed_field 400"},
      {"bare CR", get + host + "X: a\rb\r\n\r\n", "malformed_field 400"},
      {"CR CR LF", get + host + "X: a\r\r\n\r\n", "malformed_field 400"},
      {"obs-fold", get + host + "X: a\r\n b\r\n\r\n", "malformed_field 400"},
      {"obs-fold first", get + " X: a\r\n" + host + "\r\n", "malformed_field 400"},
      {"space before colon", get + "Host : web\r\n\r\n", "malformed_field 400"},
      {"tab before colon", get + host + "Content-Length\t: 5\r\n\r\n", "malformed_field 400"},
      {"empty name", get + host + ": x\r\n\r\n", "malformed_field 400"},
      {"no colon", get + host + "X\r\n\r\n", "malformed_field 400"},
      {"NUL in value", get + host + std::string("X: a\0b\r\n\r\n", 10), "malformed_field 400"},
      {"NUL in name", get + host + std::string("X\0: ab\r\n\r\n", 10), "malformed_field 400"},
      {"control in value", get + host + "X: a\x01\r\n\r\n", "malformed_field 400"},
      {"DEL in value", get + host + "X: a\x7f\r\n\r\n", "malformed_field 400"},
      {"obs-text in name", get + host + "X\xc3\xa4: a\r\n\r\n", "malformed_field 400"},
      {"CL and TE", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "malformed_framing 400"},
      {"TE and CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
       "malformed_framing 400"},
      {"two CL", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
       "malformed_framing 400"},
      {"two equal CL", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
       "malformed_framing 400"},
      {"CL list", post + "Content-Length: 5, 5\r\n\r\nhello", "malformed_framing 400"},
      {"CL sign", post + "Content-Length: +5\r\n\r\nhello", "malformed_framing 400"},
      {"CL negative", post + "Content-Length: -5\r\n\r\nhello", "malformed_framing 400"},
      {"CL hex", post + "Content-Length: 0x5\r\n\r\nhello", "malformed_framing 400"},
      {"CL space", post + "Content-Length: 5 5\r\n\r\nhello", "malformed_framing 400"},
      {"CL empty", post + "Content-Length:\r\n\r\n", "malformed_framing 400"},
      {"CL huge", post + "Content-Length: 99999999999999999999\r\n\r\n", "malformed_framing 400"},
      {"TE identity", post + "Transfer-Encoding: identity\r\n\r\n", "malformed_framing 501"},
      {"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n",
       "malformed_framing 501"},
      {"TE chunked, chunked", post + "Transfer-Encoding: chunked, chunked\r\n\r\n",
       "malformed_framing 501"},
      {"TE xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n", "malformed_framing 501"},
      {"TE twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       "malformed_framing 400"},
      {"TE quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", "malformed_framing 501"},
      {"TE vertical tab",
       post + "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
       "malformed_field 400"},
      {"TE in 1.0", "POST / HTTP/1.0\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n",
       "malformed_framing 400"},
      {"no Host", get + "\r\n", "malformed_host 400"},
      {"empty Host", get + "Host:\r\n\r\n", "malformed_host 400"},
      {"two Hosts", get + host + host + "\r\n", "malformed_host 400"},
      {"Host with user", get + "Host: a@web\r\n\r\n", "malformed_host 400"},
      {"Host with path", get + "Host: web/x\r\n\r\n", "malformed_host 400"},
      {"Host with list", get + "Host: web web2\r\n\r\n", "malformed_host 400"},
      {"Host port", get + "Host: web:99999\r\n\r\n", "malformed_host 400"},
      {"absolute-form contradicts", "GET http://evil/ HTTP/1.1\r\nHost: web\r\n\r\n",
       "malformed_host 400"},
      {"absolute-form with user", "GET http://u@web/ HTTP/1.1\r\nHost: web\r\n\r\n",
       "malformed_host 400"},
      {"absolute-form scheme", "GET ftp://web/ HTTP/1.1\r\nHost: web\r\n\r\n",
       "malformed_line 400"},
      {"absolute-form query only", "GET http://web?x HTTP/1.1\r\nHost: web\r\n\r\n",
       "malformed_line 400"},
      {"CONNECT", "CONNECT web:80 HTTP/1.1\r\nHost: web\r\n\r\n", "method_refused 405"},
      {"lower-case method", "get / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"mixed method", "Post / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"method with colon", "GET: / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"tab in line", "GET\t/ HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"space in target", "GET /a b HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"obs-text in target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"relative target", "GET a HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"star for GET", "GET * HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"HTTP/0.9", "GET /\r\n\r\n", "malformed_line 400"},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: web\r\n\r\n", "version_refused 505"},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: web\r\n\r\n", "version_refused 505"},
      {"http/1.1", "GET / http/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"trailing space", "GET / HTTP/1.1 \r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"leading lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"leading CR", "\rGET / HTTP/1.1\r\nHost: web\r\n\r\n", "malformed_line 400"},
      {"TRACE with body", "TRACE / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx",
       "method_refused 400"},
      {"upgrade with body",
       "GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
       "Content-Length: 1\r\n\r\nx",
       "malformed_framing 400"},
      {"unknown expectation", post + "Expect: tea\r\nContent-Length: 1\r\n\r\nx",
       "malformed_field 417"},
      {"bad Connection", get + host + "Connection: a b\r\n\r\n", "malformed_field 400"},
      {"chunk size empty", chunked + "\r\n", "malformed_chunk 400"},
      {"chunk size sign", chunked + "+5\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk size 0x", chunked + "0x5\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk size space", chunked + "5 \r\nhello\r\n", "malformed_chunk 400"},
      {"chunk size leading space", chunked + " 5\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk size huge", chunked + "FFFFFFFFFFFFFFFFF\r\n", "malformed_chunk 400"},
      {"chunk size LF", chunked + "5\nhello\r\n", "malformed_chunk 400"},
      {"chunk ext LF", chunked + "5;a\nX\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk ext CR", chunked + "5;a\rX\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk ext without semicolon", chunked + "5 a=b\r\nhello\r\n", "malformed_chunk 400"},
      {"chunk too long", chunked + "5\r\nhelloX\r\n", "malformed_chunk 400"},
      {"chunk end LF", chunked + "5\r\nhello\n0\r\n\r\n", "malformed_chunk 400"},
      {"chunk end CR X", chunked + "5\r\nhello\rX", "malformed_chunk 400"},
      {"trailer obs-fold", chunked + "0\r\nX: a\r\n b\r\n\r\n", "malformed_field 400"},
      {"trailer space", chunked + "0\r\nX : a\r\n\r\n", "malformed_field 400"},
      {"trailer LF", chunked + "0\r\nX: a\n\r\n", "malformed_chunk 400"},
  };
  for (const Refused& c : cases) {
    std::string written;
    const std::string log = run(c.input, c.input.size(), &written);
    EXPECT_NE(log.find(std::string("violation ") + c.violation), std::string::npos)
        << c.name << "\n"
        << log;
    EXPECT_NE(written.find("connection: close"), std::string::npos) << c.name;
    EXPECT_EQ(written.find("HTTP/1.1 200"), std::string::npos) << c.name << "\n" << log;
    // Nothing behind the refused bytes is ever taken for a request.
    const std::string more = run(c.input + "GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n", 1);
    EXPECT_EQ(more.find("smuggled"), std::string::npos) << c.name << "\n" << more;
  }
}

TEST(Http1Request, HeadLimits) {
  const Limits limits;
  const std::string start = "GET / HTTP/1.1\r\nHost: web\r\n";
  std::string fields;
  for (size_t i = 0; i < limits.head_fields; ++i) fields += "X: 1\r\n";
  EXPECT_EQ(run(start + fields + "\r\n", 4096), "violation head_fields 431\n");
  fields.resize(fields.size() - 6);
  EXPECT_NE(run(start + fields + "\r\n", 4096).find("request"), std::string::npos);

  const std::string big = start + "X: " + std::string(limits.head_bytes, 'a');
  EXPECT_EQ(run(big, 1000), "violation head_bytes 431\n");  // before the head is complete
  EXPECT_EQ(run(big + "\r\n\r\n", big.size() + 4), "violation head_bytes 431\n");
  const std::string fits = start + "X: " + std::string(limits.head_bytes - 100, 'a') + "\r\n\r\n";
  EXPECT_NE(run(fits, 1000).find("request"), std::string::npos);

  EXPECT_EQ(
      run("GET /" + std::string(limits.target_bytes, 'a') + " HTTP/1.1\r\nHost: w\r\n\r\n", 4096),
      "violation target_bytes 414\n");
  EXPECT_EQ(run(std::string(limits.method_bytes + 1, 'A') + " / HTTP/1.1\r\nHost: w\r\n\r\n", 100),
            "violation malformed_line 400\n");
}

TEST(Http1Request, ChunkAndTrailerLimits) {
  const Limits limits;
  const std::string start = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_NE(run(start + "5;" + std::string(limits.chunk_line_bytes, 'x'), 7)
                .find("violation chunk_line 400"),
            std::string::npos);
  std::string many = start;
  for (size_t i = 0; i < limits.chunk_extension_bytes / 200 + 2; ++i)
    many += "1;" + std::string(200, 'x') + "\r\na\r\n";
  EXPECT_NE(run(many, 4096).find("violation chunk_line 400"), std::string::npos);
  EXPECT_NE(run(start + "0\r\nX: " + std::string(limits.trailer_bytes, 'x'), 4096)
                .find("violation trailer_bytes"),
            std::string::npos);
  std::string fields = start + "0\r\n";
  for (size_t i = 0; i <= limits.trailer_fields; ++i) fields += "X: 1\r\n";
  EXPECT_NE(run(fields + "\r\n", 4096).find("violation trailer_bytes"), std::string::npos);
}

TEST(Http1Request, ASlowHeadIsCutAndAnIdleConnectionIsNot) {
  Side side;
  ServerRecorder host;
  auto codec = make_h1_server(side.context(), host);
  EXPECT_EQ(codec->deadline(), kNever);
  side.feed(*codec, "GET / HT", at_seconds(0));
  EXPECT_EQ(codec->deadline(), at_seconds(10));
  side.feed(*codec, "TP/1.1\r\n", at_seconds(9));
  EXPECT_EQ(codec->deadline(), at_seconds(10));
  codec->on_time(at_seconds(9));
  EXPECT_FALSE(codec->finished());
  codec->on_time(at_seconds(10));
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(host.log.text(), "violation head_time 408\n");
  EXPECT_TRUE(side.take().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_EQ(side.counters.get(Counter::kHeadTime), 1u);
}

}  // namespace
}  // namespace sallyport::http
