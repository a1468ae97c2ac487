#include "net/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace sallyport::net {
namespace {

constexpr uint16_t message_type(int what) {
  return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | what);
}

nfgenmsg body_of(Family family) {
  nfgenmsg body{};
  body.nfgen_family = static_cast<uint8_t>(family == Family::kV4 ? AF_INET : AF_INET6);
  body.version = NFNETLINK_V0;
  return body;
}

void parse_tuple(Bytes data, ConntrackTuple& tuple, uint8_t& protocol) {
  each_attribute(data, [&](uint16_t part, Bytes inner) {
    each_attribute(inner, [&](uint16_t type, Bytes value) {
      if (part == CTA_TUPLE_IP) {
        if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) ip_of(value, tuple.source);
        if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) ip_of(value, tuple.destination);
      } else if (part == CTA_TUPLE_PROTO) {
        if (type == CTA_PROTO_NUM && value.size() == 1) protocol = value[0];
        if (type == CTA_PROTO_SRC_PORT) be16_of(value, tuple.source_port);
        if (type == CTA_PROTO_DST_PORT) be16_of(value, tuple.destination_port);
      }
    });
  });
}

bool parse_entry(uint16_t type, Bytes payload, ConntrackEntry& entry) {
  nfgenmsg body{};
  if (type != message_type(IPCTNL_MSG_CT_NEW) || !read_as(payload, body)) return false;
  entry.family = body.nfgen_family == AF_INET ? Family::kV4 : Family::kV6;
  each_attribute(after(payload, sizeof body), [&](uint16_t attribute, Bytes data) {
    if (attribute == CTA_TUPLE_ORIG) parse_tuple(data, entry.original, entry.protocol);
    if (attribute == CTA_TUPLE_REPLY) parse_tuple(data, entry.reply, entry.protocol);
    uint32_t id = 0;
    if (attribute == CTA_ID && read_as(data, id)) entry.id = id;
  });
  return entry.protocol != 0;
}

void add_tuple(MessageBuilder& message, const ConntrackEntry& entry) {
  const ConntrackTuple& tuple = entry.original;
  bool v4 = entry.family == Family::kV4;
  size_t outer = message.open(NLA_F_NESTED | CTA_TUPLE_ORIG);
  size_t ip = message.open(NLA_F_NESTED | CTA_TUPLE_IP);
  message.add_ip(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple.source);
  message.add_ip(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple.destination);
  message.close(ip);
  size_t proto = message.open(NLA_F_NESTED | CTA_TUPLE_PROTO);
  message.add_u8(CTA_PROTO_NUM, entry.protocol);
  message.add_be16(CTA_PROTO_SRC_PORT, tuple.source_port);
  message.add_be16(CTA_PROTO_DST_PORT, tuple.destination_port);
  message.close(proto);
  message.close(outer);
}

}  // namespace

Result<Conntrack> Conntrack::open(int netns_fd) {
  SP_TRY(NetlinkSocket socket, NetlinkSocket::open(netns_fd, NETLINK_NETFILTER));
  return Conntrack(std::move(socket));
}

Result<std::vector<ConntrackEntry>> Conntrack::list(
    Family family, const std::function<bool(const ConntrackEntry&)>& wanted) {
  std::vector<ConntrackEntry> found;
  MessageBuilder message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, body_of(family));
  Status listed = socket_.query(std::move(message), "list tracked connections",
                                [&](uint16_t type, Bytes payload) {
                                  ConntrackEntry entry;
                                  if (parse_entry(type, payload, entry) && wanted(entry))
                                    found.push_back(entry);
                                });
  if (!listed) return std::unexpected(std::move(listed).error());
  return found;
}

Status Conntrack::remove(const ConntrackEntry& entry) {
  MessageBuilder message(message_type(IPCTNL_MSG_CT_DELETE), 0, body_of(entry.family));
  add_tuple(message, entry);
  message.add_u32(CTA_ID, entry.id);  // already in network order: passed on as it was read
  return socket_.request(std::move(message), "delete a tracked connection");
}

Result<size_t> Conntrack::remove_if(Family family,
                                    const std::function<bool(const ConntrackEntry&)>& doomed) {
  SP_TRY(std::vector<ConntrackEntry> entries, list(family, doomed));
  size_t removed = 0;
  for (const ConntrackEntry& entry : entries) {
    Status gone = remove(entry);
    if (gone)
      ++removed;
    else if (gone.error().code != Code::kNotFound)
      return std::unexpected(std::move(gone).error());
  }
  return removed;
}

}  // namespace sallyport::net
