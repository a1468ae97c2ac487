#include "kernel/sockets.h"

#include <arpa/inet.h>

#include <cstring>

namespace sallyport::kernel_test {
namespace {

constexpr size_t kCommonHeader = 12;

// CRC-32C, bit by bit: packets are few and short.
uint32_t crc32c(const std::string& data) {
  uint32_t crc = 0xffffffff;
  for (char c : data) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

void put16(std::string& out, size_t at, uint16_t value) {
  out[at] = static_cast<char>(value >> 8);
  out[at + 1] = static_cast<char>(value & 0xff);
}

}  // namespace

SocketAddress socket_address(const Ip& ip, uint16_t port) {
  SocketAddress out;
  if (ip.family() == Family::kV4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, ip.bytes.data() + 12, 4);
    out.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, ip.bytes.data(), 16);
    out.size = sizeof *v6;
  }
  return out;
}

std::string write_sctp(const SctpPacket& packet) {
  std::string out(kCommonHeader + 20, '\0');
  put16(out, 0, packet.source_port);
  put16(out, 2, packet.destination_port);
  // An INIT has verification tag 0, its answer the tag that the INIT named.
  if (packet.chunk != kSctpInit) out[7] = 1;
  out[kCommonHeader] = static_cast<char>(packet.chunk);
  put16(out, kCommonHeader + 2, 20);
  out[kCommonHeader + 7] = 1;         // initiate tag
  put16(out, kCommonHeader + 8, 1);   // receive window 0x10000
  put16(out, kCommonHeader + 12, 1);  // streams out
  put16(out, kCommonHeader + 14, 1);  // streams in
  out[kCommonHeader + 19] = 1;        // first TSN
  uint32_t crc = crc32c(out);         // little-endian on the wire
  for (size_t i = 0; i < 4; ++i) out[8 + i] = static_cast<char>(crc >> 8 * i);
  return out;
}

SctpPacket read_sctp(Family family, const uint8_t* data, size_t size) {
  size_t at = 0;
  if (family == Family::kV4) {
    if (size < 20) return {};
    at = static_cast<size_t>(data[0] & 15) * 4;
  }
  if (size < at + kCommonHeader + 1) return {};
  auto port = [&](size_t i) { return static_cast<uint16_t>(data[at + i] << 8 | data[at + i + 1]); };
  return {port(0), port(2), data[at + kCommonHeader]};
}

}  // namespace sallyport::kernel_test
