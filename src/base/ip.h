// IP addresses and CIDRs of both families. An address is always 16 bytes in network order; IPv4 is
// held as ::ffff:a.b.c.d, which is also the key form of the kernel's tables.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport {

enum class Family : uint8_t { kV4 = 4, kV6 = 6 };

struct Ip {
  std::array<uint8_t, 16> bytes{};

  // Strict forms only: dotted quad without leading zeros, RFC 4291 text, no zone, no
  // IPv4-mapped IPv6 text (the API server refuses both).
  static Result<Ip> parse(std::string_view text);
  static Ip v4(uint32_t host_order);

  [[nodiscard]] Family family() const;
  [[nodiscard]] uint32_t v4_host_order() const;  // only for kV4
  [[nodiscard]] std::string to_string() const;   // RFC 5952 for IPv6
  auto operator<=>(const Ip&) const = default;
};

struct Cidr {
  Ip base;       // host bits are zero
  int bits = 0;  // prefix length within the family: 0..32 or 0..128

  // Host bits may be set in the text (legacy objects have them); they are masked. `strict` refuses.
  static Result<Cidr> parse(std::string_view text, bool strict = false);

  [[nodiscard]] bool contains(const Ip& ip) const;       // false for the other family
  [[nodiscard]] bool contains(const Cidr& other) const;  // equal counts
  [[nodiscard]] int mapped_bits() const;  // prefix length over the 16 bytes: IPv4 adds 96
  [[nodiscard]] Family family() const { return base.family(); }
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Cidr&) const = default;
};

// The address `offset` above `base`, for address pools. The offset may not leave the low 32 bits.
Ip offset_ip(const Ip& base, uint32_t offset);

}  // namespace sallyport

template <>
struct std::hash<sallyport::Ip> {
  size_t operator()(const sallyport::Ip& ip) const noexcept {
    return std::hash<std::string_view>{}(
        std::string_view(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size()));
  }
};
