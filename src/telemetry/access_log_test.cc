#include "telemetry/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/fs.h"
#include "codec/json.h"

namespace sallyport::telemetry {
namespace {

using namespace std::chrono;

LogAddress address(const char* ip, uint16_t port) {
  return {*Ip::parse(ip), port, true};
}

LogEntry example() {
  LogEntry out;
  out.start = WallTime(milliseconds(1767323045123));  // 2026-01-02T03:04:05.123Z
  out.duration_ns = 12'345'678;
  out.upstream_service_ms = 11;
  out.method = "POST";
  out.path = "/v1/chat/completions";
  out.authority = "model.inference";
  out.protocol = "HTTP/1.1";
  out.response_code = 200;
  out.details = "via_upstream";
  out.bytes_received = 15;
  out.bytes_sent = 1024;
  out.upstream = address("198.18.0.7", 8000);
  out.upstream_local = address("198.18.0.3", 40001);
  out.downstream_local = address("198.19.0.20", 80);
  out.downstream_remote = address("fd00::3", 52000);
  out.upstream_cluster = "outbound|80||model.inference.svc.cluster.local";
  out.route = "default";
  return out;
}

std::string line(const Result<AccessLogFormat>& format, const LogEntry& entry) {
  EXPECT_TRUE(format.has_value()) << (format ? "" : format.error().message);
  std::string out;
  if (format) format->append(out, entry);
  return out;
}

TEST(AccessLog, IstiosDefaultText) {
  const auto format = AccessLogFormat::text();
  ASSERT_TRUE(format.has_value()) << format.error().message;
  EXPECT_EQ(format->request_headers(),
            (std::vector<std::string>{"x-forwarded-for", "user-agent", "x-request-id"}));
  EXPECT_TRUE(format->unavailable().empty());
  LogEntry entry = example();
  const std::string_view headers[] = {{}, "curl/8", "abc-1"};
  entry.request_headers = headers;
  EXPECT_EQ(
      line(format, entry),
      "[2026-01-02T03:04:05.123Z] \"POST /v1/chat/completions HTTP/1.1\" 200 - via_upstream - "
      "\"-\" 15 1024 12 11 \"-\" \"curl/8\" \"abc-1\" \"model.inference\" "
      "\"198.18.0.7:8000\" outbound|80||model.inference.svc.cluster.local 198.18.0.3:40001 "
      "198.19.0.20:80 [fd00::3]:52000 - default\n");
}

TEST(AccessLog, IstiosDefaultJson) {
  const auto format = AccessLogFormat::json();
  ASSERT_TRUE(format.has_value()) << format.error().message;
  LogEntry entry = example();
  const std::string_view headers[] = {{}, "curl/8", "abc-1"};
  entry.request_headers = headers;
  const std::string text = line(format, entry);
  ASSERT_TRUE(text.ends_with("}\n"));
  const auto json = codec::parse_json(text);
  ASSERT_TRUE(json.has_value()) << json.error().message << text;
  std::vector<std::string> keys;
  for (const auto& member : json->members()) keys.push_back(member.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"start_time",
                                            "route_name",
                                            "method",
                                            "path",
                                            "protocol",
                                            "response_code",
                                            "response_flags",
                                            "response_code_details",
                                            "connection_termination_details",
                                            "bytes_received",
                                            "bytes_sent",
                                            "duration",
                                            "upstream_service_time",
                                            "x_forwarded_for",
                                            "user_agent",
                                            "request_id",
                                            "authority",
                                            "upstream_host",
                                            "upstream_cluster",
                                            "upstream_local_address",
                                            "downstream_local_address",
                                            "downstream_remote_address",
                                            "requested_server_name",
                                            "upstream_transport_failure_reason"}));
  const codec::Value& value = *json;
  EXPECT_EQ(value["response_code"].as_int(), 200);
  EXPECT_EQ(value["duration"].as_int(), 12);
  EXPECT_EQ(value["upstream_service_time"].as_string(), "11");
  EXPECT_TRUE(value["x_forwarded_for"].is_null());
  EXPECT_TRUE(value["requested_server_name"].is_null());
  EXPECT_EQ(value["user_agent"].as_string(), "curl/8");
  EXPECT_EQ(value["response_flags"].as_string(), "-");
}

