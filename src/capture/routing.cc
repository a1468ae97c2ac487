#include "capture/routing.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "net/netlink_message.h"
#include "net/netlink_socket.h"

namespace sallyport::capture {
namespace {

// Ours alone within a pod's namespace.
constexpr uint32_t kRulePriority = 15006;
constexpr uint32_t kTable = 15006;
constexpr int kLoopback = 1;  // lo is the first link of every namespace
constexpr int kMostRules = 64;

fib_rule_hdr rule_body(int family) {
  fib_rule_hdr body{};
  body.family = static_cast<uint8_t>(family);
  body.table = RT_TABLE_UNSPEC;
  body.action = FR_ACT_TO_TBL;
  return body;
}

Status delete_rules(net::NetlinkSocket& socket, int family) {
  for (int i = 0; i < kMostRules; ++i) {
    net::MessageBuilder message(RTM_DELRULE, 0, rule_body(family));
    message.add_u32(FRA_PRIORITY, kRulePriority);
    message.add_u32(FRA_TABLE, kTable);
    Status deleted = socket.request(std::move(message), "delete the routing rule of the mark");
    if (deleted) continue;
    if (deleted.error().code == Code::kNotFound) return {};
    return deleted;
  }
  return fail(Code::kInternal, "more than " + std::to_string(kMostRules) +
                                   " routing rules of the mark in one namespace");
}

Status add_rule(net::NetlinkSocket& socket, int family, uint32_t mark) {
  net::MessageBuilder message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule_body(family));
  message.add_u32(FRA_PRIORITY, kRulePriority);
  message.add_u32(FRA_TABLE, kTable);
  message.add_u32(FRA_FWMARK, mark);
  message.add_u32(FRA_FWMASK, 0xffffffff);
  return socket.request(std::move(message), "add the routing rule of the mark");
}

Status add_route(net::NetlinkSocket& socket, int family) {
  rtmsg body{};
  body.rtm_family = static_cast<uint8_t>(family);
  body.rtm_table = RT_TABLE_UNSPEC;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_HOST;
  body.rtm_type = RTN_LOCAL;
  net::MessageBuilder message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body);
  message.add_u32(RTA_TABLE, kTable);
  message.add_u32(RTA_OIF, kLoopback);
  return socket.request(std::move(message), "add the local route of the mark");
}

Status delete_route(net::NetlinkSocket& socket, int family) {
  rtmsg body{};
  body.rtm_family = static_cast<uint8_t>(family);
  body.rtm_table = RT_TABLE_UNSPEC;
  body.rtm_scope = RT_SCOPE_NOWHERE;  // any
  net::MessageBuilder message(RTM_DELROUTE, 0, body);
  message.add_u32(RTA_TABLE, kTable);
  message.add_u32(RTA_OIF, kLoopback);
  Status deleted = socket.request(std::move(message), "delete the local route of the mark");
  if (!deleted && deleted.error().code == Code::kNotFound) return {};
  return deleted;
}

}  // namespace

Status route_mark_to_self(int netns, uint32_t mark) {
  SP_TRY(net::NetlinkSocket socket, net::NetlinkSocket::open(netns, NETLINK_ROUTE));
  for (int family : {AF_INET, AF_INET6}) {
    SP_CHECK_OK(add_route(socket, family));
    SP_CHECK_OK(delete_rules(socket, family));
    SP_CHECK_OK(add_rule(socket, family, mark));
  }
  return {};
}

Status unroute_mark(int netns) {
  SP_TRY(net::NetlinkSocket socket, net::NetlinkSocket::open(netns, NETLINK_ROUTE));
  for (int family : {AF_INET, AF_INET6}) {
    SP_CHECK_OK(delete_rules(socket, family));
    SP_CHECK_OK(delete_route(socket, family));
  }
  return {};
}

}  // namespace sallyport::capture
