#include "dns/udp.h"

#include <netinet/in.h>

#include <array>
#include <cstring>
#include <optional>

#include "dns/socket.h"

namespace sallyport::dns {
namespace {

constexpr int kBatch = 64;         // packets before others have their turn
constexpr size_t kLongest = 4096;  // of a query

// The local address that a packet came to, in the form in which sendmsg() takes it as its source.
class LocalAddress {
 public:
  void take(msghdr& message) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
         control = CMSG_NXTHDR(&message, control)) {
      if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        std::memcpy(&v4_.emplace(), CMSG_DATA(control), sizeof(in_pktinfo));
        v4_->ipi_ifindex = 0;  // routing decides
      } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        std::memcpy(&v6_.emplace(), CMSG_DATA(control), sizeof(in6_pktinfo));
        if (!IN6_IS_ADDR_LINKLOCAL(&v6_->ipi6_addr)) v6_->ipi6_ifindex = 0;
      }
    }
  }

  void put(msghdr& message) const {
    if (v4_) put(message, IPPROTO_IP, IP_PKTINFO, &*v4_, sizeof(*v4_));
    if (v6_) put(message, IPPROTO_IPV6, IPV6_PKTINFO, &*v6_, sizeof(*v6_));
  }

 private:
  static void put(msghdr& message, int level, int type, const void* data, size_t size) {
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(control), data, size);
  }

  std::optional<in_pktinfo> v4_;
  std::optional<in6_pktinfo> v6_;
};

uint16_t port_of(const sockaddr_storage& peer) {
  return peer.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(peer).sin_port
                                   : reinterpret_cast<const sockaddr_in6&>(peer).sin6_port;
}

}  // namespace

Result<UdpServer> UdpServer::open(Family family, uint16_t port) {
  UdpServer server;
  SP_TRY(server.fd_, bound_socket(family, SOCK_DGRAM, port));
  const int on = 1;
  const int result =
      family == Family::kV4
          ? ::setsockopt(server.fd(), IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
          : ::setsockopt(server.fd(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
  if (result != 0) return fail_errno("setsockopt for packet information");
  return server;
}

void UdpServer::serve(const Zone& zone) {
  std::array<uint8_t, kLongest> buffer;
  for (int i = 0; i < kBatch; ++i) {
    sockaddr_storage peer{};
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_namelen = sizeof(peer);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd(), &message, MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EAGAIN) return;
      continue;  // an error of an earlier answer (port unreachable)
    }
    if ((message.msg_flags & MSG_TRUNC) != 0 || port_of(peer) == 0) continue;
    LocalAddress local;
    local.take(message);

    std::vector<uint8_t> reply = answer(zone, {buffer.data(), static_cast<size_t>(got)}, kUdpSize);
    if (reply.empty()) continue;
    control = {};
    part = {reply.data(), reply.size()};
    message.msg_flags = 0;
    message.msg_controllen = 0;
    local.put(message);
    if (message.msg_controllen == 0) message.msg_control = nullptr;
    // What cannot be sent now is lost, as datagrams are; the client asks again.
    [[maybe_unused]] const ssize_t sent = ::sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

}  // namespace sallyport::dns