TEST(AccessLog, CustomTextWithEveryKindOfOperator) {
  const auto format = AccessLogFormat::text(
      "%% %START_TIME(%Y/%m/%d %s %3f %6f)% %REQ(X-MISSING?:AUTHORITY):5% %REQ(A?B)% %RESP(C)% "
      "%TRAILER(D)% %RESP(:STATUS)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
      "%DOWNSTREAM_REMOTE_PORT% %UPSTREAM_REMOTE_PORT% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% "
      "%GRPC_STATUS_NUMBER% %DOWNSTREAM_PEER_URI_SAN% %CONNECTION_ID% %CEL(f(x) % g(y))% "
      "%DYNAMIC_METADATA(a:b)% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %REQUEST_DURATION%");
  ASSERT_TRUE(format.has_value()) << format.error().message;
  EXPECT_EQ(format->request_headers(), (std::vector<std::string>{"x-missing", "a", "b"}));
  EXPECT_EQ(format->response_headers(), (std::vector<std::string>{"c"}));
  EXPECT_EQ(format->response_trailers(), (std::vector<std::string>{"d"}));
  EXPECT_EQ(format->unavailable(), (std::vector<std::string>{"CEL", "DYNAMIC_METADATA"}));
  LogEntry entry = example();
  const std::string_view request[] = {{}, {}, "bee"}, response[] = {"sea"}, trailers[] = {"dee"};
  entry.request_headers = request;
  entry.response_headers = response;
  entry.response_trailers = trailers;
  entry.grpc_status = 7;
  entry.downstream_peer = "spiffe://cluster.local/ns/a/sa/b";
  entry.connection_id = 9;
  entry.response_duration_ns = 2'000'000;
  EXPECT_EQ(line(format, entry),
            "% 2026/01/02 1767323045 123 123000 model bee sea dee 200 fd00::3 52000 8000 "
            "PermissionDenied PERMISSION_DENIED 7 spiffe://cluster.local/ns/a/sa/b 9 - - 2 10 -\n");
}

TEST(AccessLog, CustomJsonTemplate) {
  const auto format = AccessLogFormat::json(
      R"({"code":"%RESPONSE_CODE%","who":"%REQ(:METHOD)% %REQ(X)%","deep":{"list":["%PROTOCOL%",7,)"
      R"(true,null]},"fixed":"a \"b\"","none":"%REQ(Y)%"})");
  LogEntry entry = example();
  const std::string_view request[] = {"q\"\\\n\xff"};
  entry.request_headers = request;
  EXPECT_EQ(
      line(format, entry),
      R"({"code":200,"who":"POST q\"\\\u000a\ufffd","deep":{"list":["HTTP/1.1",7,true,null]},)"
      R"("fixed":"a \"b\"","none":null})"
      "\n");
}

TEST(AccessLog, RefusesWhatItDoesNotKnow) {
  const char* const wrong[] = {
      "%NO_SUCH_THING%",
      "%REQ%",
      "%REQ()%",
      "%REQ(a b)%",
      "%REQ(a",
      "%REQ(a)",
      "%DURATION",
      "% x",
      "%",
      "%PROTOCOL(x)%",
      "%REQ(a):x%",
      "%START_TIME(%Q)%",
      "%START_TIME(%3q)%",
      "%GRPC_STATUS(X)%",
      "%REQ(a?)%",
      "%lower%",
      "%START_TIME(%)%",
  };
  for (const char* format : wrong) {
    const auto parsed = AccessLogFormat::text(format);
    ASSERT_FALSE(parsed.has_value()) << format;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().message.find("accessLogFormat"), std::string::npos);
  }
  EXPECT_FALSE(AccessLogFormat::text(std::string(20 << 10, 'x')).has_value());
  std::string many;
  for (int i = 0; i < 100; ++i) many += "%REQ(h" + std::to_string(i) + ")%";
  EXPECT_FALSE(AccessLogFormat::text(many).has_value());
  for (const char* json :
       {"[]", "x", "{\"a\":\"%NOPE%\"}", "{\"a\":1,\"a\":2}", "\"%PROTOCOL%\""}) {
    EXPECT_FALSE(AccessLogFormat::json(json).has_value()) << json;
  }
}

// Whatever a client sends, it makes one line and stays between its quotes.
TEST(AccessLog, NoInjection) {
  const auto text = AccessLogFormat::text();
  const auto json = AccessLogFormat::json();
  std::string everything;
  for (int c = 0; c < 256; ++c) everything += static_cast<char>(c);
  everything += "\r\n[2026-01-01T00:00:00.000Z] \"GET /forged HTTP/1.1\" 200 \x1b[2J\xe2\x80\xa8";
  LogEntry entry = example();
  entry.path = everything;
  entry.authority = everything;
  entry.method = everything;
  const std::string_view headers[] = {everything, everything, everything};
  entry.request_headers = headers;

  const std::string plain = line(text, entry);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), '\n'), 1);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), '"'), 14);
  for (const char c : std::string_view(plain).substr(0, plain.size() - 1)) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f) << int(c);
  }
  EXPECT_NE(plain.find("\\x00\\x01"), std::string::npos);
  EXPECT_NE(plain.find("\\x22"), std::string::npos);

  const std::string object = line(json, entry);
  EXPECT_EQ(std::count(object.begin(), object.end(), '\n'), 1);
  const auto parsed = codec::parse_json(object);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->members().size(), 24u);
  for (const char c : std::string_view(object).substr(0, object.size() - 1)) {
    EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
  }
}

