// Small helpers over socket addresses and SCTP packets, for the servers and the probes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/ip.h"

namespace sallyport::kernel_test {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

[[nodiscard]] SocketAddress socket_address(const Ip& ip, uint16_t port);

[[nodiscard]] inline int domain_of(const Ip& ip) {
  return ip.family() == Family::kV4 ? AF_INET : AF_INET6;
}

// SCTP (RFC 9260) as far as the gate looks: the common header and one chunk, with a right checksum.
constexpr uint8_t kSctpInit = 1;
constexpr uint8_t kSctpInitAck = 2;

struct SctpPacket {
  uint16_t source_port = 0, destination_port = 0;
  uint8_t chunk = 0;
};

[[nodiscard]] std::string write_sctp(const SctpPacket& packet);

// What a raw socket of `family` delivered (IPv4 with its header); chunk is 0 where it is no SCTP.
[[nodiscard]] SctpPacket read_sctp(Family family, const uint8_t* data, size_t size);

}  // namespace sallyport::kernel_test
