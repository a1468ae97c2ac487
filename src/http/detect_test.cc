#include "http/detect.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::http {
namespace {

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(Detect, FirstBytes) {
  const std::pair<std::string, FirstBytes> cases[] = {
      {"GET / HTTP/1.1\r\n", FirstBytes::kHttp1},
      {"POST /", FirstBytes::kHttp1},
      {"PROPFIND /x", FirstBytes::kHttp1},
      {"M-SEARCH * HTTP/1.1", FirstBytes::kHttp1},
      {"OPTIONS * HTTP/1.1", FirstBytes::kHttp1},
      {"GET http://a/ HTTP/1.1", FirstBytes::kHttp1},
      {"GET HTTPS://a/ HTTP/1.1", FirstBytes::kHttp1},
      {"CONNECT a:1 HTTP/1.1", FirstBytes::kHttp1},
      {"\r\nGET / HTTP/1.1", FirstBytes::kHttp1},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstBytes::kHttp2},
      {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", FirstBytes::kHttp1},
      {std::string("\x16\x03\x01\x02\x00\x01", 6), FirstBytes::kTls},
      {std::string("\x16\x03\x01\x02\x00\x02", 6), FirstBytes::kOther},
      {std::string("\x16\x04", 2), FirstBytes::kOther},
      {"EHLO mail\r\n", FirstBytes::kOther},
      {"*1\r\n$4\r\nPING\r\n", FirstBytes::kOther},
      {"PING\r\n", FirstBytes::kOther},
      {"get hello\r\n", FirstBytes::kOther},
      {"SET key value\r\n", FirstBytes::kOther},
      {"GET key\r\n", FirstBytes::kOther},
      {"GET hk", FirstBytes::kOther},
      {std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), FirstBytes::kOther},  // PostgreSQL
      {"SSH-2.0-x\r\n", FirstBytes::kOther},
      {std::string(40, 'A'), FirstBytes::kOther},
      {"", FirstBytes::kNeedMore},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(detect(bytes_of(text)), expected) << text;
    // A shorter start never decides otherwise.
    for (size_t i = 0; i < text.size(); ++i) {
      const FirstBytes part = detect(bytes_of(std::string_view(text).substr(0, i)));
      EXPECT_TRUE(part == FirstBytes::kNeedMore || part == expected) << text << " " << i;
    }
  }
}

std::string number(size_t value, size_t bytes) {
  std::string out;
  for (size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
std::string vector(size_t length_bytes, const std::string& body) {
  return number(body.size(), length_bytes) + body;
}
std::string extension(size_t type, const std::string& body) {
  return number(type, 2) + vector(2, body);
}
std::string sni(const std::string& name) {
  return extension(0, vector(2, std::string(1, '\0') + vector(2, name)));
}
std::string alpn(std::initializer_list<std::string> names) {
  std::string list;
  for (const auto& name : names) list += vector(1, name);
  return extension(16, vector(2, list));
}
std::string hello(const std::string& extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector(1, std::string(32, 's')) +
                           vector(2, "\x13\x01\x13\x02") + vector(1, std::string(1, '\0')) +
                           vector(2, extensions);
  return std::string(1, '\x01') + vector(3, body);
}
std::string records(const std::string& message, size_t most) {
  std::string out;
  for (size_t i = 0; i < message.size(); i += most)
    out += "\x16\x03\x01" + vector(2, message.substr(i, most));
  return out;
}

TEST(ClientHello, NamesFromAnySplitOfRecordsAndReads) {
  const std::string message = hello(
      extension(10, "\x00\x02\x00\x1d") + sni("outbound_.80_._.web.shop.svc.cluster.local") +
      alpn({"istio-http/1.1", "istio", "http/1.1"}) + extension(43, std::string("\2\3\4", 3)));
  for (const size_t most : {message.size(), size_t{100}, size_t{7}}) {
    const std::string input = records(message, most);
    ClientHelloParser parser(16 << 10);
    HelloState state = HelloState::kNeedMore;
    for (size_t i = 1; i < input.size(); ++i) {
      state = parser.parse(bytes_of(std::string_view(input).substr(0, i)));
      if (most == 7 && state == HelloState::kTooLong) break;
      ASSERT_EQ(state, HelloState::kNeedMore) << i;
    }
    state = parser.parse(bytes_of(input + "rest"));
    ASSERT_EQ(state, HelloState::kDone) << most;
    EXPECT_EQ(parser.hello().server_name, "outbound_.80_._.web.shop.svc.cluster.local");
    ASSERT_EQ(parser.hello().alpn.size(), 3u);
    EXPECT_EQ(parser.hello().alpn[2], "http/1.1");
    EXPECT_TRUE(parser.hello().offers_prefix("istio"));
    EXPECT_FALSE(parser.hello().offers_prefix("h2"));
  }
}

HelloState parse(const std::string& input) {
  ClientHelloParser parser(16 << 10);
  return parser.parse(bytes_of(input));
}

TEST(ClientHello, BoundsAndNonsense) {
  EXPECT_EQ(parse(records(hello(""), 16384)), HelloState::kDone);
  EXPECT_EQ(parse(records(hello(extension(21, std::string(15000, '\0'))), 16384)),
            HelloState::kDone);
  EXPECT_EQ(parse(records(hello(extension(21, std::string(17000, '\0'))), 16384)),
            HelloState::kTooLong);
  EXPECT_EQ(parse(records(std::string("\x01\xff\xff\xff", 4), 16384)), HelloState::kTooLong);
  EXPECT_EQ(parse(records(hello(extension(21, std::string(16000, '\0'))), 1)),
            HelloState::kTooLong);
  const std::string good = hello(sni("web"));
  EXPECT_EQ(parse("\x17" + records(good, 9999).substr(1)), HelloState::kMalformed);
  EXPECT_EQ(parse(records("\x02" + good.substr(1), 9999)), HelloState::kMalformed);
  EXPECT_EQ(parse(records(good, 50) + "\x15\x03\x01\x00\x02\x02\x28"), HelloState::kDone);
  EXPECT_EQ(parse(records(good.substr(0, 50), 50) + std::string("\x15\x03\x01\0\2\2\x28", 7)),
            HelloState::kMalformed);
  EXPECT_EQ(parse(std::string("\x16\x03\x01\0\0", 5)), HelloState::kMalformed);
  for (const std::string& bad :
       {sni("web") + sni("web"), sni(""), sni("a b"), sni(std::string("a\0b", 3)), sni("a\nb"),
        alpn({}), alpn({""}), alpn({"a"}) + alpn({"a"}), extension(0, ""), extension(16, "\x00"),
        extension(0, vector(2, std::string("\1\0\1a", 4))), std::string("\0\x10", 2),
        std::string("\0\x10\xff\xff", 4), sni("web").substr(0, 8)})
    EXPECT_EQ(parse(records(hello(bad), 9999)), HelloState::kMalformed);
}

}  // namespace
}  // namespace sallyport::http
