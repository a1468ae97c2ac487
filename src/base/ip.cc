#include "base/ip.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace sallyport {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool parse_v4(std::string_view text, uint8_t out[4]) {
  size_t pos = 0;
  for (int i = 0; i < 4; ++i) {
    size_t end = i < 3 ? text.find('.', pos) : text.size();
    if (end == std::string_view::npos) return false;
    std::string_view part = text.substr(pos, end - pos);
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
    unsigned value = 0;
    auto [ptr, err] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (err != std::errc() || ptr != part.data() + part.size() || value > 255) return false;
    out[i] = static_cast<uint8_t>(value);
    pos = end + 1;
  }
  return true;
}

// Clears the bits of `bytes` after the first `bits`.
void mask(std::array<uint8_t, 16>& bytes, int bits) {
  for (int i = 0; i < 16; ++i) {
    int keep = bits - i * 8;
    if (keep >= 8) continue;
    bytes[i] = keep <= 0 ? 0 : static_cast<uint8_t>(bytes[i] & (0xff << (8 - keep)));
  }
}

}  // namespace

Result<Ip> Ip::parse(std::string_view text) {
  Ip ip;
  if (text.find(':') == std::string_view::npos) {
    std::memcpy(ip.bytes.data(), kMappedPrefix.data(), kMappedPrefix.size());
    if (!parse_v4(text, ip.bytes.data() + 12))
      return fail(Code::kInvalid, "\"" + std::string(text) + "\" is not an IP address");
    return ip;
  }
  std::string copy(text);
  if (copy.size() > 45 || copy.find('%') != std::string::npos ||
      ::inet_pton(AF_INET6, copy.c_str(), ip.bytes.data()) != 1 ||
      copy.size() != std::strlen(copy.c_str()))
    return fail(Code::kInvalid, "\"" + copy + "\" is not an IP address");
  if (ip.family() == Family::kV4)
    return fail(Code::kInvalid,
                "\"" + copy + "\" is an IPv4-mapped IPv6 address, expected plain IPv4 or IPv6");
  return ip;
}

Ip Ip::v4(uint32_t host_order) {
  Ip ip;
  std::memcpy(ip.bytes.data(), kMappedPrefix.data(), kMappedPrefix.size());
  for (int i = 0; i < 4; ++i) ip.bytes[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return ip;
}

Family Ip::family() const {
  return std::memcmp(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0 ? Family::kV4
                                                                                    : Family::kV6;
}

uint32_t Ip::v4_host_order() const {
  return uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 | uint32_t{bytes[14]} << 8 |
         bytes[15];
}

std::string Ip::to_string() const {
  char text[INET6_ADDRSTRLEN];
  if (family() == Family::kV4)
    ::inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
  else
    ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

Result<Cidr> Cidr::parse(std::string_view text, bool strict) {
  auto bad = [&](std::string_view why) {
    return fail(Code::kInvalid, "\"" + std::string(text) + "\" is not a CIDR: " + std::string(why));
  };
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad("expected ADDRESS/PREFIXLENGTH");
  auto ip = Ip::parse(text.substr(0, slash));
  if (!ip) return bad(ip.error().message);
  std::string_view length = text.substr(slash + 1);
  int bits = -1;
  auto [ptr, err] = std::from_chars(length.data(), length.data() + length.size(), bits);
  int most = ip->family() == Family::kV4 ? 32 : 128;
  if (err != std::errc() || ptr != length.data() + length.size() || bits < 0 || bits > most ||
      (length.size() > 1 && length[0] == '0'))
    return bad("the prefix length must be 0 to " + std::to_string(most));
  Cidr cidr{*ip, bits};
  mask(cidr.base.bytes, cidr.mapped_bits());
  // Masking an IPv4 address never touches the mapped prefix, because mapped_bits() >= 96.
  if (strict && cidr.base != *ip) return bad("host bits are set; expected " + cidr.to_string());
  return cidr;
}

bool Cidr::contains(const Ip& ip) const {
  if (ip.family() != family()) return false;
  Ip masked = ip;
  mask(masked.bytes, mapped_bits());
  return masked == base;
}

bool Cidr::contains(const Cidr& other) const {
  return other.family() == family() && other.bits >= bits && contains(other.base);
}

int Cidr::mapped_bits() const {
  return family() == Family::kV4 ? bits + 96 : bits;
}

std::string Cidr::to_string() const {
  return base.to_string() + "/" + std::to_string(bits);
}

Ip offset_ip(const Ip& base, uint32_t offset) {
  Ip ip = base;
  uint32_t low = base.v4_host_order() + offset;
  for (int i = 0; i < 4; ++i) ip.bytes[12 + i] = static_cast<uint8_t>(low >> (24 - 8 * i));
  return ip;
}

}  // namespace sallyport
