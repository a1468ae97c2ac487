#include "net/netlink_message.h"

#include <arpa/inet.h>

#include <algorithm>

namespace sallyport::net {

void MessageBuilder::add_be16(uint16_t type, uint16_t value) {
  uint16_t be = htons(value);
  add(type, &be, sizeof be);
}

void MessageBuilder::add_ip(uint16_t type, const Ip& ip) {
  if (ip.family() == Family::kV4)
    add(type, ip.bytes.data() + 12, 4);
  else
    add(type, ip.bytes.data(), 16);
}

const std::vector<uint8_t>& MessageBuilder::finish(uint32_t sequence, uint16_t more_flags) {
  nlmsghdr header{};
  std::memcpy(&header, data_.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(data_.size());
  header.nlmsg_flags = static_cast<uint16_t>(header.nlmsg_flags | more_flags);
  header.nlmsg_seq = sequence;
  std::memcpy(data_.data(), &header, sizeof header);
  return data_;
}

void each_attribute(Bytes data, const std::function<void(uint16_t, Bytes)>& each) {
  while (data.size() >= sizeof(nlattr)) {
    nlattr attribute{};
    std::memcpy(&attribute, data.data(), sizeof attribute);
    if (attribute.nla_len < sizeof(nlattr) || attribute.nla_len > data.size()) return;
    each(static_cast<uint16_t>(attribute.nla_type & NLA_TYPE_MASK),
         data.subspan(sizeof(nlattr), attribute.nla_len - sizeof(nlattr)));
    size_t step = (size_t{attribute.nla_len} + 3) & ~size_t{3};
    data = data.subspan(std::min(step, data.size()));
  }
}

Bytes after(Bytes payload, size_t fixed) {
  fixed = (fixed + 3) & ~size_t{3};
  return payload.size() < fixed ? Bytes{} : payload.subspan(fixed);
}

std::string text_of(Bytes payload) {
  auto end = std::find(payload.begin(), payload.end(), uint8_t{0});
  return {payload.begin(), end};
}

bool ip_of(Bytes payload, Ip& out) {
  if (payload.size() == 16) {
    std::copy(payload.begin(), payload.end(), out.bytes.begin());
    return true;
  }
  if (payload.size() != 4) return false;
  out = Ip::v4(uint32_t{payload[0]} << 24 | uint32_t{payload[1]} << 16 | uint32_t{payload[2]} << 8 |
               payload[3]);
  return true;
}

bool be16_of(Bytes payload, uint16_t& out) {
  if (payload.size() != 2) return false;
  out = static_cast<uint16_t>(payload[0] << 8 | payload[1]);
  return true;
}

}  // namespace sallyport::net
