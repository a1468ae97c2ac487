// An origin that speaks HTTP/1.1 plainly, and readers of responses, for tests over two proxies.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proxy/test_pair.h"

namespace sallyport::proxy::testing {

// Text up to and with the empty line; empty: the connection ended before.
inline std::string read_head(const Fd& fd) {
  std::string out;
  char c = 0;
  while (!out.ends_with("\r\n\r\n")) {
    if (::recv(fd.get(), &c, 1, 0) != 1) return {};
    out += c;
  }
  return out;
}
inline std::string header_of(const std::string& head, const std::string& name) {
  const size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const size_t start = at + name.size() + 4;
  return head.substr(start, head.find("\r\n", start) - start);
}
inline std::string read_body(const Fd& fd, const std::string& head) {
  const std::string length = header_of(head, "content-length");
  if (!length.empty()) {
    std::string out(static_cast<size_t>(std::stoul(length)), 0);
    size_t have = 0;
    while (have < out.size()) {
      const ssize_t n = ::recv(fd.get(), out.data() + have, out.size() - have, 0);
      if (n <= 0) break;
      have += static_cast<size_t>(n);
    }
    out.resize(have);
    return out;
  }
  return {};
}

struct Reply {
  std::string head, body;
  [[nodiscard]] int status() const { return head.size() < 12 ? 0 : std::stoi(head.substr(9, 3)); }
};

// Answers every request with "hello" and remembers its head. A thread for each connection.
class TestOrigin {
 public:
  TestOrigin() : listener_(listen_on_loopback()) {
    thread_ = std::thread([this] { run(); });
  }
  ~TestOrigin() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    {
      std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (auto& t : workers_) t.join();
  }
  [[nodiscard]] uint16_t port() const { return local_port(listener_.get()); }
  [[nodiscard]] int connections() const { return connections_; }
  std::vector<std::string> heads() {
    std::lock_guard lock(mutex_);
    return heads_;
  }
  // Ends all connections that are idle, as a server does after its keep-alive time.
  void close_connections() {
    std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }

 private:
  void run() {
    for (;;) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      {
        std::lock_guard lock(mutex_);
        open_.push_back(fd);
      }
      workers_.emplace_back([this, fd] { serve(Fd(fd)); });
    }
  }
  void serve(Fd fd) {
    for (;;) {
      const std::string head = read_head(fd);
      if (head.empty()) break;
      const std::string body = read_body(fd, head);
      {
        std::lock_guard lock(mutex_);
        heads_.push_back(head + body);
      }
      const std::string answer =
          "HTTP/1.1 200 OK\r\nx-envoy-upstream-x: 1\r\nserver: origin\r\ncontent-length: "
          "5\r\n\r\nhello";
      if (::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    }
    std::lock_guard lock(mutex_);
    std::erase(open_, fd.get());
  }

  Fd listener_;
  std::thread thread_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::string> heads_;
  std::atomic<int> connections_{0};
};

class HttpPairTest : public PairTest {
 protected:
  void SetUp() override {
    PairTest::SetUp();
    service_->ports[0].app_protocol = "http";
    lead_to(origin_.port());
  }
  void lead_to(uint16_t port) {
    for (uint16_t p : {8080, 8081, 9000}) wires_.lead(at(kServerIp, p), port, true);
  }
  Reply ask(const Fd& client, const std::string& request) {
    send_all(client, request);
    Reply reply;
    reply.head = read_head(client);
    reply.body = read_body(client, reply.head);
    return reply;
  }
  telemetry::FlowRing& watch(TestProxy& proxy) {
    auto ring = telemetry::FlowRing::create(1024).value();
    Fd copy(::dup(ring->fd().get()));
    auto writer = telemetry::FlowRing::open(std::move(copy)).value();
    proxy.on_worker([&](Worker& w) {
      w.reporting().set_ring(std::move(writer));
      return 0;
    });
    rings_.push_back(std::move(ring));
    return *rings_.back();
  }
  static std::vector<telemetry::FlowRecord> records(telemetry::FlowRing& ring, size_t least) {
    std::vector<telemetry::FlowRecord> out;
    for (int i = 0; i < 500 && out.size() < least; ++i) {
      telemetry::FlowRecord record;
      while (ring.pop(record)) out.push_back(record);
      if (out.size() < least) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return out;
  }
  void policy(k8s::AuthorizationAction action, k8s::AuthorizationRule rule) {
    auto policy = std::make_shared<k8s::AuthorizationPolicy>();
    policy->meta.ns = "ai";
    policy->meta.name = "guard";
    policy->selector = {{"app", "web"}};
    policy->action = action;
    policy->rules.push_back(std::move(rule));
    world_.authorization_policies = {policy};
  }

  TestOrigin origin_;
  std::vector<std::unique_ptr<telemetry::FlowRing>> rings_;
};

inline const std::string kGet = "GET /v1 HTTP/1.1\r\nHost: web.ai:80\r\n\r\n";

}  // namespace sallyport::proxy::testing
