// For tests, benchmarks and fuzz seeds: IP packets by hand.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/ip.h"

namespace sallyport::gate {

using Bytes = std::vector<uint8_t>;

inline void put16(Bytes& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
inline void put32(Bytes& out, uint32_t value) {
  put16(out, static_cast<uint16_t>(value >> 16));
  put16(out, static_cast<uint16_t>(value));
}
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline uint16_t checksum(const Bytes& data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); i += 2)
    sum += static_cast<uint32_t>(data[i]) << 8 | (i + 1 < data.size() ? data[i + 1] : 0u);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The sum over the pseudo header, for checksum() of a transport header.
inline uint32_t pseudo_sum(const Ip& from, const Ip& to, uint8_t protocol, size_t length) {
  uint32_t sum = protocol + static_cast<uint32_t>(length);
  const size_t first = from.family() == Family::kV4 ? 12 : 0;
  for (const Ip* ip : {&from, &to})
    for (size_t i = first; i < 16; i += 2)
      sum += static_cast<uint32_t>(ip->bytes[i]) << 8 | ip->bytes[i + 1];
  return sum;
}

struct IpOptions {
  uint16_t fragment = 0;  // IPv4: flags and offset as on the wire
  Bytes options;          // IPv4 options, a multiple of four bytes
  Bytes extensions;       // IPv6 extension headers; the first one's type is `first_next`
  uint8_t first_next = 0;
  uint8_t ttl = 64;
};

inline Bytes ip_packet(const Ip& from, const Ip& to, uint8_t protocol, const Bytes& payload,
                       const IpOptions& options = {}) {
  Bytes out;
  if (from.family() == Family::kV4) {
    const size_t header = 20 + options.options.size();
    out.push_back(static_cast<uint8_t>(0x40 | header / 4));
    out.push_back(0);
    put16(out, static_cast<uint16_t>(header + payload.size()));
    put16(out, 0x1234);
    put16(out, options.fragment);
    out.push_back(options.ttl);
    out.push_back(protocol);
    put16(out, 0);
    out.insert(out.end(), from.bytes.begin() + 12, from.bytes.end());
    out.insert(out.end(), to.bytes.begin() + 12, to.bytes.end());
    out = out + options.options;
    const uint16_t sum = checksum(out);
    out[10] = static_cast<uint8_t>(sum >> 8);
    out[11] = static_cast<uint8_t>(sum);
  } else {
    put32(out, 0x60000000);
    put16(out, static_cast<uint16_t>(options.extensions.size() + payload.size()));
    out.push_back(options.extensions.empty() ? protocol : options.first_next);
    out.push_back(options.ttl);
    out.insert(out.end(), from.bytes.begin(), from.bytes.end());
    out.insert(out.end(), to.bytes.begin(), to.bytes.end());
    out = out + options.extensions;
  }
  return out + payload;
}

inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

inline Bytes tcp_packet(const Ip& from, uint16_t from_port, const Ip& to, uint16_t to_port,
                        uint8_t flags, const IpOptions& options = {}) {
  Bytes tcp;
  put16(tcp, from_port);
  put16(tcp, to_port);
  put32(tcp, 1);
  put32(tcp, 1);
  tcp.push_back(5 << 4);
  tcp.push_back(flags);
  put16(tcp, 1024);
  put32(tcp, 0);
  const uint16_t sum = checksum(tcp, pseudo_sum(from, to, 6, tcp.size()));
  tcp[16] = static_cast<uint8_t>(sum >> 8);
  tcp[17] = static_cast<uint8_t>(sum);
  return ip_packet(from, to, 6, tcp, options);
}

inline constexpr uint8_t kPsh = 8, kUrg = 32;

// A segment at a place in the stream; `tcp_options` a multiple of four bytes.
struct Segment {
  uint8_t flags = kAck;
  uint32_t sequence = 0, acknowledgement = 0;
  Bytes payload = {};
  Bytes tcp_options = {};
  uint16_t urgent_pointer = 0;
};

inline Bytes tcp_segment(const Ip& from, uint16_t from_port, const Ip& to, uint16_t to_port,
                         const Segment& segment, const IpOptions& options = {}) {
  Bytes tcp;
  put16(tcp, from_port);
  put16(tcp, to_port);
  put32(tcp, segment.sequence);
  put32(tcp, segment.acknowledgement);
  tcp.push_back(static_cast<uint8_t>((5 + segment.tcp_options.size() / 4) << 4));
  tcp.push_back(segment.flags);
  put16(tcp, 1024);
  put16(tcp, 0);
  put16(tcp, segment.urgent_pointer);
  tcp = tcp + segment.tcp_options + segment.payload;
  const uint16_t sum = checksum(tcp, pseudo_sum(from, to, 6, tcp.size()));
  tcp[16] = static_cast<uint8_t>(sum >> 8);
  tcp[17] = static_cast<uint8_t>(sum);
  return ip_packet(from, to, 6, tcp, options);
}

inline Bytes udp_packet(const Ip& from, uint16_t from_port, const Ip& to, uint16_t to_port,
                        const Bytes& data = {'h', 'i'}, const IpOptions& options = {}) {
  Bytes udp;
  put16(udp, from_port);
  put16(udp, to_port);
  put16(udp, static_cast<uint16_t>(8 + data.size()));
  put16(udp, 0);
  udp = udp + data;
  const uint16_t sum = checksum(udp, pseudo_sum(from, to, 17, udp.size()));
  udp[6] = static_cast<uint8_t>(sum >> 8);
  udp[7] = static_cast<uint8_t>(sum);
  return ip_packet(from, to, 17, udp, options);
}

// An INIT chunk without a CRC32c: enough for a filter, not for an SCTP stack.
inline Bytes sctp_packet(const Ip& from, uint16_t from_port, const Ip& to, uint16_t to_port) {
  Bytes sctp;
  put16(sctp, from_port);
  put16(sctp, to_port);
  put32(sctp, 0);
  put32(sctp, 0);
  put32(sctp, 0x01000014);
  put32(sctp, 0xabcdef01);
  put32(sctp, 65536);
  put32(sctp, 0x000a000a);
  put32(sctp, 1);
  return ip_packet(from, to, 132, sctp);
}

// ICMP or ICMPv6 by the family; `rest` follows the checksum.
inline Bytes icmp_packet(const Ip& from, const Ip& to, uint8_t type, uint8_t code,
                         const Bytes& rest, const IpOptions& options = {}) {
  const bool v4 = from.family() == Family::kV4;
  const uint8_t protocol = v4 ? 1 : 58;
  Bytes icmp = {type, code, 0, 0};
  icmp = icmp + rest;
  const uint16_t sum = checksum(icmp, v4 ? 0 : pseudo_sum(from, to, protocol, icmp.size()));
  icmp[2] = static_cast<uint8_t>(sum >> 8);
  icmp[3] = static_cast<uint8_t>(sum);
  return ip_packet(from, to, protocol, icmp, options);
}

inline Bytes echo_packet(const Ip& from, const Ip& to, bool request, uint16_t id) {
  Bytes rest;
  put16(rest, id);
  put16(rest, 1);
  const uint8_t type = from.family() == Family::kV4 ? (request ? 8 : 0) : (request ? 128 : 129);
  return icmp_packet(from, to, type, 0, rest);
}

// An error that quotes the beginning of `inner`.
inline Bytes icmp_error(const Ip& from, const Ip& to, uint8_t type, uint8_t code,
                        const Bytes& inner, uint32_t mtu = 0) {
  Bytes rest;
  put32(rest, mtu);
  const size_t most = from.family() == Family::kV4 ? 28 : 128;
  rest.insert(rest.end(), inner.begin(),
              inner.begin() + static_cast<long>(std::min(most, inner.size())));
  return icmp_packet(from, to, type, code, rest);
}

}  // namespace sallyport::gate
