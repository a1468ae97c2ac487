#include "dns/tcp.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "dns/socket.h"
#include "dns/test_packets.h"

namespace sallyport::dns {
namespace {

using test::Answer;
using test::Packet;

class FakeClock : public Clock {
 public:
  [[nodiscard]] Monotonic now() const override { return time; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  Monotonic time;
};

constexpr char kName[] = "a.cluster.local";

class DnsTcp : public testing::Test {
 protected:
  void start(TcpServer::Limits limits = {}) {
    zone_.addresses[kName] = {*Ip::parse("198.18.0.1")};
    for (int i = 0; i < 2000; ++i)
      zone_.addresses["big.cluster.local"].push_back(Ip::v4(0xc6130000U + i));
    zone_.index();
    // A free port: bound once to learn a number, and given back.
    for (int attempt = 0; attempt < 20; ++attempt) {
      {
        auto probe = bound_socket(Family::kV4, SOCK_STREAM, 0);
        ASSERT_TRUE(probe.has_value());
        sockaddr_in where{};
        socklen_t length = sizeof(where);
        ASSERT_EQ(::getsockname(probe->get(), reinterpret_cast<sockaddr*>(&where), &length), 0);
        port_ = ntohs(where.sin_port);
      }
      server_ = std::make_unique<TcpServer>(clock_, limits);
      if (server_->listen(Family::kV4, port_)) return;
    }
    FAIL() << "no free port";
  }
  [[nodiscard]] Fd dial(uint32_t source = INADDR_LOOPBACK) const {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(source);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(port_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    return fd;
  }
  void step(int times = 4) {
    for (int i = 0; i < times; ++i) server_->dispatch(zone_);
  }
  [[nodiscard]] bool wakes() const {
    pollfd state{server_->poll_fd(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 1;
  }
  static void write(const Fd& fd, const Packet& packet) {
    ASSERT_EQ(::send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
              static_cast<ssize_t>(packet.size()));
  }
  static Packet framed(const Packet& packet) {
    Packet result;
    test::put16(result, static_cast<int>(packet.size()));
    result.insert(result.end(), packet.begin(), packet.end());
    return result;
  }
  static bool closed(const Fd& fd) {
    char byte = 0;
    const ssize_t got = ::recv(fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  static Packet take(const Fd& fd) {
    Packet all;
    uint8_t chunk[65536];
    for (;;) {
      const ssize_t got = ::recv(fd.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
      if (got <= 0) return all;
      all.insert(all.end(), chunk, chunk + got);
    }
  }

  Zone zone_;
  FakeClock clock_;
  uint16_t port_ = 0;
  std::unique_ptr<TcpServer> server_;
};

TEST_F(DnsTcp, AnswersSeveralQueriesOfOneConnection) {
  start();
  const Fd fd = dial();
  Packet both = framed(test::query(kName, 1, {.id = 1}));
  const Packet second = framed(test::query(kName, 28, {.id = 2}));
  both.insert(both.end(), second.begin(), second.end());
  write(fd, both);
  step();
  const Packet all = take(fd);
  ASSERT_GT(all.size(), 2u);
  const size_t length = static_cast<size_t>(all[0]) << 8 | all[1];
  ASSERT_GT(all.size(), length + 4);
  const auto middle = all.begin() + 2 + static_cast<ptrdiff_t>(length);
  Answer a(Packet(all.begin() + 2, middle));
  EXPECT_EQ(a.id, 1);
  EXPECT_EQ(a.answers.size(), 1u);
  Answer b(Packet(middle + 2, all.end()));
  EXPECT_EQ(b.id, 2);
  EXPECT_EQ(b.authority.size(), 1u);
  EXPECT_FALSE(wakes());
}

TEST_F(DnsTcp, AcceptsAQueryByteByByte) {
  start();
  const Fd fd = dial();
  for (const uint8_t byte : framed(test::query(kName, 1))) {
    EXPECT_TRUE(take(fd).empty());
    write(fd, {byte});
    step(2);
  }
  EXPECT_FALSE(take(fd).empty());
}

TEST_F(DnsTcp, LargeAnswersAreWhole) {
  start();
  const Fd fd = dial();
  write(fd, framed(test::query("big.cluster.local", 1)));
  step();
  const Packet all = take(fd);
  ASSERT_GT(all.size(), 30'000u);
  Answer a(Packet(all.begin() + 2, all.end()));
  EXPECT_TRUE(a.valid);
  EXPECT_FALSE(a.truncated());
  EXPECT_EQ(a.answers.size(), 2000u);
}

TEST_F(DnsTcp, NonsenseClosesTheConnection) {
  start();
  const Packet bad[] = {{0, 0},
                        {0xff, 0xff, 1, 2, 3},
                        framed({1, 2, 3}),
                        framed(test::query(kName, 1, {.flags = 0x8000}))};
  for (const Packet& packet : bad) {
    const Fd fd = dial();
    write(fd, packet);
    step();
    EXPECT_TRUE(closed(fd));
  }
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(DnsTcp, HalfClosedClientsGetTheirAnswers) {
  start();
  const Fd fd = dial();
  write(fd, framed(test::query(kName, 1)));
  ::shutdown(fd.get(), SHUT_WR);
  step();
  EXPECT_FALSE(take(fd).empty());
  EXPECT_TRUE(closed(fd));
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(DnsTcp, AClientThatDoesNotReadIsNotRead) {
  start();
  const Fd fd = dial();
  const Packet question = framed(test::query("big.cluster.local", 1));
  Packet many;
  for (int i = 0; i < 3000; ++i) many.insert(many.end(), question.begin(), question.end());
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    const ssize_t now = ::send(fd.get(), many.data() + sent, many.size() - sent, MSG_DONTWAIT);
    if (now > 0) sent += static_cast<size_t>(now);
    step(1);
  }
  EXPECT_FALSE(wakes()) << "the loop is busy for a client that does not read";
  EXPECT_EQ(server_->clients(), 1u);
  const Fd other = dial();
  write(other, framed(test::query(kName, 1)));
  step();
  EXPECT_FALSE(take(other).empty());
  // When it reads again, all its answers come.
  size_t got = 0;
  for (int i = 0; i < 20'000 && got < 3000 * 30'000; ++i) {
    if (sent < many.size()) {
      const ssize_t now = ::send(fd.get(), many.data() + sent, many.size() - sent, MSG_DONTWAIT);
      if (now > 0) sent += static_cast<size_t>(now);
    }
    step(1);
    got += take(fd).size();
  }
  EXPECT_GT(got, 3000u * 30'000u);
}

TEST_F(DnsTcp, IdleClientsGo) {
  start();
  const Fd silent = dial();
  const Fd asking = dial();
  step();
  clock_.time += std::chrono::seconds(9);
  write(asking, framed(test::query(kName, 1)));
  write(silent, {0, 40, 1});  // a part of a query does not count
  step();
  clock_.time += std::chrono::seconds(1);
  server_->expire();
  EXPECT_TRUE(closed(silent));
  EXPECT_EQ(server_->clients(), 1u);
  clock_.time += std::chrono::seconds(9);
  server_->expire();
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(DnsTcp, ClientsAreBounded) {
  TcpServer::Limits limits;
  limits.clients = 6;
  limits.per_address = 4;
  start(limits);
  std::vector<Fd> held;
  for (int i = 0; i < 5; ++i) held.push_back(dial(0x7f000002));
  step();
  EXPECT_EQ(server_->clients(), 4u);
  EXPECT_TRUE(closed(held[4]));
  for (uint32_t i = 3; i < 7; ++i) {
    held.push_back(dial(0x7f000000 + i));
    step();
  }
  EXPECT_EQ(server_->clients(), 6u);
  EXPECT_TRUE(closed(held[0]));  // the oldest made room
  EXPECT_TRUE(closed(held[1]));
  EXPECT_FALSE(closed(held[2]));
  // What was given up counts no longer for its address.
  const Fd again = dial(0x7f000002);
  write(again, framed(test::query(kName, 1)));
  step();
  EXPECT_FALSE(take(again).empty());
}

}  // namespace
}  // namespace sallyport::dns
