#include "net/netlink_message.h"

#include <gtest/gtest.h>

namespace sallyport::net {
namespace {

TEST(NetlinkMessage, NestedAttributesReadBackAsTheyWereWritten) {
  uint32_t body = 7;
  MessageBuilder message(18, NLM_F_CREATE, body);
  message.add_text(1, "eth0");
  size_t outer = message.open(2);
  message.add_u8(3, 9);
  message.add_be16(4, 0x1234);
  message.close(outer);
  message.add_ip(5, *Ip::parse("198.18.0.1"));
  message.add_ip(6, *Ip::parse("fd00::1"));
  const auto& data = message.finish(42, NLM_F_ACK);

  nlmsghdr header{};
  ASSERT_TRUE(read_as(Bytes(data), header));
  EXPECT_EQ(header.nlmsg_len, data.size());
  EXPECT_EQ(header.nlmsg_type, 18);
  EXPECT_EQ(header.nlmsg_seq, 42u);
  EXPECT_EQ(header.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK);
  std::vector<std::string> seen;
  each_attribute(after(Bytes(data), sizeof header + sizeof body), [&](uint16_t type, Bytes value) {
    Ip ip;
    if (type == 1) seen.push_back(text_of(value));
    if (type == 2)
      each_attribute(value, [&](uint16_t inner, Bytes payload) {
        uint16_t number = 0;
        if (inner == 3) seen.push_back("u8 " + std::to_string(payload[0]));
        if (inner == 4 && be16_of(payload, number)) seen.push_back(std::to_string(number));
      });
    if (type >= 5 && ip_of(value, ip)) seen.push_back(ip.to_string());
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"eth0", "u8 9", "4660", "198.18.0.1", "fd00::1"}));
}

TEST(NetlinkMessage, LengthsThatLieEndTheWalk) {
  int calls = 0;
  auto count = [&](uint16_t, Bytes) { ++calls; };
  uint8_t too_long[8] = {200, 0, 1, 0, 0, 0, 0, 0};
  each_attribute(too_long, count);
  uint8_t too_short[8] = {3, 0, 1, 0, 0, 0, 0, 0};
  each_attribute(too_short, count);
  uint8_t zero[4] = {0, 0, 0, 0};
  each_attribute(zero, count);
  each_attribute(Bytes(too_long, 3), count);
  EXPECT_EQ(calls, 0);
  uint8_t unpadded[5] = {5, 0, 1, 0, 77};  // the last attribute may lack its padding
  each_attribute(unpadded, count);
  EXPECT_EQ(calls, 1);
}

TEST(NetlinkMessage, ShortPayloadsAreNotRead) {
  uint8_t three[3] = {1, 2, 3};
  uint32_t number = 0;
  Ip ip;
  uint16_t port = 0;
  EXPECT_FALSE(read_as(Bytes(three), number));
  EXPECT_FALSE(ip_of(Bytes(three), ip));
  EXPECT_FALSE(be16_of(Bytes(three), port));
  EXPECT_TRUE(after(Bytes(three), 4).empty());
  EXPECT_EQ(text_of(Bytes(three)), "\x01\x02\x03") << "text without a NUL ends with its payload";
}

}  // namespace
}  // namespace sallyport::net
