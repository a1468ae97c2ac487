// Two proxies in one process, each with its own worker, joined over loopback: a client speaks to
// proxy A as its application would, A speaks to B, B to an origin. Addresses of pods and Services
// are real ones of the configuration; TestWires maps them onto loopback ports.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "identity/authority.h"
#include "proxy/worker.h"
#include "world/test_world.h"

namespace sallyport::proxy::testing {

inline SocketAddress at(const char* ip, uint16_t port) {
  return {Ip::parse(ip).value(), port};
}

inline Fd tcp_socket() {
  return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
inline void nonblocking(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}
inline uint16_t local_port(int fd) {
  sockaddr_in in{};
  socklen_t size = sizeof in;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size);
  return ntohs(in.sin_port);
}
inline uint16_t peer_port(int fd) {
  sockaddr_in in{};
  socklen_t size = sizeof in;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&in), &size);
  return ntohs(in.sin_port);
}
inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return in;
}
inline Fd listen_on_loopback() {
  Fd fd = tcp_socket();
  sockaddr_in in = loopback(0);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
  EXPECT_EQ(::listen(fd.get(), 512), 0);
  return fd;
}

// What the kernel knows of a redirected connection, kept by the connecting side's port.
class TestWires {
 public:
  struct Known {
    Ip source;
    SocketAddress destination;
  };
  void know(uint16_t port, Known known) {
    std::lock_guard lock(mutex_);
    known_[port] = known;
  }
  Known of(uint16_t port) {
    std::lock_guard lock(mutex_);
    return known_[port];
  }
  // Connections to this address arrive at that loopback port.
  void lead(const SocketAddress& address, uint16_t port, bool to_app) {
    std::lock_guard lock(mutex_);
    (to_app ? apps_ : proxies_)[address] = port;
  }
  uint16_t port_of(const SocketAddress& address, bool to_app) {
    std::lock_guard lock(mutex_);
    auto& map = to_app ? apps_ : proxies_;
    auto found = map.find(address);
    return found == map.end() ? 0 : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<uint16_t, Known> known_;
  std::map<SocketAddress, uint16_t> apps_, proxies_;
};

// The network as one pod's proxy sees it.
class TestNetwork final : public Network {
 public:
  TestNetwork(TestWires& wires, const Ip& own) : wires_(wires), own_(own) {}
  Result<SocketAddress> original_destination(int fd, Family) const override {
    return wires_.of(peer_port(fd)).destination;
  }
  Result<SocketAddress> peer(int fd) const override {
    return SocketAddress{wires_.of(peer_port(fd)).source, peer_port(fd)};
  }
  Status connect(int fd, const std::optional<Ip>& from, const SocketAddress& to) const override {
    const uint16_t port = wires_.port_of(to, from.has_value() || to.ip == own_);
    sockaddr_in in = loopback(0);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&in), sizeof in) != 0) return fail_errno("bind");
    wires_.know(local_port(fd), {from.value_or(own_), to});
    in = loopback(port == 0 ? 1 : port);  // port 1: nobody listens
    if (::connect(fd, reinterpret_cast<sockaddr*>(&in), sizeof in) != 0 && errno != EINPROGRESS)
      return fail_errno("connect");
    return {};
  }

 private:
  TestWires& wires_;
  Ip own_;
};

// A worker on a thread of its own that serves one pod.
class TestProxy {
 public:
  TestProxy(TestWires& wires, const Ip& own, const std::string& uid, const http::Limits& limits)
      : network_(wires, own), uid_(uid), limits_(limits) {
    WorkerRequests requests;
    requests.sockets = [this](const std::string& pod, mesh::SocketKind kind, Family family,
                              int count) {
      std::vector<Fd> sockets;
      for (int i = 0; i < count; ++i) {
        sockets.push_back(tcp_socket());
        nonblocking(sockets.back());
      }
      worker_->loop().post([this, pod, kind, family, s = std::move(sockets)]() mutable {
        worker_->add_sockets(pod, kind, family, std::move(s));
      });
    };
    worker_ = Worker::create(clock_, network_, limits_, std::move(requests), 42).value();
    Fd outbound = listen_on_loopback(), inbound = listen_on_loopback();
    outbound_port = local_port(outbound.get());
    inbound_port = local_port(inbound.get());
    std::vector<Fd> out, in;
    out.push_back(std::move(outbound));
    in.push_back(std::move(inbound));
    worker_->add_pod(uid_, std::move(out), std::move(in), false);
    thread_ = std::thread([this] { worker_->loop().run(); });
  }
  ~TestProxy() {
    worker_->loop().stop();
    thread_.join();
    worker_.reset();
  }

  // Runs on the worker's thread, and waits for it.
  template <class F>
  auto on_worker(F f) {
    std::packaged_task<decltype(f(*worker_))()> task([this, &f] { return f(*worker_); });
    auto future = task.get_future();
    worker_->loop().post([t = std::move(task)]() mutable { t(); });
    return future.get();
  }
  void set_snapshot(SnapshotPtr snapshot) {
    on_worker([&](Worker& w) {
      w.set_snapshot(snapshot);
      return 0;
    });
  }
  void set_svid(const std::shared_ptr<const SvidData>& svid) {
    on_worker([&](Worker& w) {
      w.set_svid(svid);
      return 0;
    });
  }
  Worker& worker() { return *worker_; }

  uint16_t outbound_port = 0, inbound_port = 0;

