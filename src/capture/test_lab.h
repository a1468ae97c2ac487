// A pod's namespace and a client's, joined by a veth pair, with sockets in both that the tests
// drive from one thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "base/clock.h"
#include "capture/rules.h"
#include "capture/sockets.h"
#include "net/netlink.h"
#include "net/netns.h"

namespace sallyport::capture {

constexpr int kWaitMillis = 3000;

struct Where {
  Ip ip;
  uint16_t port = 0;
  bool operator==(const Where&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Where& where) {
  return out << where.ip.to_string() << " port " << where.port;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  Address() = default;
  explicit Address(const Where& where) {
    if (where.ip.family() == Family::kV4) {
      auto* in = reinterpret_cast<sockaddr_in*>(&storage);
      in->sin_family = AF_INET;
      in->sin_port = htons(where.port);
      in->sin_addr.s_addr = htonl(where.ip.v4_host_order());
      size = sizeof *in;
    } else {
      auto* in = reinterpret_cast<sockaddr_in6*>(&storage);
      in->sin6_family = AF_INET6;
      in->sin6_port = htons(where.port);
      std::copy(where.ip.bytes.begin(), where.ip.bytes.end(), in->sin6_addr.s6_addr);
      size = sizeof *in;
    }
  }
  [[nodiscard]] sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] Where where() const {
    Where out;
    if (storage.ss_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
      out.ip = Ip::v4(ntohl(in->sin_addr.s_addr));
      out.port = ntohs(in->sin_port);
    } else {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
      std::copy_n(in->sin6_addr.s6_addr, 16, out.ip.bytes.begin());
      out.port = ntohs(in->sin6_port);
    }
    return out;
  }
};

inline bool wait_for(int fd, short events, int millis = kWaitMillis) {
  pollfd wait{fd, events, 0};
  return ::poll(&wait, 1, millis) == 1;
}

// 0, or the error with which connecting ended; ETIMEDOUT where nothing happened.
inline int connect_to(const Fd& fd, const Where& where) {
  Address address(where);
  if (::connect(fd.get(), address.raw(), address.size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!wait_for(fd.get(), POLLOUT)) return ETIMEDOUT;
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  return err;
}

// Closed by a reset, so that no tuple stays in TIME_WAIT.
inline void reset_on_close(const Fd& fd) {
  linger reset{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

class Lab : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    for (Fd* ns : {&pod_, &client_}) {
      auto made = net::create_netns();
      ASSERT_TRUE(made) << made.error().message;
      *ns = std::move(*made);
    }
    auto pod_links = net::Netlink::open(pod_.get());
    auto client_links = net::Netlink::open(client_.get());
    ASSERT_TRUE(pod_links && client_links);
    ASSERT_TRUE(pod_links->add_veth("eth0", "peer0", client_.get()));
    wire(*pod_links, "eth0", {pod4_, pod6_});
    wire(*client_links, "peer0", {client4_, client6_, probe4_, probe6_});
    for (net::Netlink* links : {&*pod_links, &*client_links})
      for (int i = 0; i < 200; ++i) {
        auto a = links->is_local(links == &*pod_links ? pod6_ : client6_);
        auto link = links->link(*links->ifindex(links == &*pod_links ? "eth0" : "peer0"));
        if (a && *a && link && link->operating) break;
        ::usleep(5000);
      }
    auto marks = draw_marks();
    ASSERT_TRUE(marks);
    rules_.marks = *marks;
    rules_.probe_sources = {probe4_, probe6_};
  }

  static void wire(net::Netlink& links, const std::string& name, const std::vector<Ip>& ips) {
    auto index = links.ifindex(name);
    ASSERT_TRUE(index) << index.error().message;
    ASSERT_TRUE(links.set_up(*index));
    for (const Ip& ip : ips)
      ASSERT_TRUE(links.add_address(*index, ip, ip.family() == Family::kV4 ? 24 : 64));
  }

  void capture() {
    auto listeners = make_listeners(pod_.get());
    ASSERT_TRUE(listeners) << listeners.error().message;
    listeners_ = std::move(*listeners);
    auto applied = apply(pod_.get(), rules_);
    ASSERT_TRUE(applied) << applied.error().message;
  }

  [[nodiscard]] Family family() const { return GetParam(); }
  [[nodiscard]] bool v4() const { return family() == Family::kV4; }
  [[nodiscard]] Ip pod_ip() const { return v4() ? pod4_ : pod6_; }
  [[nodiscard]] Ip client_ip() const { return v4() ? client4_ : client6_; }
  [[nodiscard]] Ip probe_ip() const { return v4() ? probe4_ : probe6_; }
  [[nodiscard]] Fd& outbound() { return v4() ? listeners_.outbound4 : listeners_.outbound6; }
  [[nodiscard]] Fd& inbound() { return v4() ? listeners_.inbound4 : listeners_.inbound6; }

  static Fd socket_of(const Fd& ns, Family family) {
    auto fd = net::socket_in(ns.get(), family == Family::kV4 ? AF_INET : AF_INET6,
                             SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_TRUE(fd);
    return fd ? std::move(*fd) : Fd();
  }
  // The client's end names its source: its namespace has the probes' addresses too.
  Fd socket_of(const Fd& ns) {
    Fd fd = socket_of(ns, family());
    return &ns == &client_ ? from(std::move(fd), client_ip()) : std::move(fd);
  }
  static Fd from(Fd fd, const Ip& ip) {
    int on = 1;
    ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    Address address({ip, 0});
    EXPECT_EQ(::bind(fd.get(), address.raw(), address.size), 0) << std::strerror(errno);
    return fd;
  }
  Fd marked(Leg leg) {
    auto made = make_sockets(pod_.get(), leg, family(), rules_.marks, 1);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(made->front()) : Fd();
  }
  Fd listen_at(const Fd& ns, const Ip& ip, uint16_t port) {
    Fd fd = socket_of(ns, family());
    int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    Address address({ip, port});
    EXPECT_EQ(::bind(fd.get(), address.raw(), address.size), 0) << std::strerror(errno);
    EXPECT_EQ(::listen(fd.get(), 512), 0);
    return fd;
  }

  struct Accepted {
    Fd fd;  // empty: nobody came
    Where peer, original;
    explicit operator bool() const { return static_cast<bool>(fd); }
    Accepted* operator->() { return this; }
  };
  // The next connection with its source and the destination that its initiator wrote.
  static Accepted accept_at(const Fd& listener, int millis = kWaitMillis) {
    if (!wait_for(listener.get(), POLLIN, millis)) return {};
    Accepted out;
    Address peer;
    out.fd = Fd(::accept4(listener.get(), peer.raw(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!out.fd) return {};
    out.peer = peer.where();
    Address original;
    bool v4 = peer.storage.ss_family == AF_INET;
    // The option has one number in both families (IP6T_SO_ORIGINAL_DST).
    if (::getsockopt(out.fd.get(), v4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, original.raw(),
                     &original.size) == 0)
      out.original = original.where();
    return out;
  }
  static bool says(const Fd& from, const Fd& to, const std::string& text) {
    if (::send(from.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(text.size()))
      return false;
    if (!wait_for(to.get(), POLLIN)) return false;
    std::string got(text.size(), '\0');
    return ::recv(to.get(), got.data(), got.size(), 0) == static_cast<ssize_t>(got.size()) &&
           got == text;
  }

  Ip pod4_ = *Ip::parse("198.18.77.1"), pod6_ = *Ip::parse("fd00:77::1");
  Ip client4_ = *Ip::parse("198.18.77.2"), client6_ = *Ip::parse("fd00:77::2");
  Ip probe4_ = *Ip::parse("198.18.77.9"), probe6_ = *Ip::parse("fd00:77::9");
  Fd pod_, client_;
  Listeners listeners_;
  Rules rules_;
};

inline std::string family_name(const ::testing::TestParamInfo<Family>& info) {
  return info.param == Family::kV4 ? "IPv4" : "IPv6";
}

}  // namespace sallyport::capture
