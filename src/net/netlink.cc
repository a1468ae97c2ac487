#include "net/netlink.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

namespace sallyport::net {
namespace {

constexpr uint8_t kOperStateUp = 6;  // IF_OPER_UP, RFC 2863

uint8_t af(const Ip& ip) {
  return static_cast<uint8_t>(ip.family() == Family::kV4 ? AF_INET : AF_INET6);
}

bool valid_name(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  for (char c : name)
    if (c == '/' || c == ':' || c <= ' ' || c == 0x7f) return false;
  return true;
}

ifinfomsg link_body(int ifindex) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = ifindex;
  return body;
}

bool parse_link(uint16_t type, Bytes payload, Link& link, std::string* mac) {
  ifinfomsg body{};
  if (type != RTM_NEWLINK || !read_as(payload, body)) return false;
  link.ifindex = body.ifi_index;
  link.up = (body.ifi_flags & IFF_UP) != 0;
  each_attribute(after(payload, sizeof body), [&](uint16_t attribute, Bytes data) {
    if (attribute == IFLA_IFNAME) link.name = text_of(data);
    if (attribute == IFLA_OPERSTATE && data.size() == 1) link.operating = data[0] == kOperStateUp;
    if (attribute == IFLA_ADDRESS && mac) mac->assign(data.begin(), data.end());
  });
  return true;
}

}  // namespace

Result<Netlink> Netlink::open(int netns_fd) {
  SP_TRY(NetlinkSocket socket, NetlinkSocket::open(netns_fd, NETLINK_ROUTE));
  return Netlink(std::move(socket));
}

Result<int> Netlink::add_veth(const std::string& name, const std::string& peer_name, int peer_netns,
                              const VethOptions& options) {
  for (const std::string& each : {name, peer_name})
    if (!valid_name(each))
      return fail(Code::kInvalid, "\"" + each +
                                      "\" is no interface name: expected 1 to 15 characters "
                                      "without blanks, / and :");
  MessageBuilder message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_body(0));
  message.add_text(IFLA_IFNAME, name);
  if (options.mtu > 0) message.add_u32(IFLA_MTU, static_cast<uint32_t>(options.mtu));
  if (options.mac) message.add(IFLA_ADDRESS, options.mac->data(), options.mac->size());
  if (options.group != 0) message.add_u32(IFLA_GROUP, options.group);
  size_t info = message.open(IFLA_LINKINFO);
  message.add_text(IFLA_INFO_KIND, "veth");
  size_t data = message.open(IFLA_INFO_DATA);
  size_t peer = message.open(VETH_INFO_PEER);
  ifinfomsg body = link_body(0);
  message.append(&body, sizeof body);
  message.add_text(IFLA_IFNAME, peer_name);
  message.add_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(peer_netns));
  if (options.mtu > 0) message.add_u32(IFLA_MTU, static_cast<uint32_t>(options.mtu));
  if (options.peer_mac)
    message.add(IFLA_ADDRESS, options.peer_mac->data(), options.peer_mac->size());
  message.close(peer);
  message.close(data);
  message.close(info);
  SP_CHECK_OK(socket_.request(std::move(message), "create link " + name));
  SP_TRY(int index, ifindex(name));
  if (options.no_link_local) {
    MessageBuilder mode(RTM_NEWLINK, 0, link_body(index));
    size_t spec = mode.open(IFLA_AF_SPEC);
    size_t inet6 = mode.open(AF_INET6);
    mode.add_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mode.close(inet6);
    mode.close(spec);
    if (Status set = socket_.request(std::move(mode), "address mode of " + name); !set) {
      if (Status undone = delete_link(index); !undone)
        return fail_in("link " + name + " stays behind", std::move(undone).error());
      return std::unexpected(std::move(set).error());
    }
  }
  return index;
}

Result<int> Netlink::ifindex(const std::string& name) {
  if (!valid_name(name)) return fail(Code::kNotFound, "no link \"" + name + "\"");
  MessageBuilder message(RTM_GETLINK, 0, link_body(0));
  message.add_text(IFLA_IFNAME, name);
  Link found;
  SP_CHECK_OK(socket_.query(std::move(message), "link " + name, [&](uint16_t type, Bytes payload) {
    parse_link(type, payload, found, nullptr);
  }));
  if (found.ifindex == 0) return fail(Code::kNotFound, "no link " + name);
  return found.ifindex;
}

