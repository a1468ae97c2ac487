#include "capture/sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "net/netns.h"

namespace sallyport::capture {
namespace {

// The kernel cuts it to net.core.somaxconn, whose default is the same.
constexpr int kBacklog = 4096;
constexpr int kOn = 1;

// Not in glibc's headers of every release.
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

Status set(int fd, int level, int option, int value, const char* name) {
  if (::setsockopt(fd, level, option, &value, sizeof value) != 0)
    return fail_errno(std::string("set ") + name);
  return {};
}

Result<Fd> make_socket(Family family) {
  int domain = family == Family::kV4 ? AF_INET : AF_INET6;
  Fd fd(::socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket");
  if (family == Family::kV6)
    SP_CHECK_OK(set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, kOn, "IPV6_V6ONLY"));
  return fd;
}

Result<Fd> make_listener(Family family, uint16_t port, bool loopback) {
  SP_TRY(Fd fd, make_socket(family));
  SP_CHECK_OK(set(fd.get(), SOL_SOCKET, SO_REUSEADDR, kOn, "SO_REUSEADDR"));
  int bound = 0;
  if (family == Family::kV4) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
    bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = loopback ? in6addr_loopback : in6addr_any;
    bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  if (bound != 0 || ::listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE)
      return fail(Code::kConflict, "a process of the pod listens on port " + std::to_string(port) +
                                       ", which the mesh needs");
    return fail_errno("listen on port " + std::to_string(port));
  }
  return fd;
}

Result<Fd> make_marked(Leg leg, Family family, const Marks& marks) {
  SP_TRY(Fd fd, make_socket(family));
  uint32_t mark = leg == Leg::kOutbound ? marks.outbound : marks.to_app;
  SP_CHECK_OK(set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark), "SO_MARK"));
  if (leg == Leg::kOutbound) return fd;
  if (family == Family::kV4) {
    SP_CHECK_OK(set(fd.get(), IPPROTO_IP, IP_TRANSPARENT, kOn, "IP_TRANSPARENT"));
    SP_CHECK_OK(set(fd.get(), IPPROTO_IP, IP_FREEBIND, kOn, "IP_FREEBIND"));
  } else {
    SP_CHECK_OK(set(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, kOn, "IPV6_TRANSPARENT"));
    SP_CHECK_OK(set(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, kOn, "IPV6_FREEBIND"));
  }
  // The port is chosen at connect, when the whole tuple is known: a bound one would have to be
  // free for every destination. Both families read the option of IPv4.
  SP_CHECK_OK(set(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, kOn, "IP_BIND_ADDRESS_NO_PORT"));
  return fd;
}

}  // namespace

Result<Listeners> make_listeners(int netns) {
  Listeners out;
  SP_CHECK_OK(net::in_netns(netns, [&]() -> Status {
    SP_TRY(out.outbound4, make_listener(Family::kV4, kOutboundPort, true));
    SP_TRY(out.outbound6, make_listener(Family::kV6, kOutboundPort, true));
    SP_TRY(out.inbound4, make_listener(Family::kV4, kInboundPort, false));
    SP_TRY(out.inbound6, make_listener(Family::kV6, kInboundPort, false));
    return {};
  }));
  return out;
}

Result<std::vector<Fd>> make_sockets(int netns, Leg leg, Family family, const Marks& marks,
                                     int count) {
  std::vector<Fd> out;
  // One thread enters the namespace for the whole batch.
  SP_CHECK_OK(net::in_netns(netns, [&]() -> Status {
    for (int i = 0; i < count; ++i) {
      SP_TRY(Fd fd, make_marked(leg, family, marks));
      out.push_back(std::move(fd));
    }
    return {};
  }));
  return out;
}

}  // namespace sallyport::capture
