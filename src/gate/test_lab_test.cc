#include "gate/test_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "base/fs.h"
#include "gate/compiled_builder.h"
#include "net/netns.h"
#include "net/nft.h"
#include "net/sysctl.h"

namespace sallyport::gate {

namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
void must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message);
}
void must_zero(int result, const char* what) {
  if (result != 0) throw std::runtime_error(fail_errno(what).error().message);
}

// Mounts of the tests die with the process, whatever happens to it.
void own_mounts_once() {
  static const bool done = [] {
    must_zero(::unshare(CLONE_NEWNS), "unshare");
    must_zero(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount private");
    return true;
  }();
  (void)done;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address address_of(const Ip& ip, uint16_t port) {
  Address out;
  if (ip.family() == Family::kV4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(ip.v4_host_order());
    out.size = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, ip.bytes.data(), 16);
    out.size = sizeof(*in);
  }
  return out;
}

int domain_of(const Ip& ip) {
  return ip.family() == Family::kV4 ? AF_INET : AF_INET6;
}

Fd bound_socket(int netns, const Ip& address, uint16_t port, int type) {
  Fd fd = must(net::socket_in(netns, domain_of(address), type, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const Address at = address_of(address, port);
  must_zero(::bind(fd.get(), at.get(), at.size), "bind");
  return fd;
}

bool wait_for(int fd, short events, int timeout_ms) {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, timeout_ms) == 1;
}

}  // namespace

Lab::Lab(size_t count) {
  own_mounts_once();
  std::string pattern = "/tmp/sallyport-gate-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  dir_ = pattern;
  must_zero(::mount("bpf", dir_.c_str(), "bpf", 0, "mode=0700"), "mounting a bpffs");
  pin_dir = dir_ + "/gate";
  must(make_dirs(pin_dir));

  node = must(net::create_netns());
  must(net::set_sysctls(node.get(), {{"ipv4/ip_forward", "1"}, {"ipv6/conf/all/forwarding", "1"}}));
  // Connection tracking runs where some rule asks for it, as the node's Service rules do.
  must(net::apply_nft(node.get(),
                      "table inet track {\n"
                      " chain forward {\n  type filter hook forward priority 10\n"
                      "  ct state new counter\n }\n"
                      " chain input {\n  type filter hook input priority 10\n"
                      "  ct state new counter\n }\n"
                      "}\n"));
  node4 = ip("198.19.128.1");
  node6 = ip("fd00:19:128::1");
  outside = wire(0, ip("198.19.200.1"), ip("fd00:19:200::1"), "out");
  for (size_t i = 1; i <= count; ++i)
    pods.push_back(wire(i, offset_ip(ip("198.18.0.0"), static_cast<uint32_t>(i)),
                        offset_ip(ip("fd00:18::"), static_cast<uint32_t>(i)),
                        "p" + std::to_string(i)));
}

Lab::Pod Lab::wire(size_t index, const Ip& v4, const Ip& v6, const std::string& name) {
  Pod pod;
  pod.id = static_cast<uint32_t>(index);
  pod.v4 = v4;
  pod.v6 = v6;
  pod.netns = must(net::create_netns());
  auto here = must(net::Netlink::open(node.get()));
  pod.ifindex = must(here.add_veth(name, "eth0", pod.netns.get()));
  must(here.set_up(pod.ifindex));
  auto there = must(net::Netlink::open(pod.netns.get()));
  const int inner = must(there.ifindex("eth0"));
  must(there.set_up(inner));
  const Ip gate4 = ip("169.254.1.1"), gate6 = ip("fe80::1");
  must(here.add_address(pod.ifindex, gate4, 32));
  must(here.add_address(pod.ifindex, gate6, 64));
  if (index == 0) {
    must(here.add_address(pod.ifindex, node4, 32));
    must(here.add_address(pod.ifindex, node6, 128));
    must(here.add_route(cidr("0.0.0.0/0"), &v4, pod.ifindex, &node4, true));
    must(here.add_route(cidr("::/0"), nullptr, pod.ifindex, &node6));
  }
  must(here.add_route(Cidr{v4, 32}, nullptr, pod.ifindex, &node4));
  must(here.add_route(Cidr{v6, 128}, nullptr, pod.ifindex, index == 0 ? &node6 : nullptr));
  must(there.add_address(inner, v4, 32));
  must(there.add_address(inner, v6, 128));
  must(there.add_route(Cidr{gate4, 32}, nullptr, inner));
  must(there.add_route(cidr("0.0.0.0/0"), &gate4, inner, &v4));
  must(there.add_route(cidr("::/0"), &gate6, inner, &v6));
  return pod;
}

Lab::~Lab() {
  pods.clear();
  outside.netns.reset();
  node.reset();
  ::umount2(dir_.c_str(), MNT_DETACH);
  ::rmdir(dir_.c_str());
}

GateConfig Lab::config() const {
  GateConfig config;
  config.pin_dir = pin_dir;
  config.netns_fd = node.get();
  config.pod_ranges = {cidr("198.18.0.0/16"), cidr("fd00:18::/64")};
  config.node_ranges = {cidr("198.19.0.0/17"), cidr("fd00:19::/64")};
  config.node_addresses = {node4, node6};
  config.node_ports = {{6, kNodePort}, {17, kNodePort}};
  config.max_connections = 4096;
  config.max_connections_per_endpoint = 1024;
  config.max_endpoints = 1024;
  return config;
}

std::vector<EndpointPort> Lab::ports() const {
  std::vector<EndpointPort> out;
  for (const auto& pod : pods) out.push_back({pod.id, pod.ifindex});
  return out;
}

Udp::Udp(int netns, const Ip& address, uint16_t port)
    : fd_(bound_socket(netns, address, port, SOCK_DGRAM)) {
  // A reader that does not get its turn for a while must not look like a gate that drops.
  const int bytes = 16 << 20;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
}

void Udp::send(const Ip& to, uint16_t port, std::string_view text) {
  const Address at = address_of(to, port);
  (void)!::sendto(fd_.get(), text.data(), text.size(), 0, at.get(), at.size);
}

std::optional<std::string> Udp::receive(int timeout_ms, uint16_t* from_port, Ip* from) {
  if (!wait_for(fd_.get(), POLLIN, timeout_ms)) return std::nullopt;
  std::string text(65536, '\0');
  Address peer;
  peer.size = sizeof(peer.storage);
  const ssize_t n = ::recvfrom(fd_.get(), text.data(), text.size(), 0, peer.get(), &peer.size);
  if (n < 0) return std::nullopt;
  text.resize(static_cast<size_t>(n));
  const bool v4 = peer.storage.ss_family == AF_INET;
  if (from_port != nullptr)
    *from_port = ntohs(v4 ? reinterpret_cast<sockaddr_in*>(&peer.storage)->sin_port
                          : reinterpret_cast<sockaddr_in6*>(&peer.storage)->sin6_port);
  if (from != nullptr) {
    if (v4)
      *from = Ip::v4(ntohl(reinterpret_cast<sockaddr_in*>(&peer.storage)->sin_addr.s_addr));
    else
      std::memcpy(from->bytes.data(), &reinterpret_cast<sockaddr_in6*>(&peer.storage)->sin6_addr,
                  16);
  }
  return text;
}

Probe probe_udp(int from_netns, const Ip& from, int to_netns, const Ip& to, uint16_t port,
                int timeout_ms) {
  Udp server(to_netns, to, port);
  Udp client(from_netns, from, 0);
  client.send(to, port, "ping");
  Probe probe;
  uint16_t peer_port = 0;
  Ip peer;
  const auto text = server.receive(timeout_ms, &peer_port, &peer);
  probe.arrived = text == "ping";
  if (!probe.arrived) return probe;
  server.send(peer, peer_port, "pong");
  probe.answered = client.receive(timeout_ms) == "pong";
  return probe;
}

bool probe_tcp(int from_netns, const Ip& from, int to_netns, const Ip& to, uint16_t port,
               int timeout_ms) {
  const Fd server = bound_socket(to_netns, to, port, SOCK_STREAM);
  must_zero(::listen(server.get(), 4), "listen");
  const Fd client = bound_socket(from_netns, from, 0, SOCK_STREAM | SOCK_NONBLOCK);
  const Address at = address_of(to, port);
  if (::connect(client.get(), at.get(), at.size) == 0) return true;
  if (!wait_for(client.get(), POLLOUT, timeout_ms)) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0;
}

void send_raw(int netns, const Ip& destination, const std::vector<uint8_t>& packet,
              const std::string& interface) {
  const bool v4 = destination.family() == Family::kV4;
  const Fd fd = must(net::socket_in(netns, v4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_RAW));
  const int on = 1;
  if (!v4) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
               static_cast<socklen_t>(interface.size() + 1));
  const Address at = address_of(destination, 0);
  if (::sendto(fd.get(), packet.data(), packet.size(), 0, at.get(), at.size) < 0)
    throw std::runtime_error(fail_errno("sending a raw packet").error().message);
}

