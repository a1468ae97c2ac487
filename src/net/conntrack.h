// The kernel's connection tracking of one network namespace, listed and trimmed through nfnetlink.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "net/netlink_socket.h"

namespace sallyport::net {

struct ConntrackTuple {
  Ip source, destination;
  uint16_t source_port = 0, destination_port = 0;  // 0 for protocols without ports
  auto operator<=>(const ConntrackTuple&) const = default;
};

// The reply tuple differs from the turned-round original where addresses are translated: its source
// is the endpoint of a translated Service.
struct ConntrackEntry {
  Family family = Family::kV4;
  uint8_t protocol = 0;  // IPPROTO_*
  ConntrackTuple original, reply;
  uint32_t id = 0;
};

class Conntrack {
 public:
  static Result<Conntrack> open(int netns_fd);

  // Lists the entries for which `wanted` is true.
  Result<std::vector<ConntrackEntry>> list(
      Family family, const std::function<bool(const ConntrackEntry&)>& wanted);

  // Deletes one entry, and only that very one (its id is compared). kNotFound where it is gone.
  Status remove(const ConntrackEntry& entry);

  // Deletes every entry that `doomed` names; how many. Entries that vanish meanwhile are fine.
  Result<size_t> remove_if(Family family, const std::function<bool(const ConntrackEntry&)>& doomed);

 private:
  explicit Conntrack(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace sallyport::net