 private:
  SystemClock clock_;
  TestNetwork network_;
  std::string uid_;
  http::Limits limits_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

// Namespace "ai", meshed: pods "client" (198.18.0.5) and "server" (198.18.0.6); Service "web"
// (198.19.1.1) with port 80 to 8080 of the server.
class PairTest : public ::testing::Test {
 protected:
  static constexpr const char* kClientIp = "198.18.0.5";
  static constexpr const char* kServerIp = "198.18.0.6";
  static constexpr const char* kServiceIp = "198.19.1.1";

  void SetUp() override {
    directory_ = ::testing::TempDir() + "sallyport-pair-" + std::to_string(::getpid());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
    identity::Authority::Options options;
    options.key_file = directory_ + "/key.pem";
    options.certificate_file = directory_ + "/root.pem";
    options.trust_domain = "cluster.local";
    authority_ = identity::Authority::open(options, clock_).value();

    world_.revision = 1;
    world_.namespaces["ai"] = {{"sallyport.dev/mesh", "enabled"}};
    world_.namespaces["plain"] = {};
    add_pod("ai", "client", kClientIp, {{"app", "client"}});
    add_pod("ai", "server", kServerIp, {{"app", "web"}});
    service_ = world::make_service("ai", "web");
    service_->cluster_ips = {Ip::parse(kServiceIp).value()};
    limits_.sniff_time = std::chrono::milliseconds(50);
  }

  void TearDown() override {
    a_.reset();
    b_.reset();
    std::filesystem::remove_all(directory_);
  }

  world::Endpoint& add_pod(const char* ns, const char* name, const char* ip,
                           const k8s::Labels& labels) {
    world::Endpoint pod = world::make_pod(ns, name, ip, "", labels);
    pod.uid = std::string("uid-") + name;
    pod.service_account = name;
    pods_.push_back(pod);
    return pods_.back();
  }

  mesh::ProxyConfig config(const std::string& local) {
    mesh::ProxyConfig out;
    out.generation = ++generation_;
    out.world = world_;
    out.world.endpoints = pods_;
    out.world.services = {service_};
    out.world.finish();
    out.pod_ranges = {Cidr::parse("198.18.0.0/16").value()};
    out.service_ranges = {Cidr::parse("198.19.0.0/17").value()};
    out.local_pods = {local};
    return out;
  }
  SnapshotPtr snapshot(const std::string& local) { return Snapshot::build(config(local)).value(); }

  std::shared_ptr<const SvidData> svid(const std::string& account,
                                       std::chrono::seconds ttl = std::chrono::hours(1)) {
    auto out = std::make_shared<SvidData>();
    out->id = identity::workload_id("cluster.local", "ai", account);
    const identity::Svid issued = authority_->issue(out->id, ttl, clock_.wall()).value();
    out->credentials = {{issued.certificate_der}, issued.key_der};
    out->not_before = issued.not_before;
    out->not_after = issued.not_after;
    out->roots["cluster.local"] = {authority_->root_der()};
    out->roots_text = "one";
    return out;
  }

  void start() {
    a_ = std::make_unique<TestProxy>(wires_, Ip::parse(kClientIp).value(), "uid-client", limits_);
    b_ = std::make_unique<TestProxy>(wires_, Ip::parse(kServerIp).value(), "uid-server", limits_);
    a_->set_svid(svid("client"));
    b_->set_svid(svid("server"));
    publish();
    // Any port of the server's address arrives at its proxy.
    for (uint16_t port : {8080, 8081, 9000})
      wires_.lead(at(kServerIp, port), b_->inbound_port, false);
  }
  void publish() {
    a_->set_snapshot(snapshot("uid-client"));
    b_->set_snapshot(snapshot("uid-server"));
  }

  // An application of the client pod connects.
  Fd dial(const SocketAddress& destination) {
    return dial_at(a_->outbound_port, at(kClientIp, 0).ip, destination);
  }
  Fd dial_at(uint16_t listener, const Ip& source, const SocketAddress& destination) {
    Fd fd = tcp_socket();
    sockaddr_in in = loopback(0);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    wires_.know(local_port(fd.get()), {source, destination});
    in = loopback(listener);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }

  // The next connection at an origin; it stands for the application's socket.
  static Fd accept_from(const Fd& listener, int wait_ms = 5000) {
    pollfd wait{listener.get(), POLLIN, 0};
    if (::poll(&wait, 1, wait_ms) != 1) return {};
    Fd fd(::accept(listener.get(), nullptr, nullptr));
    timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }

  static void send_all(const Fd& fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  static std::string read_n(const Fd& fd, size_t count) {
    std::string out(count, 0);
    size_t have = 0;
    while (have < count) {
      const ssize_t n = ::recv(fd.get(), out.data() + have, count - have, 0);
      if (n <= 0) break;
      have += static_cast<size_t>(n);
    }
    out.resize(have);
    return out;
  }
  // What recv() says next: 0 for an end, -ECONNRESET for a reset, else how many bytes.
  static int next(const Fd& fd) {
    char buffer[256];
    const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    return n < 0 ? -errno : static_cast<int>(n);
  }

  SystemClock clock_;
  std::string directory_;
  std::unique_ptr<identity::Authority> authority_;
  world::World world_;
  std::vector<world::Endpoint> pods_;
  std::shared_ptr<k8s::Service> service_;
  http::Limits limits_;
  uint64_t generation_ = 0;
  TestWires wires_;
  std::unique_ptr<TestProxy> a_, b_;
};

}  // namespace sallyport::proxy::testing
