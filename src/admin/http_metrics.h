// GET /metrics and /healthz over HTTP/1.1 on given listening sockets (made inside the node's
// network namespace). Anyone may connect, so everything is bounded: clients (one more replaces the
// oldest), head size, and time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/acceptor.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace sallyport::admin {

class HttpMetrics {
 public:
  struct Limits {
    size_t clients = 32;
    size_t head_bytes = 8 << 10;
    int seconds = 10;  // for one connection, from accept to the last byte of the answer
  };
  // `metrics` returns the Prometheus text; `health` an error where the node is not well (503).
  HttpMetrics(std::function<std::string()> metrics, std::function<Status()> health);
  HttpMetrics(std::function<std::string()> metrics, std::function<Status()> health, Limits limits,
              const Clock* clock = nullptr);
  HttpMetrics(const HttpMetrics&) = delete;
  HttpMetrics& operator=(const HttpMetrics&) = delete;
  ~HttpMetrics();

  Status add_listener(Fd listening);  // non-blocking mode is set here

  // Readable when dispatch() has something to do (also when a client's time is over).
  [[nodiscard]] int poll_fd() const { return epoll_.get(); }
  void dispatch();
  [[nodiscard]] size_t clients() const { return clients_.size(); }

 private:
  struct Client;
  Status watch(int fd, uint64_t id, uint32_t events, int how);
  void accept_clients(Acceptor& acceptor);
  bool serve(uint64_t id, Client& client);  // false: it is over
  bool send_some(uint64_t id, Client& client);
  void respond(Client& client);
  void expire();
  void arm_timer();

  std::function<std::string()> metrics_;
  std::function<Status()> health_;
  Limits limits_;
  SystemClock system_clock_;
  const Clock* clock_;
  Fd epoll_;
  Fd timer_;
  bool timer_armed_ = false;
  uint64_t next_id_ = 1;  // 0 is the timer
  std::map<uint64_t, Acceptor> acceptors_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;  // the oldest first
};

}  // namespace sallyport::admin
