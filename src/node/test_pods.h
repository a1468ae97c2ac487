// Kernel tests' pods: namespaces with a server in them that answers with its name and with the
// address that it sees, and clients that say how an attempt ended.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fs.h"
#include "net/netns.h"
#include "node/network.h"

namespace sallyport::node {

inline sockaddr_storage socket_address(const Ip& ip, uint16_t port, socklen_t& size) {
  sockaddr_storage storage{};
  if (ip.family() == Family::kV4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, ip.bytes.data() + 12, 4);
    size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, ip.bytes.data(), 16);
    size = sizeof *v6;
  }
  return storage;
}

inline std::string text_of(const sockaddr_in6& peer) {
  Ip ip;
  std::memcpy(ip.bytes.data(), &peer.sin6_addr, 16);
  return ip.to_string();
}

// Answers "NAME CLIENTADDRESS" on one port, TCP and UDP, both families.
class TestServer {
 public:
  TestServer(int netns, std::string name, uint16_t port) : name_(std::move(name)) {
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    for (auto [type, fd] : {std::pair{SOCK_STREAM, &tcp_}, std::pair{SOCK_DGRAM, &udp_}}) {
      *fd = net::socket_in(netns, AF_INET6, type, 0).value();
      EXPECT_EQ(::bind(fd->get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    }
    EXPECT_EQ(::listen(tcp_.get(), 64), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~TestServer() {
    uint64_t one = 1;
    EXPECT_EQ(::write(stop_.get(), &one, sizeof one), ssize_t{sizeof one});
    thread_.join();
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

 private:
  void run() {
    std::vector<Fd> clients;  // kept open, so that connections stay established
    while (true) {
      pollfd fds[3] = {{stop_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0 || fds[0].revents) return;
      sockaddr_in6 peer{};
      socklen_t size = sizeof peer;
      if (fds[1].revents) {
        Fd client(::accept4(tcp_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
        std::string answer = name_ + " " + text_of(peer);
        if (client) (void)::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        clients.push_back(std::move(client));
        if (clients.size() > 256) clients.erase(clients.begin());
      }
      if (fds[2].revents) {
        char data[64];
        ssize_t n =
            ::recvfrom(udp_.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &size);
        std::string answer = name_ + " " + text_of(peer);
        if (n >= 0)
          (void)::sendto(udp_.get(), answer.data(), answer.size(), 0,
                         reinterpret_cast<sockaddr*>(&peer), size);
      }
    }
  }

  std::string name_;
  Fd stop_, tcp_, udp_;
  std::thread thread_;
};

// A connected socket in a namespace, of TCP or UDP.
struct TestClient {
  Fd fd;
  int error = 0;  // of connect
};

inline TestClient connect_from(int netns, int type, const Ip& ip, uint16_t port,
                               int timeout_ms = 1500) {
  TestClient client;
  int domain = ip.family() == Family::kV4 ? AF_INET : AF_INET6;
  client.fd = net::socket_in(netns, domain, type, 0).value();
  timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
  ::setsockopt(client.fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(client.fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  socklen_t size = 0;
  sockaddr_storage address = socket_address(ip, port, size);
  if (::connect(client.fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
    client.error = errno == EINPROGRESS ? ETIMEDOUT : errno;
  return client;
}

// What the other side answers on a connected socket, or "error: ...".
inline std::string ask(const TestClient& client) {
  auto failed = [](int err) {
    return err == EAGAIN ? std::string("error: timeout")
                         : std::string("error: ") + std::strerror(err);
  };
  if (client.error != 0) return failed(client.error == ETIMEDOUT ? EAGAIN : client.error);
  if (::send(client.fd.get(), "?", 1, MSG_NOSIGNAL) < 0) return failed(errno);
  char data[256];
  ssize_t n = ::recv(client.fd.get(), data, sizeof data, 0);
  if (n < 0) return failed(errno);
  return {data, static_cast<size_t>(n)};
}

inline std::string ask_from(int netns, int type, const Ip& ip, uint16_t port,
                            int timeout_ms = 1500) {
  return ask(connect_from(netns, type, ip, port, timeout_ms));
}

struct TestPod {
  Fd netns;
  PodAddresses addresses;
  PodLink link;
};

inline TestPod start_pod(NodeNetwork& network, const std::string& link_name) {
  static SystemClock clock;
  TestPod pod;
  auto netns = net::create_netns();
  auto addresses = network.allocate(clock);
  if (!netns || !addresses) {
    ADD_FAILURE() << "no namespace or address for " << link_name;
    return pod;
  }
  pod.netns = std::move(*netns);
  pod.addresses = *addresses;
  auto link = network.prepare(pod.netns.get(), link_name, pod.addresses);
  if (!link) {
    ADD_FAILURE() << link.error().message;
    return pod;
  }
  pod.link = *link;
  Status connected = network.connect(pod.link, pod.addresses);
  if (!connected) ADD_FAILURE() << connected.error().message;
  return pod;
}

// A run's directory of its own, and a network in it that is removed at the end.
class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_network()); }
  void TearDown() override {
    if (network_) {
      Status removed = network_->remove();
      EXPECT_TRUE(removed) << removed.error().message;
    }
    EXPECT_TRUE(remove_tree(dir_)) << "something is still mounted";
  }
  bool make_network() {
    network_.reset();
    auto opened = NodeNetwork::open(dir_);
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) network_ = std::move(*opened);
    return network_ != nullptr;
  }

  std::string dir_ = "/run/sallyport-node-test-" + std::to_string(::getpid());
  std::unique_ptr<NodeNetwork> network_;
};

}  // namespace sallyport::node