// The lab itself: without a gate everything reaches everything, so that a denial in the other tests
// is the gate's.
TEST(Lab, ConnectsEverythingWithoutAGate) {
  const Lab lab(2);
  const auto& a = lab.pods[0];
  const auto& b = lab.pods[1];
  for (const bool v6 : {false, true}) {
    const auto probe =
        probe_udp(a.netns.get(), v6 ? a.v6 : a.v4, b.netns.get(), v6 ? b.v6 : b.v4, 5000, 2000);
    EXPECT_TRUE(probe.arrived && probe.answered) << v6;
    EXPECT_TRUE(probe_tcp(a.netns.get(), v6 ? a.v6 : a.v4, lab.outside.netns.get(),
                          v6 ? lab.outside.v6 : lab.outside.v4, 80, 2000))
        << v6;
    EXPECT_TRUE(probe_tcp(a.netns.get(), v6 ? a.v6 : a.v4, lab.node.get(),
                          v6 ? lab.node6 : lab.node4, 9090, 2000))
        << v6;
    EXPECT_TRUE(probe_tcp(lab.node.get(), v6 ? lab.node6 : lab.node4, b.netns.get(),
                          v6 ? b.v6 : b.v4, 8080, 2000))
        << v6;
  }
}

}  // namespace sallyport::gate