Result<Link> Netlink::link(int ifindex) {
  Link found;
  SP_CHECK_OK(socket_.query(
      MessageBuilder(RTM_GETLINK, 0, link_body(ifindex)), "link " + std::to_string(ifindex),
      [&](uint16_t type, Bytes payload) { parse_link(type, payload, found, nullptr); }));
  if (found.ifindex == 0) return fail(Code::kNotFound, "no link " + std::to_string(ifindex));
  return found;
}

Result<std::vector<Link>> Netlink::links() {
  // The kernel says when links changed during the listing; a few tries bound the loop.
  for (int attempt = 0;; ++attempt) {
    std::vector<Link> all;
    Status listed = socket_.query(MessageBuilder(RTM_GETLINK, NLM_F_DUMP, link_body(0)),
                                  "list links", [&](uint16_t type, Bytes payload) {
                                    Link one;
                                    if (parse_link(type, payload, one, nullptr))
                                      all.push_back(std::move(one));
                                  });
    if (listed) return all;
    if (listed.error().code != Code::kUnavailable || attempt == 9)
      return std::unexpected(std::move(listed).error());
  }
}

Status Netlink::set_up(int ifindex, bool up) {
  ifinfomsg body = link_body(ifindex);
  body.ifi_change = IFF_UP;
  body.ifi_flags = up ? IFF_UP : 0;
  return socket_.request(MessageBuilder(RTM_NEWLINK, 0, body),
                         "set link " + std::to_string(ifindex) + (up ? " up" : " down"));
}

Status Netlink::set_mtu(int ifindex, int mtu) {
  MessageBuilder message(RTM_NEWLINK, 0, link_body(ifindex));
  message.add_u32(IFLA_MTU, static_cast<uint32_t>(mtu));
  return socket_.request(std::move(message), "MTU of link " + std::to_string(ifindex));
}

Status Netlink::delete_link(int ifindex) {
  return socket_.request(MessageBuilder(RTM_DELLINK, 0, link_body(ifindex)),
                         "delete link " + std::to_string(ifindex));
}

Status Netlink::rename(int ifindex, const std::string& name, uint32_t group) {
  if (!valid_name(name)) return fail(Code::kInvalid, "\"" + name + "\" is no interface name");
  MessageBuilder message(RTM_NEWLINK, 0, link_body(ifindex));
  message.add_text(IFLA_IFNAME, name);
  SP_CHECK_OK(socket_.request(std::move(message), "rename link " + std::to_string(ifindex)));
  // In one request the kernel would set the group even where it refuses the name.
  MessageBuilder second(RTM_NEWLINK, 0, link_body(ifindex));
  second.add_u32(IFLA_GROUP, group);
  return socket_.request(std::move(second), "group of link " + std::to_string(ifindex));
}

Status Netlink::delete_group(uint32_t group) {
  // Group 0 is where every link is that nobody put elsewhere.
  if (group == 0) return fail(Code::kInvalid, "link group 0 cannot be deleted");
  MessageBuilder message(RTM_DELLINK, 0, link_body(0));
  message.add_u32(IFLA_GROUP, group);
  Status deleted = socket_.request(std::move(message), "delete link group");
  if (!deleted && deleted.error().code == Code::kNotFound) return {};
  return deleted;
}

Status Netlink::add_address(int ifindex, const Ip& address, int bits, bool no_dad) {
  ifaddrmsg body{};
  body.ifa_family = af(address);
  body.ifa_prefixlen = static_cast<uint8_t>(bits);
  body.ifa_index = static_cast<uint32_t>(ifindex);
  MessageBuilder message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
  message.add_ip(IFA_LOCAL, address);
  message.add_ip(IFA_ADDRESS, address);
  if (no_dad && address.family() == Family::kV6) message.add_u32(IFA_FLAGS, IFA_F_NODAD);
  return socket_.request(std::move(message), "add address " + address.to_string());
}

Result<bool> Netlink::is_local(const Ip& address) {
  rtmsg body{};
  body.rtm_family = af(address);
  body.rtm_dst_len = address.family() == Family::kV4 ? 32 : 128;
  MessageBuilder message(RTM_GETROUTE, 0, body);
  message.add_ip(RTA_DST, address);
  bool local = false;
  Status asked = socket_.query(std::move(message), "route to " + address.to_string(),
                               [&](uint16_t type, Bytes payload) {
                                 rtmsg route{};
                                 if (type == RTM_NEWROUTE && read_as(payload, route))
                                   local = route.rtm_type == RTN_LOCAL;
                               });
  if (!asked && asked.error().os_errno != ENETUNREACH && asked.error().os_errno != EHOSTUNREACH)
    return std::unexpected(std::move(asked).error());
  return local;
}

