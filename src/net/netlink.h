// rtnetlink: links, addresses, routes, neighbours of one network namespace. One request at a time,
// answered before the call returns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::net {

struct Link {
  int ifindex = 0;
  std::string name;
  bool up = false;
};

class Netlink {
 public:
  // Opens the socket inside the namespace (-1: the caller's).
  static Result<Netlink> open(int netns_fd);

  // A veth pair: `name` here, `peer_name` inside peer_netns. Returns the ifindex of this side.
  Result<int> add_veth(const std::string& name, const std::string& peer_name, int peer_netns);
  Result<int> ifindex(const std::string& name);
  Result<std::vector<Link>> links();
  Status set_up(int ifindex, bool up = true);
  Status set_mtu(int ifindex, int mtu);
  Status delete_link(int ifindex);  // kNotFound where it is gone
  Status add_address(int ifindex, const Ip& address, int bits, bool no_dad = true);
  // via: next hop or nothing; on_link where the gateway is not in a connected subnet.
  Status add_route(const Cidr& destination, const Ip* via, int ifindex, const Ip* source = nullptr,
                   bool on_link = false);
  Status delete_route(const Cidr& destination, int ifindex);
  Status add_neighbour(int ifindex, const Ip& address, const uint8_t mac[6]);
  Result<std::string> mac(int ifindex);  // 6 raw bytes

 private:
  explicit Netlink(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace sallyport::net
