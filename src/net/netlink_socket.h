// A netlink socket that sends one request and reads all of its answer before it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/netlink_message.h"

namespace sallyport::net {

class NetlinkSocket {
 public:
  NetlinkSocket() = default;
  // protocol: NETLINK_ROUTE or NETLINK_NETFILTER; netns_fd -1: the caller's namespace.
  static Result<NetlinkSocket> open(int netns_fd, int protocol);

  // Asks and waits for the acknowledgement. The error is the kernel's, with its own words where
  // it has some (extended acknowledgement); ENOENT, ENODEV, ESRCH and ENXIO become kNotFound,
  // EEXIST kConflict.
  Status request(MessageBuilder message, std::string_view what);

  // Asks for a dump or a single object; `each` gets the payload of every message of the answer.
  // A dump that the kernel marks as interrupted is reported by kUnavailable after `each` saw it.
  using Each = std::function<void(uint16_t type, Bytes payload)>;
  Status query(MessageBuilder message, std::string_view what, const Each& each);

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)), buffer_(64 << 10) {}
  Status send(const std::vector<uint8_t>& message, std::string_view what);
  Status receive(bool dump, std::string_view what, const Each& each);

  Fd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace sallyport::net