Result<int> Netlink::way_to(const Ip& address) {
  rtmsg body{};
  body.rtm_family = af(address);
  body.rtm_dst_len = address.family() == Family::kV4 ? 32 : 128;
  MessageBuilder message(RTM_GETROUTE, 0, body);
  message.add_ip(RTA_DST, address);
  int ifindex = 0;
  const std::string what = "route to " + address.to_string();
  Status asked = socket_.query(std::move(message), what, [&](uint16_t type, Bytes payload) {
    rtmsg route{};
    if (type != RTM_NEWROUTE || !read_as(payload, route)) return;
    each_attribute(after(payload, sizeof route), [&](uint16_t attribute, Bytes data) {
      if (attribute == RTA_OIF) read_as(data, ifindex);
    });
  });
  if (!asked && asked.error().os_errno != ENETUNREACH && asked.error().os_errno != EHOSTUNREACH)
    return std::unexpected(std::move(asked).error());
  if (ifindex == 0) return fail(Code::kNotFound, what + ": there is none");
  return ifindex;
}

Status Netlink::add_route(const Cidr& destination, const Ip* via, int ifindex, const Ip* source,
                          bool on_link) {
  Route route{destination, {}, {}, ifindex, on_link};
  if (via) route.via = *via;
  if (source) route.source = *source;
  return add_route(route);
}

Status Netlink::add_route(const Route& route) {
  rtmsg body{};
  body.rtm_family = af(route.destination.base);
  body.rtm_dst_len = static_cast<uint8_t>(route.destination.bits);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  // A route without a next hop is a neighbour on the link. IPv6 knows no scopes of routes.
  body.rtm_scope = route.local                                ? RT_SCOPE_HOST
                   : route.via || body.rtm_family == AF_INET6 ? RT_SCOPE_UNIVERSE
                                                              : RT_SCOPE_LINK;
  body.rtm_type = route.local ? RTN_LOCAL : RTN_UNICAST;
  if (route.on_link) body.rtm_flags |= RTNH_F_ONLINK;
  MessageBuilder message(
      RTM_NEWROUTE,
      static_cast<uint16_t>(NLM_F_CREATE | (route.replace ? NLM_F_REPLACE : NLM_F_EXCL)), body);
  message.add_ip(RTA_DST, route.destination.base);
  if (route.via) message.add_ip(RTA_GATEWAY, *route.via);
  if (route.source) message.add_ip(RTA_PREFSRC, *route.source);
  message.add_u32(RTA_OIF, static_cast<uint32_t>(route.ifindex));
  return socket_.request(std::move(message), "add route to " + route.destination.to_string());
}

Status Netlink::delete_route(const Cidr& destination, int ifindex) {
  rtmsg body{};
  body.rtm_family = af(destination.base);
  body.rtm_dst_len = static_cast<uint8_t>(destination.bits);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_scope = RT_SCOPE_NOWHERE;  // any
  MessageBuilder message(RTM_DELROUTE, 0, body);
  message.add_ip(RTA_DST, destination.base);
  message.add_u32(RTA_OIF, static_cast<uint32_t>(ifindex));
  return socket_.request(std::move(message), "delete route to " + destination.to_string());
}

Status Netlink::add_neighbour(int ifindex, const Ip& address, const uint8_t mac[6]) {
  ndmsg body{};
  body.ndm_family = af(address);
  body.ndm_ifindex = ifindex;
  body.ndm_state = NUD_PERMANENT;
  body.ndm_type = RTN_UNICAST;
  MessageBuilder message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body);
  message.add_ip(NDA_DST, address);
  message.add(NDA_LLADDR, mac, 6);
  return socket_.request(std::move(message), "add neighbour " + address.to_string());
}

Result<std::string> Netlink::mac(int ifindex) {
  Link found;
  std::string mac;
  SP_CHECK_OK(socket_.query(
      MessageBuilder(RTM_GETLINK, 0, link_body(ifindex)), "link " + std::to_string(ifindex),
      [&](uint16_t type, Bytes payload) { parse_link(type, payload, found, &mac); }));
  if (mac.size() != 6)
    return fail(Code::kNotFound, "link " + std::to_string(ifindex) + " has no Ethernet address");
  return mac;
}

}  // namespace sallyport::net
