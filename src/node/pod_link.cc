#include "node/pod_link.h"

#include <unistd.h>

#include "base/log.h"
#include "net/netns.h"
#include "net/sysctl.h"
#include "node/topology.h"

namespace sallyport::node {
namespace {

using net::Mac;
using net::Netlink;

// Every pod sees the same gateway. The pod's own address follows from its IPv4 address, so that
// both sides know it without asking.
constexpr Mac kGatewayMac{0x02, 0x5a, 0x11, 0, 0, 1};

Mac pod_mac(const PodAddresses& addresses) {
  const auto& b = addresses.v4.bytes;
  return {0x02, 0x5a, b[12], b[13], b[14], b[15]};
}

Cidr host(const Ip& ip) {
  return {ip, ip.family() == Family::kV4 ? 32 : 128};
}

// Ports below 1024 and ICMP sockets need no capability in a pod, as with containerd.
std::vector<net::Sysctl> pod_settings() {
  return {{"ipv6/conf/all/disable_ipv6", "0"},         {"ipv6/conf/default/disable_ipv6", "0"},
          {"ipv6/conf/default/accept_ra", "0"},        {"ipv6/conf/all/accept_ra", "0"},
          {"ipv6/conf/default/accept_dad", "0"},       {"ipv6/conf/all/accept_dad", "0"},
          {"ipv6/conf/default/accept_redirects", "0"}, {"ipv6/conf/all/accept_redirects", "0"},
          {"ipv4/conf/default/accept_redirects", "0"}, {"ipv4/conf/all/accept_redirects", "0"},
          {"ipv4/conf/default/rp_filter", "0"},        {"ipv4/conf/all/rp_filter", "0"},
          {"ipv4/ip_unprivileged_port_start", "0"},    {"ipv4/ping_group_range", "0 2147483647"}};
}

Status wire_pod(PodEnd& end, const PodAddresses& addresses) {
  SP_TRY(end.ifindex, end.links.ifindex("eth0"));
  SP_CHECK_OK(end.links.add_address(end.ifindex, addresses.v4, 32));
  SP_CHECK_OK(end.links.add_address(end.ifindex, addresses.v6, 128));
  SP_CHECK_OK(end.links.set_up(end.ifindex));
  static const Cidr all4 = Cidr::parse("0.0.0.0/0").value(), all6 = Cidr::parse("::/0").value();
  for (const Ip& gateway : {pod_gateway4(), pod_gateway6()}) {
    bool v4 = gateway.family() == Family::kV4;
    SP_CHECK_OK(end.links.add_neighbour(end.ifindex, gateway, kGatewayMac.data()));
    SP_CHECK_OK(end.links.add_route(v4 ? all4 : all6, &gateway, end.ifindex,
                                    v4 ? &addresses.v4 : &addresses.v6, true));
  }
  // The default route takes answers to the IPv4 source of probes; this one is not beyond a gateway.
  SP_CHECK_OK(end.links.add_neighbour(end.ifindex, probe_source6(), kGatewayMac.data()));
  SP_CHECK_OK(end.links.add_route(host(probe_source6()), nullptr, end.ifindex));
  return {};
}

}  // namespace

Status wait_until_operating(Netlink& links, int ifindex) {
  for (int tries = 0;; ++tries) {
    SP_TRY(net::Link link, links.link(ifindex));
    if (link.operating) return {};
    if (tries == 2000)
      return fail(Code::kUnavailable, "link " + link.name + " has no carrier after a second");
    ::usleep(500);
  }
}

Status wait_until_local(Netlink& links, const Ip& address) {
  for (int tries = 0;; ++tries) {
    SP_TRY(bool local, links.is_local(address));
    if (local) return {};
    if (tries == 2000)
      return fail(Code::kUnavailable, address.to_string() + " is not in use after a second");
    ::usleep(500);
  }
}

Result<PreparedLink> prepare_pod_link(Netlink& node, int pod_netns, const std::string& name,
                                      const PodAddresses& addresses) {
  if (name.starts_with("uplink") || name == "lo")
    return fail(Code::kInvalid, "link name \"" + name + "\" is the node's own");
  PreparedLink made;
  SP_CHECK_OK(net::in_netns(pod_netns, [&]() -> Status {
    SP_CHECK_OK(net::set_sysctls_here(pod_settings()));
    SP_TRY(made.end.links, Netlink::open(-1));
    return {};
  }));
  net::VethOptions options{
      .mac = kGatewayMac, .peer_mac = pod_mac(addresses), .group = kPodLinkGroup};
  SP_TRY(int index, node.add_veth(name, "eth0", pod_netns, options));
  made.link = {index, name};
  if (Status wired = wire_pod(made.end, addresses); !wired) {
    if (Status undone = node.delete_link(index); !undone)
      log_warn("node", "link " + name + " stays behind: " + undone.error().message);
    return fail_in("wire pod link " + name, std::move(wired).error());
  }
  return made;
}

Status connect_pod_link(Netlink& node, const PodLink& link, const PodAddresses& addresses,
                        PodEnd* end) {
  Status probing = node.add_address(link.ifindex, probe_source6(), 128);
  if (!probing && probing.error().code != Code::kConflict) return probing;
  SP_CHECK_OK(node.set_up(link.ifindex));
  Mac mac = pod_mac(addresses);
  for (const Ip& ip : {addresses.v4, addresses.v6}) {
    SP_CHECK_OK(node.add_neighbour(link.ifindex, ip, mac.data()));
    net::Route route{.destination = host(ip), .ifindex = link.ifindex, .replace = true};
    SP_CHECK_OK(node.add_route(route));
  }
  SP_CHECK_OK(wait_until_operating(node, link.ifindex));
  if (end) {
    SP_CHECK_OK(wait_until_operating(end->links, end->ifindex));
    SP_CHECK_OK(wait_until_local(end->links, addresses.v6));
  }
  return {};
}

Result<bool> disconnect_pod_link(Netlink& node, const PodLink& link) {
  auto missing = [](const Error& error) { return error.code == Code::kNotFound; };
  auto found = node.link(link.ifindex);
  if (!found) {
    if (missing(found.error())) return false;
    return std::unexpected(std::move(found).error());
  }
  if (found->name != link.name) return false;
  // The pod's namespace may end at the same time, and take the link with it.
  Status down = node.set_up(link.ifindex, false);
  if (down)
    down = node.rename(link.ifindex, "gone" + std::to_string(link.ifindex), kDoomedLinkGroup);
  if (!down) {
    if (missing(down.error())) return false;
    return std::unexpected(std::move(down).error());
  }
  return true;
}

}  // namespace sallyport::node
