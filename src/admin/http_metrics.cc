#include "admin/http_metrics.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace sallyport::admin {
namespace {

constexpr uint64_t kTimer = 0;

// The end of the request's head, or npos.
size_t head_end(std::string_view text) {
  const size_t strict = text.find("\r\n\r\n");
  const size_t loose = text.find("\n\n");
  return strict < loose ? strict : loose;
}

struct Request {
  std::string method, path;
  bool valid = false;
};

Request parse_request(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  Request request;
  if (first == std::string_view::npos || first == 0 || last <= first + 1) return request;
  request.method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  request.path = target.substr(0, target.find('?'));
  request.valid = line.substr(last + 1).starts_with("HTTP/1.") && target.starts_with('/') &&
                  target.find(' ') == std::string_view::npos;
  return request;
}

std::string response(std::string_view status, std::string_view type, const std::string& body,
                     bool with_body, std::string_view extra = "") {
  std::string text = "HTTP/1.1 ";
  text.append(status).append("\r\nContent-Type: ").append(type);
  text.append("\r\nContent-Length: ").append(std::to_string(body.size()));
  text.append("\r\nConnection: close\r\n").append(extra).append("\r\n");
  if (with_body) text.append(body);
  return text;
}

}  // namespace

struct HttpMetrics::Client {
  Fd socket;
  Monotonic deadline;
  std::string in;
  std::string out;
  size_t sent = 0;
  bool answered = false;
};

HttpMetrics::HttpMetrics(std::function<std::string()> metrics, std::function<Status()> health)
    : HttpMetrics(std::move(metrics), std::move(health), Limits{}) {}

HttpMetrics::HttpMetrics(std::function<std::string()> metrics, std::function<Status()> health,
                         Limits limits, const Clock* clock)
    : metrics_(std::move(metrics)),
      health_(std::move(health)),
      limits_(limits),
      clock_(clock != nullptr ? clock : &system_clock_),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}

HttpMetrics::~HttpMetrics() = default;

Status HttpMetrics::watch(int fd, uint64_t id, uint32_t events, int how) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), how, fd, &event) != 0) return fail_errno("epoll_ctl");
  return {};
}

Status HttpMetrics::add_listener(Fd listening) {
  if (!epoll_ || !timer_) return fail_errno("epoll_create1 or timerfd_create", EMFILE);
  if (acceptors_.empty()) SP_CHECK_OK(watch(timer_.get(), kTimer, EPOLLIN, EPOLL_CTL_ADD));
  SP_TRY(Acceptor acceptor, Acceptor::adopt(std::move(listening)));
  const uint64_t id = next_id_++;
  SP_CHECK_OK(watch(acceptor.fd(), id, EPOLLIN, EPOLL_CTL_ADD));
  acceptors_.emplace(id, std::move(acceptor));
  return {};
}

void HttpMetrics::dispatch() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t id = events[static_cast<size_t>(i)].data.u64;
    if (id == kTimer) {
      uint64_t ticks = 0;
      [[maybe_unused]] const ssize_t got = ::read(timer_.get(), &ticks, sizeof(ticks));
    } else if (auto acceptor = acceptors_.find(id); acceptor != acceptors_.end()) {
      accept_clients(acceptor->second);
    } else if (auto client = clients_.find(id); client != clients_.end()) {
      if (!serve(id, *client->second)) clients_.erase(client);
    }
  }
  expire();
  arm_timer();
}

void HttpMetrics::accept_clients(Acceptor& acceptor) {
  for (int i = 0; i < 16; ++i) {
    Fd socket = acceptor.accept();
    if (!socket) return;
    // Someone who holds connections open must not keep Prometheus out: the oldest one goes.
    while (clients_.size() >= limits_.clients && !clients_.empty())
      clients_.erase(clients_.begin());
    auto client = std::make_unique<Client>();
    client->socket = std::move(socket);
    client->deadline = clock_->now() + std::chrono::seconds(limits_.seconds);
    const uint64_t id = next_id_++;
    if (watch(client->socket.get(), id, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD))
      clients_.emplace(id, std::move(client));
  }
}

bool HttpMetrics::serve(uint64_t id, Client& client) {
  if (!client.answered) {
    std::array<char, 4096> chunk;
    const ssize_t got = ::recv(client.socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    client.in.append(chunk.data(), static_cast<size_t>(got));
    respond(client);
    if (!client.answered) return true;
    client.in.clear();
  }
  if (client.sent < client.out.size()) return send_some(id, client);
  // What still comes (a body) is read and dropped until the client closes: closing first would
  // reset the connection, perhaps before the client has read the answer.
  std::array<char, 4096> rest;
  const ssize_t got = ::recv(client.socket.get(), rest.data(), rest.size(), MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool HttpMetrics::send_some(uint64_t id, Client& client) {
  while (client.sent < client.out.size()) {
    const ssize_t sent = ::send(client.socket.get(), client.out.data() + client.sent,
                                client.out.size() - client.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      // Only writable counts now: an end of input would be seen again and again.
      return errno == EAGAIN && watch(client.socket.get(), id, EPOLLOUT, EPOLL_CTL_MOD).has_value();
    }
    client.sent += static_cast<size_t>(sent);
  }
  ::shutdown(client.socket.get(), SHUT_WR);
  return watch(client.socket.get(), id, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD).has_value();
}

void HttpMetrics::respond(Client& client) {
  constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  const size_t end = head_end(client.in);
  if ((end == std::string::npos ? client.in.size() : end) > limits_.head_bytes) {
    client.out = response("431 Request Header Fields Too Large", kPlain, "too large\n", true);
  } else if (end == std::string::npos) {
    return;
  } else {
    const Request request = parse_request(std::string_view(client.in).substr(0, end));
    const bool head = request.method == "HEAD";
    if (!request.valid) {
      client.out = response("400 Bad Request", kPlain, "bad request\n", true);
    } else if (request.method != "GET" && !head) {
      client.out = response("405 Method Not Allowed", kPlain, "expected GET\n", true,
                            "Allow: GET, HEAD\r\n");
    } else if (request.path == "/metrics") {
      client.out =
          response("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics_(), !head);
    } else if (request.path == "/healthz") {
      const Status health = health_();
      client.out = health ? response("200 OK", kPlain, "ok\n", !head)
                          : response("503 Service Unavailable", kPlain,
                                     health.error().message + "\n", !head);
    } else {
      client.out = response("404 Not Found", kPlain, "expected /metrics or /healthz\n", !head);
    }
  }
  client.answered = true;
}

void HttpMetrics::expire() {
  // In the order of their ids, deadlines only grow.
  const Monotonic now = clock_->now();
  while (!clients_.empty() && clients_.begin()->second->deadline <= now)
    clients_.erase(clients_.begin());
}

void HttpMetrics::arm_timer() {
  const bool wanted = !clients_.empty();
  if (wanted == timer_armed_) return;
  itimerspec spec{};
  if (wanted) spec.it_value.tv_sec = spec.it_interval.tv_sec = 1;
  if (::timerfd_settime(timer_.get(), 0, &spec, nullptr) == 0) timer_armed_ = wanted;
}

}  // namespace sallyport::admin
