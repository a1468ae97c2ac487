// The tables of one generation as flat arrays: what both the kernel's maps and the twin hold. Made
// from the compiled policy, where endpoints are wired, and the node's ranges and offers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "gate/bpf/types.h"
#include "gate/gate.h"
#include "gate/tls_names.h"
#include "policy/compiled.h"

namespace sallyport::gate {

struct Tables {
  std::vector<std::pair<sp_address, sp_endpoint>> endpoints;
  std::vector<std::pair<uint32_t, uint32_t>> interfaces;  // ifindex -> endpoint id
  std::vector<std::pair<sp_prefix_key, sp_prefix>> prefixes;
  std::vector<std::pair<uint64_t, sp_program>> programs;  // set << 32 | class
  std::vector<sp_piece> pieces;
  std::vector<uint32_t> offers;  // protocol << 16 | port
  // Endpoint << 32 | port (0: all others) -> the number of the PeerAuthentication, 0: no demand.
  std::vector<std::pair<uint64_t, uint32_t>> tls;
  std::map<uint32_t, std::string> tls_names;  // of those numbers
};

// Fails with kInvalid where the compiled form contradicts itself, and with kExhausted where there
// are more endpoints than config.max_endpoints: such tables never reach the kernel.
//
// An endpoint whose address is in the node's own pod ranges but that is not wired is left out: it
// stays an unknown address, which is denied.
Result<Tables> build_tables(const policy::Compiled& compiled,
                            const std::vector<EndpointPort>& ports, const GateConfig& config,
                            const std::vector<TlsDemand>& tls, TlsNames& names);
// Without ports that demand TLS.
Result<Tables> build_tables(const policy::Compiled& compiled,
                            const std::vector<EndpointPort>& ports, const GateConfig& config);

[[nodiscard]] sp_address to_kernel(const Ip& ip);
[[nodiscard]] Ip from_kernel(const sp_address& address);

}  // namespace sallyport::gate
