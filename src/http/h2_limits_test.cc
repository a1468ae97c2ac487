// Malformed messages and floods against an HTTP/2 server, one test for each limit.
#include "http/test_h2.h"

namespace sallyport::http {
namespace {

using namespace testing;

struct Malformed {
  const char* name;
  std::string block;
  bool end = true;
};

TEST(Http2Limits, MalformedRequestsResetTheirStreamAndReachNobody) {
  const std::string base = get_fields();
  const auto without_path = [](std::string_view method, std::string_view path) {
    return hpack(":method", method) + hpack(":scheme", "http") + hpack(":authority", "web") +
           hpack(":path", path);
  };
  const Malformed cases[] = {
      {"CR LF in value", base + hpack("x", "a\r\nb: c")},
      {"LF in value", base + hpack("x", "a\nb")},
      {"CR in value", base + hpack("x", "a\rb")},
      {"NUL in value", base + hpack("x", std::string_view("a\0b", 3))},
      {"space at the end", base + hpack("x", "a ")},
      {"tab at the start", base + hpack("x", "\ta")},
      {"upper-case name", base + hpack("X-A", "1")},
      {"name with space", base + hpack("x a", "1")},
      {"name with colon", base + hpack("x:a", "1")},
      {"name with CR LF", base + hpack("x\r\ny", "1")},
      {"empty name", base + hpack("", "1")},
      {"transfer-encoding", base + hpack("transfer-encoding", "chunked")},
      {"connection", base + hpack("connection", "close")},
      {"keep-alive", base + hpack("keep-alive", "1")},
      {"proxy-connection", base + hpack("proxy-connection", "1")},
      {"upgrade", base + hpack("upgrade", "h2c")},
      {"te gzip", base + hpack("te", "gzip")},
      {"unknown pseudo", base + hpack(":x", "1")},
      {"response pseudo", base + hpack(":status", "200")},
      {"pseudo after field", base + hpack("x", "1") + hpack(":authority", "evil")},
      {"method twice", base + hpack(":method", "POST")},
      {"path twice", base + hpack(":path", "/b")},
      {"authority twice", base + hpack(":authority", "evil")},
      {"no path", hpack(":method", "GET") + hpack(":scheme", "http") + hpack(":authority", "w")},
      {"no method", hpack(":path", "/") + hpack(":scheme", "http") + hpack(":authority", "w")},
      {"no scheme", hpack(":method", "GET") + hpack(":path", "/") + hpack(":authority", "w")},
      {"no authority", hpack(":method", "GET") + hpack(":path", "/") + hpack(":scheme", "http")},
      {"empty path", without_path("GET", "")},
      {"relative path", without_path("GET", "a")},
      {"absolute path form", without_path("GET", "http://web/")},
      {"fragment", without_path("GET", "/a#b")},
      {"space in path", without_path("GET", "/a HTTP/1.1\r\nx: ")},
      {"blank in path", without_path("GET", "/a b")},
      {"lower-case method", without_path("get", "/")},
      {"method with space", without_path("GET /x", "/")},
      {"star for GET", without_path("GET", "*")},
      {"odd scheme", hpack(":method", "GET") + hpack(":scheme", "ftp") + hpack(":path", "/") +
                         hpack(":authority", "w")},
      {"host contradicts", base + hpack("host", "evil")},
      {"two hosts", base + hpack("host", "web") + hpack("host", "web")},
      {"authority with user", hpack(":method", "GET") + hpack(":scheme", "http") +
                                  hpack(":path", "/") + hpack(":authority", "a@web")},
      {"two lengths", base + hpack("content-length", "1") + hpack("content-length", "1"), false},
      {"length and end", base + hpack("content-length", "1")},
      {"length sign", base + hpack("content-length", "+1"), false},
      {"length list", base + hpack("content-length", "1, 1"), false},
      {"expectation", base + hpack("expect", "tea"), false},
      {"protocol without CONNECT", base + hpack(":protocol", "websocket")},
  };
  for (const Malformed& c : cases) {
    RawServer raw({}, {.extended_connect = true});
    raw.feed(headers_frame(1, c.block, c.end));
    EXPECT_EQ(raw.host.log.text(), "") << c.name;
    EXPECT_NE(raw.frames().find_first_of("37"), std::string::npos) << c.name;
    EXPECT_EQ(raw.count(Counter::kHttp2Message) + raw.count(Counter::kHttp2Protocol), 1u) << c.name;
    // Other streams go on.
    raw.feed(headers_frame(3, get_fields("/ok")));
    EXPECT_EQ(raw.host.log.text(), "request GET http://web/ok end\n") << c.name;
  }
}

TEST(Http2Limits, BodiesMustHaveTheirDeclaredLength) {
  RawServer raw;
  const std::string block = get_fields() + hpack("content-length", "5");
  raw.feed(headers_frame(1, block, false) + frame(0, 1, 1, "abc"));
  raw.feed(headers_frame(3, block, false) + frame(0, 1, 3, "abcdefg"));
  EXPECT_EQ(raw.host.log.text().find("end"), std::string::npos) << raw.host.log.text();
  EXPECT_NE(raw.host.log.text().find("reset malformed message"), std::string::npos);
}

TEST(Http2Limits, ConnectIsRefused) {
  RawServer raw;
  raw.feed(headers_frame(1, hpack(":method", "CONNECT") + hpack(":authority", "evil:22"), false));
  EXPECT_EQ(raw.host.log.text(), "");
  EXPECT_EQ(raw.count(Counter::kMethodRefused), 1u);
  EXPECT_FALSE(raw.server->finished());
}

TEST(Http2Limits, TooManyOrTooLargeFieldsAreAnswered431) {
  const Limits limits;
  RawServer raw;
  std::string block = get_fields();
  for (size_t i = 0; i < limits.head_fields; ++i) block += hpack("x", "1");
  raw.feed(headers_frame(1, block));
  EXPECT_EQ(raw.count(Counter::kHeadFields), 1u);
  // Crumbs of a cookie count one by one.
  block = get_fields();
  for (size_t i = 0; i < limits.head_fields; ++i) block += hpack("cookie", "a");
  raw.feed(headers_frame(3, block));
  EXPECT_EQ(raw.count(Counter::kHeadFields), 2u);
  // A name and value that HPACK remembers: few bytes on the wire, many decoded.
  block = get_fields() + std::string("\x40", 1) + hpack("x", std::string(3000, 'a')).substr(1);
  raw.feed(headers_frame(5, block));
  raw.feed(headers_frame(7, get_fields() + std::string(30, '\xbe')));
  EXPECT_EQ(raw.count(Counter::kHeadBytes), 1u);
  EXPECT_EQ(raw.host.log.text().find("request"), 0u);  // only the one of 3000 bytes
  EXPECT_EQ(raw.host.requests.size(), 1u);
  EXPECT_FALSE(raw.server->finished());
  EXPECT_NE(raw.written.find("431"), std::string::npos);
  // A bomb is not decoded to its end: the connection goes.
  raw.feed(headers_frame(9, get_fields() + std::string(15000, '\xbe')));
  EXPECT_TRUE(raw.server->finished());
}

TEST(Http2Limits, TooManyTrailersResetTheStreamAndItsUserHears) {
  RawServer raw;
  raw.feed(headers_frame(1, get_fields(), false) + frame(0, 0, 1, "x"));
  std::string block;
  for (size_t i = 0; i <= raw.side.limits.trailer_fields; ++i) block += hpack("x", "1");
  raw.feed(headers_frame(1, block));
  EXPECT_EQ(raw.count(Counter::kTrailerBytes), 1u);
  EXPECT_TRUE(raw.host.last().gone);
  EXPECT_EQ(raw.host.last_reset.reason, ResetReason::kLimit);
  EXPECT_FALSE(raw.server->finished());
}

// Feeds until the connection is cut; how many times that was.
int feed_until_cut(RawServer& raw, const std::string& bytes, int most) {
  for (int i = 1; i <= most; ++i) {
    raw.feed(bytes);
    if (raw.server->finished()) return i;
  }
  return most + 1;
}

TEST(Http2Limits, ContinuationFlood) {
  RawServer raw;
  raw.feed(frame(1, 1, 1, get_fields()));
  EXPECT_EQ(feed_until_cut(raw, frame(9, 0, 1, hpack("x", "1")), 20), 9);
  EXPECT_EQ(raw.count(Counter::kContinuations), 1u);
  EXPECT_EQ(raw.frames().back(), '7');
  EXPECT_EQ(raw.host.log.text(), "violation continuations 0\n");
}

TEST(Http2Limits, SettingsEntries) {
  RawServer raw;
  std::string entries;
  for (int i = 0; i < 32; ++i) entries += std::string("\0\3\0\0\0\x64", 6);
  raw.feed(frame(4, 0, 0, entries));
  EXPECT_FALSE(raw.server->finished());
  raw.feed(frame(4, 0, 0, entries + entries.substr(0, 6)));
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kSettingsEntries), 1u);
}

