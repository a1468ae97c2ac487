// An address and a port, and its forms for system calls.
#pragma once

#include <sys/socket.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/ip.h"

namespace sallyport::proxy {

struct SocketAddress {
  Ip ip;
  uint16_t port = 0;

  [[nodiscard]] std::string to_string() const;  // "198.18.0.7:80", "[fd00::7]:80"
  auto operator<=>(const SocketAddress&) const = default;
};

// Fills `out` and returns the length that the family needs.
socklen_t to_sockaddr(const SocketAddress& address, sockaddr_storage& out);
// Nothing for other families. An IPv4-mapped IPv6 address is the IPv4 one.
std::optional<SocketAddress> from_sockaddr(const sockaddr_storage& in);

}  // namespace sallyport::proxy

template <>
struct std::hash<sallyport::proxy::SocketAddress> {
  size_t operator()(const sallyport::proxy::SocketAddress& address) const noexcept {
    return std::hash<sallyport::Ip>{}(address.ip) * 31 + address.port;
  }
};
