#include "dns/socket.h"

#include <netinet/in.h>

#include <cstring>
#include <string>

namespace sallyport::dns {

Result<Fd> bound_socket(Family family, int type, uint16_t port) {
  const bool v4 = family == Family::kV4;
  const std::string what = std::string(type == SOCK_DGRAM ? "UDP" : "TCP") + " port " +
                           std::to_string(port) + " on " + (v4 ? "0.0.0.0" : "::");
  Fd fd(::socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    if (errno == EAFNOSUPPORT) return fail(Code::kUnavailable, what + ": no such family here");
    return fail_errno(what);
  }
  const int on = 1;
  if ((type == SOCK_STREAM &&
       ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
      (!v4 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0))
    return fail_errno(what);
  sockaddr_storage address{};
  socklen_t length = 0;
  if (v4) {
    auto* where = reinterpret_cast<sockaddr_in*>(&address);
    where->sin_family = AF_INET;
    where->sin_port = htons(port);
    length = sizeof(*where);
  } else {
    auto* where = reinterpret_cast<sockaddr_in6*>(&address);
    where->sin6_family = AF_INET6;
    where->sin6_port = htons(port);
    length = sizeof(*where);
  }
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno == EADDRNOTAVAIL) return fail(Code::kUnavailable, what + ": no such address here");
    return fail_errno(what);
  }
  return fd;
}

Ip peer_address(const sockaddr_storage& peer) {
  if (peer.ss_family == AF_INET)
    return Ip::v4(ntohl(reinterpret_cast<const sockaddr_in&>(peer).sin_addr.s_addr));
  Ip ip;
  std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, 16);
  return ip;
}

}  // namespace sallyport::dns
