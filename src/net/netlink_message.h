// Netlink messages: built and read without a library. The kernel's replies are still read with
// bounds, since a length that lies must not become a read past the buffer.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ip.h"

namespace sallyport::net {

// One request: a header, the fixed structure of its family, attributes.
class MessageBuilder {
 public:
  template <class Body>
  MessageBuilder(uint16_t type, uint16_t flags, const Body& body) {
    static_assert(std::is_trivially_copyable_v<Body>);
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
    append(&header, sizeof header);
    append(&body, sizeof body);
  }

  void add(uint16_t type, const void* data, size_t size) {
    nlattr attribute{static_cast<uint16_t>(sizeof(nlattr) + size), type};
    append(&attribute, sizeof attribute);
    append(data, size);
  }
  void add_u8(uint16_t type, uint8_t value) { add(type, &value, sizeof value); }
  void add_u32(uint16_t type, uint32_t value) { add(type, &value, sizeof value); }
  void add_be16(uint16_t type, uint16_t value);
  void add_text(uint16_t type, const std::string& text) {
    add(type, text.c_str(), text.size() + 1);
  }
  void add_ip(uint16_t type, const Ip& ip);  // 4 or 16 bytes

  // Attributes until the matching close() go inside this one.
  [[nodiscard]] size_t open(uint16_t type) {
    size_t start = data_.size();
    nlattr attribute{sizeof(nlattr), type};
    append(&attribute, sizeof attribute);
    return start;
  }
  void close(size_t start) {
    auto length = static_cast<uint16_t>(data_.size() - start);
    std::memcpy(data_.data() + start, &length, sizeof length);
  }
  // The fixed structure of a nested message (VETH_INFO_PEER has one).
  void append(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    data_.insert(data_.end(), bytes, bytes + size);
    data_.resize((data_.size() + 3) & ~size_t{3});
  }

  // The finished message with its length, sequence number and further flags.
  [[nodiscard]] const std::vector<uint8_t>& finish(uint32_t sequence, uint16_t more_flags);

 private:
  std::vector<uint8_t> data_;
};

using Bytes = std::span<const uint8_t>;

// Calls `each` with the type (flag bits cleared) and payload of every attribute.
void each_attribute(Bytes data, const std::function<void(uint16_t type, Bytes payload)>& each);

// The payload after the fixed structure of a message; empty where it is too short.
[[nodiscard]] Bytes after(Bytes payload, size_t fixed);

// Copies a fixed structure out of a payload; false where it is too short.
template <class T>
bool read_as(Bytes data, T& out) {
  if (data.size() < sizeof(T)) return false;
  std::memcpy(&out, data.data(), sizeof(T));
  return true;
}

std::string text_of(Bytes payload);  // up to the first NUL
bool ip_of(Bytes payload, Ip& out);  // 4 or 16 bytes
bool be16_of(Bytes payload, uint16_t& out);

}  // namespace sallyport::net
