// The cluster's DNS server (`sallyport dns`), which runs as a pod. Its records come from a file
// that the node replaces atomically, so that it lives on when the node process is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace sallyport::dns {

struct ServiceRecord {  // SRV
  uint16_t port = 0;
  std::string target;
  auto operator<=>(const ServiceRecord&) const = default;
};

// Lower-case absolute names without the final dot.
struct Zone {
  std::string domain = "cluster.local";
  std::map<std::string, std::vector<Ip>> addresses;            // A and AAAA
  std::map<std::string, std::vector<ServiceRecord>> services;  // SRV
  std::map<std::string, std::string> pointers;                 // PTR: in-addr.arpa, ip6.arpa

  // Names that only exist because there is something below them (NODATA, not NXDOMAIN). Filled by
  // index(); parse_zone() and build_zone() have called it.
  std::unordered_set<std::string> parents;
  void index();
};

// The records file: one record a line, a first line with the version and a last one that counts the
// records, so that half a file is never taken for a whole one.
std::string write_zone(const Zone& zone);
Result<Zone> parse_zone(std::string_view text);

// A name that write_zone() can write and parse_zone() takes: labels of a-z, 0-9, '-' and '_'.
[[nodiscard]] bool valid_name(std::string_view name);

// The name of an address below in-addr.arpa or ip6.arpa.
std::string reverse_name(const Ip& ip);

// Answers over UDP are at most this long, whatever the client offers: no fragments on any link.
inline constexpr size_t kUdpSize = 1232;
inline constexpr size_t kTcpSize = 65535;

// One query packet to one answer packet (empty: not worth an answer). `max_size` is kTcpSize for a
// stream, kUdpSize for datagrams: there the client's own limit (512, or by EDNS) holds too, and
// what does not fit is cut off with TC set. Names outside the domain: NXDOMAIN (there is no
// upstream). RFC 1035, 2308 (negative answers), 2782 (SRV), 6891 (EDNS), 8482 (ANY is refused).
std::vector<uint8_t> answer(const Zone& zone, std::span<const uint8_t> query, size_t max_size);

// Serves UDP and TCP on both families until SIGTERM or SIGINT; re-reads the file when it changes (a
// wrong file is reported, and the old records stay). 0 after a signal, 1 when it could not start.
int serve(const std::string& records_file, uint16_t port);

// `sallyport dns --records FILE [--port 53]`; argv[0] is the subcommand. 2 for wrong arguments.
int dns_main(int argc, char** argv);

}  // namespace sallyport::dns