TEST(Http2Limits, PingAndSettingsFloods) {
  RawServer raw;
  EXPECT_EQ(feed_until_cut(raw, frame(6, 0, 0, "12345678"), 2000), 1000);  // one token went before
  EXPECT_EQ(raw.count(Counter::kControlRate), 1u);
  RawServer settings;
  EXPECT_EQ(feed_until_cut(settings, frame(4, 0, 0, ""), 2000), 1000);
  EXPECT_EQ(settings.count(Counter::kControlRate), 1u);
  // At a bearable rate it goes on for ever.
  RawServer slow;
  for (int i = 0; i < 3000; ++i) {
    slow.now += milliseconds(20);
    slow.feed(frame(6, 0, 0, "12345678"));
  }
  EXPECT_FALSE(slow.server->finished());
}

TEST(Http2Limits, AnswersThatNobodyReads) {
  Limits limits;
  limits.control_burst = 100000;
  limits.control_queued = 100;
  RawServer raw(limits);
  raw.read_answers = false;
  for (int i = 0; i < 500 && !raw.server->finished(); ++i) raw.feed(frame(6, 0, 0, "12345678"));
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kControlQueued), 1u);
}

TEST(Http2Limits, EmptyFrames) {
  RawServer raw;
  raw.feed(headers_frame(1, get_fields(), false));
  raw.feed(frame(0, 0, 1, ""));
  raw.feed(frame(0, 0, 1, "x"));
  raw.feed(frame(0, 0, 1, ""));
  EXPECT_FALSE(raw.server->finished());
  raw.feed(frame(0, 0, 1, ""));
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kEmptyFrames), 1u);
  EXPECT_EQ(raw.host.last_reset.reason, ResetReason::kLimit);
}

