// The cluster's DNS server (`sallyport dns`), which runs as a pod. Its records come from a file
// that the node replaces atomically, so that it lives on when the node process is killed.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace sallyport::dns {

struct ServiceRecord {  // SRV
  uint16_t port = 0;
  std::string target;
};

// Lower-case absolute names without the final dot.
struct Zone {
  std::string domain = "cluster.local";
  std::map<std::string, std::vector<Ip>> addresses;           // A and AAAA
  std::map<std::string, std::vector<ServiceRecord>> services; // SRV
  std::map<std::string, std::string> pointers;                // PTR: in-addr.arpa, ip6.arpa
};

std::string write_zone(const Zone& zone);          // the records file
Result<Zone> parse_zone(std::string_view text);

// One query packet to one answer packet (empty: not worth an answer). UDP answers over
// `max_size` are truncated (TC). Names outside the domain: NXDOMAIN (there is no upstream).
std::vector<uint8_t> answer(const Zone& zone, std::span<const uint8_t> query, size_t max_size);

// Serves UDP and TCP on both families until SIGTERM; re-reads the file when it changes.
int serve(const std::string& records_file, uint16_t port);

}  // namespace sallyport::dns
