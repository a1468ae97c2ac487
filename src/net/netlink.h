// rtnetlink: links, addresses, routes, neighbours of one network namespace. One request at a time,
// answered before the call returns. Not for use by two threads at once.
//
// Errors: kNotFound where the thing named is gone, kConflict where it exists already; otherwise kOs
// with the kernel's own words.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "net/netlink_socket.h"

namespace sallyport::net {

struct Link {
  int ifindex = 0;
  std::string name;
  bool up = false;         // administratively
  bool operating = false;  // up, with carrier, and the kernel has begun to send on it
};

using Mac = std::array<uint8_t, 6>;

// What add_veth sets at creation, in one request.
struct VethOptions {
  std::optional<Mac> mac = {};  // of this side; none: random
  std::optional<Mac> peer_mac = {};
  int mtu = 0;                 // of both sides; 0: 1500
  bool no_link_local = false;  // this side makes no IPv6 link-local address of its own
  uint32_t group = 0;          // of this side, for delete_group
};

struct Route {
  Cidr destination;
  std::optional<Ip> via = {};
  std::optional<Ip> source = {};  // preferred source address
  int ifindex = 0;
  bool on_link = false;  // `via` is reachable although no connected subnet holds it
  bool local = false;    // every address of `destination` is this namespace's own
  bool replace = false;  // instead of kConflict where there is one
};

class Netlink {
 public:
  Netlink() = default;
  // Opens the socket inside the namespace (-1: the caller's).
  static Result<Netlink> open(int netns_fd);

  // A veth pair: `name` here, `peer_name` inside peer_netns. Returns the ifindex of this side.
  // Names have 1 to 15 characters.
  Result<int> add_veth(const std::string& name, const std::string& peer_name, int peer_netns,
                       const VethOptions& options = {});
  Result<int> ifindex(const std::string& name);
  Result<Link> link(int ifindex);
  Result<std::vector<Link>> links();
  Status set_up(int ifindex, bool up = true);
  Status set_mtu(int ifindex, int mtu);
  Status delete_link(int ifindex);  // kNotFound where it is gone
  // Another name and group; a link that is up may refuse a new name.
  Status rename(int ifindex, const std::string& name, uint32_t group);
  // All links of a group at once, which takes as long as one. No such link is fine.
  Status delete_group(uint32_t group);
  Status add_address(int ifindex, const Ip& address, int bits, bool no_dad = true);
  // Whether packets to the address are delivered here. The kernel brings an IPv6 address into use a
  // moment after add_address, even one without duplicate address detection.
  Result<bool> is_local(const Ip& address);
  // Where packets to the address leave. kNotFound where no route leads there.
  Result<int> way_to(const Ip& address);
  // via: next hop or nothing; on_link where the gateway is not in a connected subnet.
  Status add_route(const Cidr& destination, const Ip* via, int ifindex, const Ip* source = nullptr,
                   bool on_link = false);
  Status add_route(const Route& route);
  Status delete_route(const Cidr& destination, int ifindex);
  // A permanent entry, so that nothing waits for address resolution. Replaces one that is there.
  Status add_neighbour(int ifindex, const Ip& address, const uint8_t mac[6]);
  Result<std::string> mac(int ifindex);  // 6 raw bytes

 private:
  explicit Netlink(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace sallyport::net