TEST(Http2Limits, PriorityFlood) {
  RawServer raw;
  EXPECT_EQ(feed_until_cut(raw, frame(2, 0, 1, std::string("\0\0\0\0\1", 5)), 1000), 101);
  EXPECT_EQ(raw.count(Counter::kPriority), 1u);
}

TEST(Http2Limits, WindowUpdateFlood) {
  RawServer raw;
  EXPECT_EQ(feed_until_cut(raw, frame(8, 0, 0, std::string("\0\0\0\1", 4)), 1000), 6);
  EXPECT_EQ(raw.count(Counter::kWindowUpdates), 1u);
}

TEST(Http2Limits, RapidReset) {
  Limits limits;
  limits.reset_burst = 1000000;
  limits.glitch_burst = 1000000;
  limits.streams_per_turn = 1000;
  RawServer raw(limits);
  int sent = 0;
  for (uint32_t id = 1; sent < 5000 && !raw.server->finished(); id += 2, ++sent)
    raw.feed(headers_frame(id, get_fields()) + frame(3, 0, id, std::string("\0\0\0\10", 4)));
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kRapidReset), 1u);
  EXPECT_EQ(sent, 500);

  // Resets after a second, as of clients that have waited long enough, are no attack.
  RawServer patient(limits);
  for (uint32_t id = 1; id < 2000; id += 2) {
    patient.feed(headers_frame(id, get_fields()));
    patient.now += milliseconds(1100);
    patient.feed(frame(3, 0, id, std::string("\0\0\0\10", 4)));
  }
  EXPECT_FALSE(patient.server->finished());
}

