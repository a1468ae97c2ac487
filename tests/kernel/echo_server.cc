#include "kernel/echo_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <map>
#include <system_error>
#include <thread>

#include "kernel/sockets.h"
#include "net/netns.h"

namespace sallyport::kernel_test {
namespace {

enum class Kind { kStop, kListener, kStream, kDatagram, kSctp };

struct Socket {
  Fd fd;
  Kind kind = Kind::kStop;
  Family family = Family::kV4;
};

Result<Fd> bound(const Ip& ip, uint16_t port, int type, int protocol) {
  Fd fd(::socket(domain_of(ip), type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return fail_errno("socket");
  int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  SocketAddress address = socket_address(ip, port);
  if (::bind(fd.get(), address.get(), address.size) != 0)
    return fail_errno("bind " + ip.to_string() + " port " + std::to_string(port));
  return fd;
}

}  // namespace

struct EchoServer::Impl {
  Fd epoll, stop;
  std::map<int, Socket> sockets;
  std::thread thread;

  Status add(Fd fd, Kind kind, Family family) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd.get();
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
      return fail_errno("epoll_ctl");
    int key = fd.get();
    sockets.insert_or_assign(key, Socket{std::move(fd), kind, family});
    return {};
  }

  void on_stream(const Socket& socket) {
    std::array<char, 256> data;
    ssize_t n = ::recv(socket.fd.get(), data.data(), data.size(), 0);
    if (n > 0) {
      (void)::send(socket.fd.get(), data.data(), static_cast<size_t>(n), MSG_NOSIGNAL);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      sockets.erase(socket.fd.get());
    }
  }

  void on_datagram(const Socket& socket) {
    std::array<uint8_t, 512> data;
    SocketAddress peer;
    for (int i = 0; i < 64; ++i) {
      peer.size = sizeof peer.storage;
      ssize_t n = ::recvfrom(socket.fd.get(), data.data(), data.size(), 0,
                             reinterpret_cast<sockaddr*>(&peer.storage), &peer.size);
      if (n < 0) return;
      if (socket.kind == Kind::kDatagram) {
        (void)::sendto(socket.fd.get(), data.data(), static_cast<size_t>(n), 0, peer.get(),
                       peer.size);
        continue;
      }
      SctpPacket packet = read_sctp(socket.family, data.data(), static_cast<size_t>(n));
      if (packet.chunk != kSctpInit) continue;
      std::string answer = write_sctp({packet.destination_port, packet.source_port, kSctpInitAck});
      (void)::sendto(socket.fd.get(), answer.data(), answer.size(), 0, peer.get(), peer.size);
    }
  }

  void run() {
    std::array<epoll_event, 64> events;
    while (true) {
      int n = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
      for (int i = 0; i < n; ++i) {
        auto found = sockets.find(events[static_cast<size_t>(i)].data.fd);
        if (found == sockets.end()) continue;
        const Socket& socket = found->second;
        if (socket.kind == Kind::kStop) return;
        if (socket.kind == Kind::kStream) {
          on_stream(socket);
        } else if (socket.kind == Kind::kListener) {
          Fd client(::accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
          if (client) (void)add(std::move(client), Kind::kStream, socket.family);
        } else {
          on_datagram(socket);
        }
      }
    }
  }
};

EchoServer::EchoServer() : impl_(std::make_unique<Impl>()) {
  impl_->epoll = Fd(::epoll_create1(EPOLL_CLOEXEC));
  impl_->stop = Fd(::eventfd(0, EFD_CLOEXEC));
}

EchoServer::~EchoServer() {
  if (!impl_->thread.joinable()) return;
  uint64_t one = 1;
  (void)!::write(impl_->stop.get(), &one, sizeof one);
  impl_->thread.join();
}

Status EchoServer::serve(int netns, const std::vector<Ip>& addresses,
                         const std::vector<uint16_t>& ports) {
  return net::in_netns(netns, [&]() -> Status {
    for (const Ip& ip : addresses) {
      for (uint16_t port : ports) {
        SP_TRY(Fd tcp, bound(ip, port, SOCK_STREAM, 0));
        if (::listen(tcp.get(), 1024) != 0) return fail_errno("listen");
        SP_CHECK_OK(impl_->add(std::move(tcp), Kind::kListener, ip.family()));
        SP_TRY(Fd udp, bound(ip, port, SOCK_DGRAM, 0));
        SP_CHECK_OK(impl_->add(std::move(udp), Kind::kDatagram, ip.family()));
      }
      SP_TRY(Fd sctp, bound(ip, 0, SOCK_RAW, IPPROTO_SCTP));
      SP_CHECK_OK(impl_->add(std::move(sctp), Kind::kSctp, ip.family()));
    }
    return {};
  });
}

Status EchoServer::start() {
  SP_TRY(Fd stop, [&]() -> Result<Fd> {
    Fd copy(::fcntl(impl_->stop.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("dup");
    return copy;
  }());
  SP_CHECK_OK(impl_->add(std::move(stop), Kind::kStop, Family::kV4));
  try {
    impl_->thread = std::thread([this] { impl_->run(); });
  } catch (const std::system_error& e) {
    return fail(Code::kUnavailable, e.what());
  }
  return {};
}

}  // namespace sallyport::kernel_test
