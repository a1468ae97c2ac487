#include "node/topology.h"

#include <unistd.h>

#include <array>

#include "base/fs.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/netlink.h"
#include "net/netns.h"
#include "net/sysctl.h"
#include "node/pod_link.h"

namespace sallyport::node {
namespace {

using net::Netlink;

// Raised whenever a node of another version could not go on with these namespaces.
constexpr const char* kLayout = "2";

constexpr net::Mac kNodeMac{0x02, 0x5a, 0x11, 0, 1, 1};
constexpr net::Mac kOutsideMac{0x02, 0x5a, 0x11, 0, 1, 2};

const Cidr& everything(Family family) {
  static const std::array<Cidr, 2> all{Cidr::parse("0.0.0.0/0").value(),
                                       Cidr::parse("::/0").value()};
  return all[family == Family::kV4 ? 0 : 1];
}

Cidr host(const Ip& ip) {
  return {ip, ip.family() == Family::kV4 ? 32 : 128};
}

// What holds in both namespaces: the gate looks for forged sources, not rp_filter, which would also
// drop what it must see; nothing that a packet says changes a route; addresses work at once.
std::vector<net::Sysctl> common_settings(bool router) {
  std::string forward = router ? "1" : "0";
  std::vector<net::Sysctl> settings{{"ipv4/ip_forward", forward},
                                    {"ipv6/conf/all/forwarding", forward},
                                    {"ipv6/conf/default/forwarding", forward}};
  for (const char* which : {"all", "default"}) {
    std::string v4 = std::string("ipv4/conf/") + which + "/",
                v6 = std::string("ipv6/conf/") + which + "/";
    settings.insert(settings.end(), {{v4 + "rp_filter", "0"},
                                     {v4 + "send_redirects", "0"},
                                     {v4 + "accept_redirects", "0"},
                                     {v4 + "accept_source_route", "0"},
                                     {v6 + "accept_redirects", "0"},
                                     {v6 + "accept_ra", "0"},
                                     {v6 + "accept_dad", "0"},
                                     {v6 + "disable_ipv6", "0"}});
  }
  // New links make no IPv6 link-local address: their neighbours are permanent entries.
  settings.push_back({"ipv6/conf/default/addr_gen_mode", "1"});
  return settings;
}

Status wire_node(Netlink& links, int uplink, const Ranges& ranges) {
  SP_TRY(int lo, links.ifindex("lo"));
  SP_CHECK_OK(links.add_address(lo, ranges.node4, 32));
  SP_CHECK_OK(links.add_address(lo, ranges.node6, 128));
  // After the node's own, which stays the source of all that does not ask for this one.
  SP_CHECK_OK(links.add_address(lo, ranges.probe4, 32));
  SP_CHECK_OK(links.set_up(uplink));
  for (auto [router, source] :
       {std::pair{outside_router4(), ranges.node4}, std::pair{outside_router6(), ranges.node6}}) {
    SP_CHECK_OK(links.add_neighbour(uplink, router, kOutsideMac.data()));
    SP_CHECK_OK(links.add_route(everything(router.family()), &router, uplink, &source, true));
  }
  return {};
}

Status wire_outside(Netlink& links, const Ranges& ranges) {
  SP_TRY(int lo, links.ifindex("lo"));
  SP_TRY(int link, links.ifindex("node0"));
  SP_CHECK_OK(links.set_up(link));
  SP_CHECK_OK(links.add_address(link, outside_router4(), 32));
  // Pods may have been given any address of their range; the node's own lies in the outside range.
  struct Way {
    Ip hop;
    Cidr pods, node, outside;
  };
  for (const Way& way : {Way{ranges.node4, ranges.pods4, host(ranges.node4), ranges.outside4},
                         Way{pod_gateway6(), ranges.pods6, host(ranges.node6), ranges.outside6}}) {
    SP_CHECK_OK(links.add_neighbour(link, way.hop, kNodeMac.data()));
    SP_CHECK_OK(links.add_route(way.pods, &way.hop, link, nullptr, true));
    if (way.hop.family() == Family::kV4)
      SP_CHECK_OK(links.add_route(way.node, nullptr, link));
    else
      SP_CHECK_OK(links.add_route(way.node, &way.hop, link, nullptr, true));
    net::Route local{.destination = way.outside, .ifindex = lo, .local = true};
    SP_CHECK_OK(links.add_route(local));
  }
  return {};
}

Result<Topology> build(const std::string& dir, const Ranges& ranges) {
  SP_CHECK_OK(net::drop_netns(dir + "/node"));
  SP_CHECK_OK(net::drop_netns(dir + "/outside"));
  SP_TRY(Fd node, net::create_netns());
  SP_TRY(Fd outside, net::create_netns());
  SP_CHECK_OK(net::set_sysctls(node.get(), common_settings(true)));
  SP_CHECK_OK(net::set_sysctls(outside.get(), common_settings(false)));
  SP_TRY(Netlink node_links, Netlink::open(node.get()));
  SP_TRY(Netlink outside_links, Netlink::open(outside.get()));
  net::VethOptions options{.mac = kNodeMac, .peer_mac = kOutsideMac};
  SP_TRY(int uplink, node_links.add_veth("uplink0", "node0", outside.get(), options));
  SP_CHECK_OK(wire_node(node_links, uplink, ranges));
  SP_CHECK_OK(wire_outside(outside_links, ranges));
  SP_TRY(int node0, outside_links.ifindex("node0"));
  SP_CHECK_OK(wait_until_operating(node_links, uplink));
  SP_CHECK_OK(wait_until_operating(outside_links, node0));
  SP_CHECK_OK(wait_until_local(node_links, ranges.node6));
  SP_CHECK_OK(net::keep_netns(node.get(), dir + "/node"));
  SP_CHECK_OK(net::keep_netns(outside.get(), dir + "/outside"));
  SP_CHECK_OK(write_file_atomic(dir + "/layout", std::string(kLayout) + "\n"));
  return Topology{std::move(node), std::move(outside), false};
}

}  // namespace

Topology find_topology(const std::string& dir) {
  Topology topology;
  if (auto node = net::open_netns(dir + "/node")) topology.node = std::move(*node);
  if (auto outside = net::open_netns(dir + "/outside")) topology.outside = std::move(*outside);
  topology.taken_over = topology.node && topology.outside;
  return topology;
}

Result<Topology> open_topology(const std::string& dir, const Ranges& ranges) {
  SP_CHECK_OK(make_dirs(dir));
  if (exists(dir + "/layout")) {
    SP_TRY(std::string text, read_file(dir + "/layout", 4096));
    if (trim(text) != kLayout)
      return fail(Code::kConflict, "the network at " + dir + " has layout " +
                                       std::string(trim(text)) + ", this version knows layout " +
                                       kLayout +
                                       ": end that run with `sallyport down` of the version that "
                                       "started it, then start again");
    Topology kept = find_topology(dir);
    if (kept.taken_over) return kept;
    // Their mounts are gone, and with them the namespaces: nothing to take over.
  }
  auto built = build(dir, ranges);
  if (!built) {
    for (const char* name : {"/node", "/outside"})
      if (Status undone = net::drop_netns(dir + name); !undone)
        log_warn("node", undone.error().message);
    return fail_in("build the node's network", std::move(built).error());
  }
  return built;
}

Status remove_topology(const std::string& dir, Topology& topology) {
  if (topology.node) {
    auto links = Netlink::open(topology.node.get());
    if (!links) return std::unexpected(std::move(links).error());
    SP_CHECK_OK(links->delete_group(kPodLinkGroup));
    SP_CHECK_OK(links->delete_group(kDoomedLinkGroup));
    if (auto uplink = links->ifindex("uplink0"))
      if (Status gone = links->delete_link(*uplink); !gone && gone.error().code != Code::kNotFound)
        return gone;
  }
  ::unlink((dir + "/layout").c_str());
  SP_CHECK_OK(net::drop_netns(dir + "/node"));
  SP_CHECK_OK(net::drop_netns(dir + "/outside"));
  topology.node.reset();
  topology.outside.reset();
  return {};
}

}  // namespace sallyport::node
