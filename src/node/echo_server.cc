#include "node/echo_server.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/ip.h"

namespace sallyport::node {
namespace {

constexpr size_t kMostHeader = 8 << 10;
constexpr std::array<std::string_view, 8> kMethods{"GET ",    "HEAD ",    "POST ",  "PUT ",
                                                   "DELETE ", "OPTIONS ", "PATCH ", "CONNECT "};

bool may_be_http(std::string_view data) {
  return std::any_of(kMethods.begin(), kMethods.end(), [&](std::string_view method) {
    size_t n = std::min(method.size(), data.size());
    return method.substr(0, n) == data.substr(0, n);
  });
}

std::string address_text(const sockaddr_in6& address) {
  Ip ip;
  std::memcpy(ip.bytes.data(), &address.sin6_addr, 16);
  std::string text = ip.to_string();
  if (ip.family() == Family::kV6) text = "[" + text + "]";
  return text + ":" + std::to_string(ntohs(address.sin6_port));
}

Result<Fd> bound(int type, uint16_t port) {
  Fd fd(::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket");
  int on = 1, off = 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (type == SOCK_DGRAM) {
    // The answer to a datagram has to come from the address that it was sent to, one of a whole
    // range that is routed here without being configured: IPv6 wants to be told that this is meant.
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
  }
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 ||
      (type == SOCK_STREAM && ::listen(fd.get(), 128) != 0))
    return fail_errno((type == SOCK_STREAM ? "TCP port " : "UDP port ") + std::to_string(port));
  return fd;
}

}  // namespace

std::string EchoConversation::take(std::string_view data) {
  if (finished_) return {};
  if (kind_ == Kind::kEcho) return std::string(data);
  request_.append(data);
  if (!may_be_http(request_) || (request_.size() > kMostHeader)) {
    kind_ = Kind::kEcho;
    return std::move(request_);
  }
  kind_ = Kind::kHttp;
  if (request_.find("\r\n\r\n") == std::string::npos) return {};
  finished_ = true;
  bool head = request_.starts_with("HEAD ");
  request_.clear();
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(about_.size()) + "\r\nConnection: close\r\n\r\n" + (head ? "" : about_);
}

Result<std::unique_ptr<EchoServer>> EchoServer::open(const std::vector<uint16_t>& ports, int stop,
                                                     const Limits& limits) {
  std::unique_ptr<EchoServer> server(new EchoServer(stop, limits));
  server->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!server->epoll_) return fail_errno("epoll");
  SP_CHECK_OK(server->watch(stop, EPOLLIN));
  for (uint16_t port : ports)
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      SP_TRY(Fd fd, bound(type, port));
      SP_CHECK_OK(server->watch(fd.get(), EPOLLIN));
      (type == SOCK_STREAM ? server->listeners_ : server->datagrams_).push_back(std::move(fd));
    }
  return server;
}

Status EchoServer::watch(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll");
  return {};
}

Status EchoServer::run() {
  auto among = [](const std::vector<Fd>& fds, int fd) {
    return std::any_of(fds.begin(), fds.end(), [&](const Fd& each) { return each.get() == fd; });
  };
  while (true) {
    std::array<epoll_event, 64> events{};
    int n =
        ::epoll_wait(epoll_.get(), events.data(), events.size(), connections_.empty() ? -1 : 500);
    if (n < 0 && errno != EINTR) return fail_errno("epoll");
    for (int i = 0; i < n; ++i) {
      int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == stop_) return {};
      if (auto it = by_fd_.find(fd); it != by_fd_.end())
        serve(it->second);
      else if (among(listeners_, fd))
        accept_all(fd);
      else if (among(datagrams_, fd))
        answer_datagrams(fd);
    }
    drop_idle();
  }
}

void EchoServer::accept_all(int listener) {
  for (int i = 0; i < 64; ++i) {
    sockaddr_in6 peer{}, self{};
    socklen_t size = sizeof peer;
    Fd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size,
                    SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      // Out of descriptors: the one idle longest makes room.
      if ((errno == EMFILE || errno == ENFILE) && !connections_.empty()) drop(connections_.begin());
      return;
    }
    if (connections_.size() >= limits_.connections) drop(connections_.begin());
    size = sizeof self;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &size);
    std::string about = "sallyport outside world: you reached " + address_text(self) + " from " +
                        address_text(peer) + "\n";
    int number = fd.get();
    connections_.push_back(
        {std::move(fd), EchoConversation(std::move(about)), {}, std::chrono::steady_clock::now()});
    by_fd_[number] = std::prev(connections_.end());
    if (!watch(number, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
      drop(std::prev(connections_.end()));
      continue;
    }
    serve(std::prev(connections_.end()));
  }
}

void EchoServer::serve(Connections::iterator connection) {
  connection->last = std::chrono::steady_clock::now();
  connections_.splice(connections_.end(), connections_, connection);
  int fd = connection->fd.get();
  // Edge-triggered: goes on until the socket would block, in either direction.
  while (true) {
    while (!connection->unsent.empty()) {
      ssize_t n = ::send(fd, connection->unsent.data(), connection->unsent.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n < 0) return drop(connection);
      connection->unsent.erase(0, static_cast<size_t>(n));
    }
    if (connection->conversation.finished()) {
      // Half a close first: closing with unread data would reset what was just sent.
      ::shutdown(fd, SHUT_WR);
    }
    char data[16384];
    ssize_t n = ::recv(fd, data, sizeof data, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) return drop(connection);
    connection->unsent = connection->conversation.take({data, static_cast<size_t>(n)});
  }
}

void EchoServer::answer_datagrams(int fd) {
  for (int i = 0; i < 64; ++i) {
    char data[65536];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo)) + 64];
    sockaddr_in6 peer{};
    iovec part{data, sizeof data};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_namelen = sizeof peer;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(fd, &message, 0);
    if (n < 0) return;  // empty, or an ICMP error of an earlier answer
    // Two servers that answer each other would never end.
    if (ntohs(peer.sin6_port) < 1024) continue;
    part.iov_len = static_cast<size_t>(n);
    // The received control message names the address that was reached: it becomes the source.
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
      if (each->cmsg_level != IPPROTO_IPV6 || each->cmsg_type != IPV6_PKTINFO) continue;
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      info.ipi6_ifindex = 0;  // the way back follows the routes
      std::memcpy(CMSG_DATA(each), &info, sizeof info);
    }
    (void)::sendmsg(fd, &message, MSG_NOSIGNAL);
  }
}

void EchoServer::drop(Connections::iterator connection) {
  by_fd_.erase(connection->fd.get());
  connections_.erase(connection);
}

void EchoServer::drop_idle() {
  auto limit = std::chrono::steady_clock::now() - limits_.idle;
  while (!connections_.empty() && connections_.front().last < limit) drop(connections_.begin());
}

}  // namespace sallyport::node