TEST(AccessLog, LongValuesAreCut) {
  const auto format = AccessLogFormat::text("%REQ(:PATH)%");
  LogEntry entry = example();
  const std::string path(100'000, 'a');
  entry.path = path;
  EXPECT_EQ(line(format, entry).size(), AccessLogFormat::kMaxValue + 1);
}

TEST(AccessLog, TimesBeforeTheEpochAndAfter2038) {
  const auto format = AccessLogFormat::text("%START_TIME%");
  LogEntry entry;
  entry.start = WallTime(milliseconds(-1));
  EXPECT_EQ(line(format, entry), "1969-12-31T23:59:59.999Z\n");
  entry.start = WallTime(seconds(4102444800));
  EXPECT_EQ(line(format, entry), "2100-01-01T00:00:00.000Z\n");
}

class WriterTest : public ::testing::Test {
 protected:
  Result<AccessLogFormat> format_ = AccessLogFormat::text("%REQ(:PATH)%");
  LogEntry entry_ = example();

  static std::string drain(int fd) {
    std::string out;
    std::array<char, 65536> part;
    ssize_t n;
    while ((n = read(fd, part.data(), part.size())) > 0) {
      out.append(part.data(), static_cast<size_t>(n));
    }
    return out;
  }
};

TEST_F(WriterTest, GathersLinesUntilTheEndOfTheTurn) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  Fd reader(ends[0]);
  auto writer = AccessLogWriter::open(Fd(ends[1]));
  ASSERT_TRUE(writer.has_value());
  for (int i = 0; i < 3; ++i) writer->append(*format_, entry_);
  EXPECT_EQ(drain(reader.get()), "");
  writer->flush();
  EXPECT_EQ(drain(reader.get()),
            "/v1/chat/completions\n/v1/chat/completions\n/v1/chat/completions\n");
  EXPECT_EQ(writer->pending(), 0u);
}

// A reader that does not read: no waiting, no growth, no torn line, and the loss is counted.
TEST_F(WriterTest, NeverWaitsForASlowReader) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Fd reader(ends[0]);
  ASSERT_EQ(fcntl(reader.get(), F_SETFL, O_NONBLOCK), 0);
  auto writer = AccessLogWriter::open(Fd(ends[1]), 64 << 10);
  ASSERT_TRUE(writer.has_value());
  const std::string path(999, 'p');
  entry_.path = path;
  uint64_t written = 0;
  for (int i = 0; i < 1000; ++i) {
    writer->append(*format_, entry_);
    writer->flush();
    EXPECT_LE(writer->pending(), size_t{70} << 10);
  }
  EXPECT_GT(writer->lost(), 500u);
  std::string all;
  for (int i = 0; i < 100 && (i == 0 || writer->pending() > 0); ++i) {
    all += drain(reader.get());
    writer->flush();
  }
  all += drain(reader.get());
  while (!all.empty()) {
    ASSERT_EQ(all.substr(0, 1000), path + "\n");
    all.erase(0, 1000);
    ++written;
  }
  EXPECT_EQ(written + writer->lost(), 1000u);
}

TEST_F(WriterTest, ABrokenFileLosesLinesAndNothingElse) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  auto writer = AccessLogWriter::open(Fd(ends[1]));
  ASSERT_TRUE(writer.has_value());
  close(ends[0]);
  writer->append(*format_, entry_);
  writer->append(*format_, entry_);
  writer->flush();
  EXPECT_EQ(writer->lost(), 2u);
  EXPECT_EQ(writer->pending(), 0u);
  EXPECT_FALSE(AccessLogWriter::open(Fd(::open("/dev/null", O_RDONLY))).has_value());
  EXPECT_FALSE(AccessLogWriter::open(Fd()).has_value());
}

TEST_F(WriterTest, WorkersShareAFile) {
  std::array<char, 64> path{"/tmp/sallyport-log-XXXXXX"};
  Fd file(mkstemp(path.data()));
  ASSERT_TRUE(file);
  {
    std::vector<std::jthread> workers;
    for (int w = 0; w < 4; ++w) {
      workers.emplace_back([&, w] {
        auto writer = AccessLogWriter::open(Fd(::open(path.data(), O_WRONLY)));
        const std::string text(50, static_cast<char>('a' + w));
        LogEntry entry;
        entry.path = text;
        for (int i = 0; i < 500; ++i) {
          writer->append(*format_, entry);
          if (i % 7 == 0) writer->flush();
        }
        writer->flush();
      });
    }
  }
  const auto content = read_file(path.data());
  unlink(path.data());
  ASSERT_TRUE(content.has_value());
  ASSERT_EQ(content->size(), 4u * 500u * 51u);
  for (size_t at = 0; at < content->size(); at += 51) {
    EXPECT_EQ(content->substr(at, 50), std::string(50, (*content)[at]));
    EXPECT_EQ((*content)[at + 50], '\n');
  }
}

}  // namespace
}  // namespace sallyport::telemetry
