#include "node/echo_server.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <thread>

#include "node/test_pods.h"

namespace sallyport::node {
namespace {

TEST(EchoConversation, SendsBackWhatItGets) {
  EchoConversation echo("about");
  EXPECT_EQ(echo.take("hello"), "hello");
  EXPECT_EQ(echo.take("GET / HTTP/1.1\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(echo.finished());
}

TEST(EchoConversation, AnswersHttpHoweverItIsCut) {
  std::string request = "POST /x HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t cut = 0; cut <= request.size(); ++cut) {
    EchoConversation echo("about\n");
    std::string answer = echo.take(request.substr(0, cut));
    answer += echo.take(request.substr(cut));
    EXPECT_EQ(answer,
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
              "Connection: close\r\n\r\nabout\n")
        << cut;
    EXPECT_TRUE(echo.finished());
    EXPECT_EQ(echo.take("more"), "") << "the body of a request gets no answer";
  }
  EchoConversation head("about");
  EXPECT_TRUE(head.take("HEAD / HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST(EchoConversation, DoesNotGatherWithoutBound) {
  EchoConversation echo("about");
  size_t sent = 0, back = 0;
  for (int i = 0; i < 100; ++i) {
    std::string chunk = i == 0 ? "GET /" : std::string(1000, 'a');
    sent += chunk.size();
    back += echo.take(chunk).size();
  }
  EXPECT_EQ(back, sent) << "a header that is too long is sent back like anything else";
}

class EchoServerTest : public ::testing::Test {
 protected:
  void SetUp() override { netns_ = net::create_netns().value(); }
  void start(const EchoServer::Limits& limits) {
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(net::in_netns(netns_.get(), [&]() -> Status {
      SP_TRY(server_, EchoServer::open({7, 80}, stop_.get(), limits));
      return {};
    }));
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run()); });
  }
  void TearDown() override {
    uint64_t one = 1;
    ASSERT_EQ(::write(stop_.get(), &one, sizeof one), ssize_t{sizeof one});
    thread_.join();
  }
  TestClient client(uint16_t port, int type = SOCK_STREAM) {
    return connect_from(netns_.get(), type, *Ip::parse("127.0.0.1"), port, 3000);
  }
  Fd netns_, stop_;
  std::unique_ptr<EchoServer> server_;
  std::thread thread_;
};

TEST_F(EchoServerTest, SaysWhoReachedWhat) {
  start({});
  TestClient http = client(80);
  std::string request = "GET / HTTP/1.1\r\n\r\n", answer;
  ASSERT_EQ(::send(http.fd.get(), request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  char data[1024];
  for (ssize_t n; (n = ::recv(http.fd.get(), data, sizeof data, 0)) > 0;)
    answer.append(data, static_cast<size_t>(n));
  EXPECT_NE(answer.find("you reached 127.0.0.1:80 from 127.0.0.1:"), std::string::npos) << answer;
}

TEST_F(EchoServerTest, ALargeStreamComesBackWhole) {
  start({});
  TestClient stream = client(7);
  constexpr size_t kSize = 8 << 20;
  std::thread writer([&] {
    std::string chunk(1 << 16, 'z');
    for (size_t sent = 0; sent < kSize; sent += chunk.size())
      if (::send(stream.fd.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) < 0) return;
  });
  size_t got = 0;
  char data[65536];
  while (got < kSize) {
    ssize_t n = ::recv(stream.fd.get(), data, sizeof data, 0);
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  writer.join();
  EXPECT_EQ(got, kSize);
}

TEST_F(EchoServerTest, ConnectionsAreBoundedAndTheIdlestGoes) {
  start({.connections = 4, .idle = std::chrono::seconds(60)});
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(client(7));
    EXPECT_EQ(ask(clients.back()), "?");
  }
  EXPECT_EQ(ask(clients[0]), "?");  // now the second is the idlest
  TestClient fifth = client(7);
  EXPECT_EQ(ask(fifth), "?");
  EXPECT_EQ(ask(clients[0]), "?");
  char byte;
  EXPECT_EQ(::recv(clients[1].fd.get(), &byte, 1, 0), 0) << "closed";
}

TEST_F(EchoServerTest, IdleConnectionsEnd) {
  start({.connections = 4, .idle = std::chrono::milliseconds(100)});
  TestClient idle = client(7);
  EXPECT_EQ(ask(idle), "?");
  char byte;
  EXPECT_EQ(::recv(idle.fd.get(), &byte, 1, 0), 0) << "closed within the 3 s of the socket";
}

TEST_F(EchoServerTest, DatagramsComeBackButNotToOtherServers) {
  start({});
  EXPECT_EQ(ask(client(7, SOCK_DGRAM)), "?");
  // From a well-known port: could be a server that answers in turn.
  Fd socket = net::socket_in(netns_.get(), AF_INET, SOCK_DGRAM, 0).value();
  socklen_t size = 0;
  sockaddr_storage from = socket_address(*Ip::parse("127.0.0.1"), 19, size);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&from), size), 0);
  sockaddr_storage to = socket_address(*Ip::parse("127.0.0.1"), 7, size);
  ASSERT_EQ(::sendto(socket.get(), "?", 1, 0, reinterpret_cast<sockaddr*>(&to), size), 1);
  timeval limit{0, 200'000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char byte;
  EXPECT_EQ(::recv(socket.get(), &byte, 1, 0), -1);
}

}  // namespace
}  // namespace sallyport::node
