#include "proxy/network.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace sallyport::proxy {
namespace {

// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST; the kernel's headers do not go with those of libc.
constexpr int kOriginalDestination = 80;

}  // namespace

Result<SocketAddress> KernelNetwork::original_destination(int fd, Family family) const {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  const bool v4 = family == Family::kV4;
  if (::getsockopt(fd, v4 ? SOL_IP : SOL_IPV6, kOriginalDestination, &raw, &size) != 0)
    return fail_errno("the original destination of a connection");
  auto address = from_sockaddr(raw);
  if (!address) return fail(Code::kInternal, "an original destination of an unknown family");
  return *address;
}

Result<SocketAddress> KernelNetwork::peer(int fd) const {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0)
    return fail_errno("getpeername");
  auto address = from_sockaddr(raw);
  if (!address) return fail(Code::kInternal, "a peer of an unknown family");
  return *address;
}

Status KernelNetwork::connect(int fd, const std::optional<Ip>& from,
                              const SocketAddress& to) const {
  sockaddr_storage raw{};
  if (from) {
    // The port is picked at connect(), where the whole tuple is known: ports of different clients
    // and destinations do not take each other's.
    const int on = 1;
    ::setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const socklen_t size = to_sockaddr({*from, 0}, raw);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&raw), size) != 0)
      return fail_errno("bind to the client's address " + from->to_string());
  }
  const socklen_t size = to_sockaddr(to, raw);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&raw), size) != 0 && errno != EINPROGRESS)
    return fail_errno("connect to " + to.to_string());
  return {};
}

}  // namespace sallyport::proxy