TEST(Http2Limits, ResetRate) {
  RawServer raw;
  int sent = 0;
  // Half of the streams are answered, so that the ratio is not the reason.
  raw.host.answer_at_end = true;
  for (uint32_t id = 1; sent < 5000 && !raw.server->finished(); id += 4, ++sent)
    raw.feed(headers_frame(id, get_fields(), false) + frame(3, 0, id, std::string("\0\0\0\10", 4)) +
             headers_frame(id + 2, get_fields()));
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kResetRate) + raw.count(Counter::kRapidReset), 1u);
  EXPECT_LE(sent, 1000);
}

TEST(Http2Limits, NewStreamsOfOneTurn) {
  Side side;
  ServerRecorder host;
  auto server = make_h2_server(side.context(), host);
  std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");
  for (uint32_t i = 0; i < 40; ++i) input += headers_frame(1 + 2 * i, get_fields());
  side.feed(*server, input, at_seconds(0));
  EXPECT_EQ(host.requests.size(), 16u);
  EXPECT_EQ(host.inputs, 1);
  EXPECT_EQ(side.counters.get(Counter::kStreamsPerTurn), 1u);
  side.feed(*server, "", at_seconds(0));
  side.feed(*server, "", at_seconds(0));
  EXPECT_EQ(host.requests.size(), 40u);
}

TEST(Http2Limits, ConcurrentStreams) {
  RawServer raw({}, {.max_streams = 10});
  raw.feed(frame(4, 1, 0, ""));  // our SETTINGS are known to the client
  for (uint32_t i = 0; i < 12; ++i) raw.feed(headers_frame(1 + 2 * i, get_fields()));
  EXPECT_EQ(raw.host.requests.size(), 10u);
  EXPECT_GT(raw.count(Counter::kStreams) + raw.count(Counter::kHttp2Protocol), 0u);
}

TEST(Http2Limits, GlitchesDrainThenCut) {
  Limits limits;
  limits.glitch_burst = 100;
  limits.glitch_per_second = 1;
  RawServer raw(limits);
  raw.feed(headers_frame(1, get_fields(), false));
  const std::string padding = frame(0, 0x8, 1, std::string("\1\0", 2));
  int sent = 0;
  for (; sent < 80; ++sent) raw.feed(padding);
  EXPECT_EQ(raw.count(Counter::kGlitchDrain), 1u);
  EXPECT_EQ(raw.frames().back(), '7');
  EXPECT_FALSE(raw.server->finished());
  EXPECT_FALSE(raw.host.last().gone);  // what runs may end
  for (; sent < 1000 && !raw.server->finished(); ++sent) raw.feed(padding);
  EXPECT_EQ(raw.count(Counter::kGlitches), 1u);
  EXPECT_EQ(sent, 101);
  EXPECT_EQ(raw.host.last_reset.reason, ResetReason::kLimit);
}

TEST(Http2Limits, FramesOfUnknownTypesAreGlitches) {
  Limits limits;
  limits.glitch_burst = 100;
  limits.glitch_per_second = 1;
  RawServer raw(limits);
  raw.feed(headers_frame(1, get_fields(), false));
  EXPECT_EQ(feed_until_cut(raw, frame(0x77, 0, 0, ""), 1000), 101);
  EXPECT_EQ(raw.count(Counter::kGlitchDrain), 1u);
  EXPECT_EQ(raw.count(Counter::kGlitches), 1u);
}

TEST(Http2Limits, AnswersToPingsAndGoawaysCountToo) {
  for (const std::string& flood :
       {frame(6, 1, 0, std::string(8, 'x')), frame(7, 0, 0, std::string(8, '\0'))}) {
    RawServer raw;
    raw.feed(headers_frame(1, get_fields(), false));  // so that the connection has a reason to stay
    EXPECT_LE(feed_until_cut(raw, flood, 5000), 1001);
    EXPECT_EQ(raw.count(Counter::kControlRate), 1u);
  }
}

