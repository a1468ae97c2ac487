// links: dns
// Packets to answers, and records files to zones. The first byte says which: even, a query over UDP
// or TCP against a small zone; odd, a records file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dns/server.h"

namespace {

using sallyport::Ip;
namespace dns = sallyport::dns;

dns::Zone make_zone() {
  dns::Zone zone;
  zone.addresses["web.shop.svc.cluster.local"] = {Ip::v4(0xc6130001), *Ip::parse("fd00::1")};
  for (uint32_t i = 0; i < 200; ++i)
    zone.addresses["many.shop.svc.cluster.local"].push_back(Ip::v4(0xc6120000 + i));
  zone.services["_http._tcp.web.shop.svc.cluster.local"] = {{80, "web.shop.svc.cluster.local"}};
  zone.pointers["1.0.19.198.in-addr.arpa"] = "web.shop.svc.cluster.local";
  zone.index();
  return zone;
}

void check(bool holds) {
  if (!holds) std::abort();
}

void fuzz_packet(std::string_view packet, size_t limit) {
  static const dns::Zone zone = make_zone();
  const auto* bytes = reinterpret_cast<const uint8_t*>(packet.data());
  const auto reply = dns::answer(zone, {bytes, packet.size()}, limit);
  if (reply.empty()) return;
  check(reply.size() >= 12 && reply.size() <= limit);
  check(reply[0] == bytes[0] && reply[1] == bytes[1]);  // the id
  check((reply[2] & 0x80) != 0);                        // an answer
  // An answer is never answered, or two servers could keep each other busy.
  check(dns::answer(zone, reply, limit).empty());
}

void fuzz_file(std::string_view text) {
  const auto zone = dns::parse_zone(text);
  if (!zone) return;
  const auto again = dns::parse_zone(dns::write_zone(*zone));
  check(again.has_value());
  check(again->domain == zone->domain && again->addresses == zone->addresses &&
        again->services == zone->services && again->pointers == zone->pointers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1)
    fuzz_file(rest);
  else
    fuzz_packet(rest, data[0] % 4 == 0 ? dns::kUdpSize : dns::kTcpSize);
  return 0;
}
