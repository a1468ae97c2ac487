#include "net/conntrack.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/netns.h"
#include "net/nft.h"

namespace sallyport::net {
namespace {

constexpr const char* kTracked = R"(
table ip t {
  chain out {
    type nat hook output priority -100
    ip daddr 198.18.5.5 udp dport 53 dnat to 127.0.0.1:5300
  }
  chain seen {
    type filter hook output priority 0
    ct state new accept
  }
}
table ip6 t {
  chain seen {
    type filter hook output priority 0
    ct state new accept
  }
}
)";

bool send_to(int netns, const char* address, uint16_t port, uint16_t from) {
  bool v6 = std::string_view(address).find(':') != std::string_view::npos;
  auto fd = socket_in(netns, v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  if (!fd) return false;
  sockaddr_in6 to6{}, me6{};
  sockaddr_in to4{}, me4{};
  me6.sin6_family = to6.sin6_family = AF_INET6;
  me4.sin_family = to4.sin_family = AF_INET;
  me6.sin6_port = me4.sin_port = htons(from);
  to6.sin6_port = to4.sin_port = htons(port);
  ::inet_pton(AF_INET6, address, &to6.sin6_addr);
  ::inet_pton(AF_INET, address, &to4.sin_addr);
  auto* me = v6 ? reinterpret_cast<sockaddr*>(&me6) : reinterpret_cast<sockaddr*>(&me4);
  auto* to = v6 ? reinterpret_cast<sockaddr*>(&to6) : reinterpret_cast<sockaddr*>(&to4);
  socklen_t size = v6 ? sizeof to6 : sizeof to4;
  return ::bind(fd->get(), me, size) == 0 && ::sendto(fd->get(), "x", 1, 0, to, size) == 1;
}

TEST(Conntrack, ListsAndDeletesWhatIsNamed) {
  auto netns = create_netns();
  ASSERT_TRUE(netns);
  ASSERT_TRUE(apply_nft(netns->get(), kTracked));
  ASSERT_TRUE(send_to(netns->get(), "127.0.0.1", 7000, 40001));
  ASSERT_TRUE(send_to(netns->get(), "127.0.0.1", 7001, 40002));
  ASSERT_TRUE(send_to(netns->get(), "::1", 7002, 40003));

  auto tracked = Conntrack::open(netns->get());
  ASSERT_TRUE(tracked) << tracked.error().message;
  auto udp = [](const ConntrackEntry& entry) { return entry.protocol == IPPROTO_UDP; };
  auto listed = tracked->list(Family::kV4, udp);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 2u);
  for (const ConntrackEntry& entry : *listed) {
    EXPECT_EQ(entry.original.destination.to_string(), "127.0.0.1");
    EXPECT_EQ(entry.reply.source_port, entry.original.destination_port);
    EXPECT_EQ(entry.original.source_port, entry.original.destination_port == 7000 ? 40001 : 40002);
  }
  auto removed = tracked->remove_if(Family::kV4, [&](const ConntrackEntry& entry) {
    return udp(entry) && entry.original.destination_port == 7000;
  });
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(*removed, 1u);
  listed = tracked->list(Family::kV4, udp);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().original.destination_port, 7001);

  // The same entry twice: the second time it is gone.
  ConntrackEntry last = listed->front();
  EXPECT_TRUE(tracked->remove(last));
  EXPECT_EQ(tracked->remove(last).error().code, Code::kNotFound);

  auto six = tracked->list(Family::kV6, udp);
  ASSERT_TRUE(six);
  ASSERT_EQ(six->size(), 1u);
  EXPECT_EQ(six->front().original.destination.to_string(), "::1");
  EXPECT_EQ(tracked->remove_if(Family::kV6, udp).value(), 1u);
}

TEST(Conntrack, AnotherEntryOfTheSameTupleIsSpared) {
  auto netns = create_netns();
  ASSERT_TRUE(netns);
  ASSERT_TRUE(apply_nft(netns->get(), kTracked));
  ASSERT_TRUE(send_to(netns->get(), "127.0.0.1", 7000, 40001));
  auto tracked = Conntrack::open(netns->get());
  ASSERT_TRUE(tracked);
  auto listed = tracked->list(Family::kV4, [](const ConntrackEntry& entry) {
    return entry.original.destination_port == 7000;
  });
  ASSERT_TRUE(listed && listed->size() == 1);
  ConntrackEntry other = listed->front();
  other.id ^= 0x01010101;
  EXPECT_EQ(tracked->remove(other).error().code, Code::kNotFound);
  EXPECT_TRUE(tracked->remove(listed->front()));
}

}  // namespace
}  // namespace sallyport::net