TEST(Http2Limits, TinyUnreadDataResetsItsStream) {
  RawServer raw;
  raw.host.pause_on_data = true;
  raw.feed(headers_frame(1, get_fields(), false));
  int sent = 0;
  for (; sent < 20000 && !raw.host.requests[0]->gone; ++sent) raw.feed(frame(0, 0, 1, "x"));
  EXPECT_EQ(raw.count(Counter::kTinyData), 1u);
  EXPECT_EQ(sent, 8193);  // 256 bytes each, against half of 4 MiB
  EXPECT_EQ(raw.host.last_reset.reason, ResetReason::kLimit);
  EXPECT_FALSE(raw.server->finished());
  // Small frames that are read are what token streams send all day.
  raw.host.pause_on_data = false;
  raw.feed(headers_frame(3, get_fields(), false));
  for (int i = 0; i < 20000; ++i) raw.feed(frame(0, 0, 3, "x"));
  EXPECT_EQ(raw.count(Counter::kTinyData), 1u);
  EXPECT_FALSE(raw.host.requests[1]->gone);
}

TEST(Http2Limits, SlowHeadAndUnacknowledgedSettings) {
  RawServer raw;
  raw.feed(frame(4, 1, 0, ""));
  EXPECT_EQ(raw.server->deadline(), kNever);
  const std::string head = headers_frame(1, get_fields());
  raw.feed(std::string_view(head).substr(0, 12));
  EXPECT_EQ(raw.server->deadline(), raw.now + seconds(10));
  raw.server->on_time(raw.now + seconds(10));
  raw.collect();
  EXPECT_TRUE(raw.server->finished());
  EXPECT_EQ(raw.count(Counter::kHeadTime), 1u);

  RawServer silent;
  EXPECT_EQ(silent.server->deadline(), silent.now + seconds(10));
  silent.server->on_time(silent.now + seconds(10));
  silent.collect();
  EXPECT_TRUE(silent.server->finished());
  EXPECT_EQ(silent.count(Counter::kSettingsAck), 1u);
}

TEST(Http2Limits, NotHttp2) {
  Side side;
  ServerRecorder host;
  auto server = make_h2_server(side.context(), host);
  side.feed(*server, "GET / HTTP/1.1\r\nHost: web\r\n\r\n", at_seconds(0));
  EXPECT_TRUE(server->finished());
  EXPECT_EQ(host.requests.size(), 0u);
  EXPECT_EQ(side.counters.get(Counter::kHttp2Protocol), 1u);
}

TEST(Http2Limits, MalformedResponses) {
  const std::pair<const char*, std::string> cases[] = {
      {"no status", hpack("x", "1")},
      {"status of two digits", hpack(":status", "20")},
      {"status 101", hpack(":status", "101")},
      {"status 600", hpack(":status", "600")},
      {"status twice", hpack(":status", "200") + hpack(":status", "200")},
      {"line end", hpack(":status", "200") + hpack("x", "a\r\nb")},
      {"connection", hpack(":status", "200") + hpack("connection", "close")},
      {"transfer-encoding", hpack(":status", "200") + hpack("transfer-encoding", "chunked")},
      {"request pseudo", hpack(":status", "200") + hpack(":path", "/")},
      {"lengths",
       hpack(":status", "200") + hpack("content-length", "1") + hpack("content-length", "2")},
      {"informational with end", hpack(":status", "103")},
  };
  for (const auto& [name, block] : cases) {
    Side side;
    ClientRecorder host;
    auto client = make_h2_client(side.context(), host);
    auto* r = host.start(*client, request("GET", "/"), true);
    client->collect(at_seconds(0));
    side.take();
    side.feed(*client, frame(4, 0, 0, "") + headers_frame(1, block), at_seconds(0));
    client->collect(at_seconds(0));
    EXPECT_TRUE(r->gone) << name;
    EXPECT_EQ(host.last_reset.reason, ResetReason::kMalformed) << name;
    EXPECT_EQ(host.log.text().find("response"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace sallyport::http
