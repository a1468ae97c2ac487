#include "proxy/address.h"

#include <netinet/in.h>

#include <cstring>

namespace sallyport::proxy {

std::string SocketAddress::to_string() const {
  if (ip.family() == Family::kV6) return "[" + ip.to_string() + "]:" + std::to_string(port);
  return ip.to_string() + ":" + std::to_string(port);
}

socklen_t to_sockaddr(const SocketAddress& address, sockaddr_storage& out) {
  if (address.ip.family() == Family::kV4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    in.sin_addr.s_addr = htonl(address.ip.v4_host_order());
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(address.port);
  std::memcpy(&in.sin6_addr, address.ip.bytes.data(), 16);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

std::optional<SocketAddress> from_sockaddr(const sockaddr_storage& in) {
  SocketAddress out;
  if (in.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &in, sizeof v4);
    out.ip = Ip::v4(ntohl(v4.sin_addr.s_addr));
    out.port = ntohs(v4.sin_port);
    return out;
  }
  if (in.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &in, sizeof v6);
    std::memcpy(out.ip.bytes.data(), &v6.sin6_addr, 16);
    out.port = ntohs(v6.sin6_port);
    return out;
  }
  return std::nullopt;
}

}  // namespace sallyport::proxy
