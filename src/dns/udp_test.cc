#include "dns/udp.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "dns/socket.h"
#include "dns/test_packets.h"

namespace sallyport::dns {
namespace {

constexpr char kName[] = "a.cluster.local";

class DnsUdp : public testing::Test {
 protected:
  void SetUp() override {
    zone_.addresses[kName] = {*Ip::parse("198.18.0.1")};
    auto server = UdpServer::open(Family::kV4, 0);
    ASSERT_TRUE(server.has_value());
    server_ = std::move(*server);
    sockaddr_in where{};
    socklen_t length = sizeof(where);
    ASSERT_EQ(::getsockname(server_.fd(), reinterpret_cast<sockaddr*>(&where), &length), 0);
    client_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    where.sin_addr.s_addr = htonl(0x7f000009);
    ASSERT_EQ(::connect(client_.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
  }
  void send(const test::Packet& packet) const {
    ASSERT_EQ(::send(client_.get(), packet.data(), packet.size(), 0),
              static_cast<ssize_t>(packet.size()));
  }
  // How many answers wait for the client.
  [[nodiscard]] int take() const {
    int count = 0;
    char byte[2000];
    while (::recv(client_.get(), byte, sizeof(byte), MSG_DONTWAIT) > 0) ++count;
    return count;
  }
  Zone zone_;
  UdpServer server_;
  Fd client_;
};

TEST_F(DnsUdp, AnswersWhatWaits) {
  for (int id = 0; id < 10; ++id) send(test::query(kName, 1, {.id = id}));
  server_.serve(zone_);
  EXPECT_EQ(take(), 10);
  server_.serve(zone_);
  EXPECT_EQ(take(), 0);
}

TEST_F(DnsUdp, ServesABoundedNumberAtATime) {
  for (int id = 0; id < 100; ++id) send(test::query(kName, 1, {.id = id}));
  server_.serve(zone_);
  EXPECT_EQ(take(), 64);
  server_.serve(zone_);
  EXPECT_EQ(take(), 36);
}

TEST_F(DnsUdp, DropsWhatCannotBeAQuery) {
  test::Packet longest = test::query(kName, 1);
  longest.resize(5000);
  send(longest);                                   // longer than any query
  send({});                                        // empty
  send({1, 2, 3});                                 // no header
  send(test::query(kName, 1, {.flags = 0x8000}));  // an answer
  server_.serve(zone_);
  EXPECT_EQ(take(), 0);
  send(test::query(kName, 1));
  server_.serve(zone_);
  EXPECT_EQ(take(), 1);
}

TEST(DnsSocket, PeerAddresses) {
  sockaddr_storage peer{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(peer);
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(0xc6120003);
  EXPECT_EQ(peer_address(peer), *Ip::parse("198.18.0.3"));
  peer = {};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(peer);
  v6.sin6_family = AF_INET6;
  v6.sin6_addr.s6_addr[0] = 0xfd;
  v6.sin6_addr.s6_addr[15] = 7;
  EXPECT_EQ(peer_address(peer), *Ip::parse("fd00::7"));
}

TEST(DnsSocket, APortThatIsTakenIsAnError) {
  auto first = bound_socket(Family::kV4, SOCK_DGRAM, 0);
  ASSERT_TRUE(first.has_value());
  sockaddr_in where{};
  socklen_t length = sizeof(where);
  ASSERT_EQ(::getsockname(first->get(), reinterpret_cast<sockaddr*>(&where), &length), 0);
  const auto second = bound_socket(Family::kV4, SOCK_DGRAM, ntohs(where.sin_port));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kOs);
  EXPECT_NE(second.error().message.find("UDP port"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::dns
