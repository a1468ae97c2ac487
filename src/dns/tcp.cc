#include "dns/tcp.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "dns/socket.h"

namespace sallyport::dns {
namespace {

constexpr size_t kLongest = 4096;         // of a query
constexpr size_t kMuchOutput = 64 << 10;  // from here on, no more queries are read

}  // namespace

struct TcpServer::Client {
  Fd socket;
  Ip address;
  Monotonic deadline;
  std::string in;
  std::string out;
  size_t sent = 0;
  bool at_end = false;
  uint32_t events = EPOLLIN;

  // The length of the query at `at`; nothing where its two bytes have not come.
  [[nodiscard]] std::optional<size_t> query_length(size_t at) const {
    if (in.size() - at < 2) return std::nullopt;
    return static_cast<size_t>(static_cast<uint8_t>(in[at])) << 8 |
           static_cast<uint8_t>(in[at + 1]);
  }
  [[nodiscard]] bool has_query() const {
    const auto length = query_length(0);
    return length && in.size() >= 2 + *length;
  }
};

TcpServer::TcpServer(const Clock& clock) : TcpServer(clock, Limits{}) {}

TcpServer::TcpServer(const Clock& clock, Limits limits)
    : clock_(clock), limits_(limits), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

TcpServer::~TcpServer() = default;

Status TcpServer::watch(int fd, uint64_t id, uint32_t events, int how) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), how, fd, &event) != 0) return fail_errno("epoll_ctl");
  return {};
}

Status TcpServer::listen(Family family, uint16_t port) {
  if (!epoll_) return fail_errno("epoll_create1", EMFILE);
  SP_TRY(Fd socket, bound_socket(family, SOCK_STREAM, port));
  if (::listen(socket.get(), 128) != 0) return fail_errno("listen");
  SP_TRY(Acceptor acceptor, Acceptor::adopt(std::move(socket)));
  const uint64_t id = next_id_++;
  SP_CHECK_OK(watch(acceptor.fd(), id, EPOLLIN, EPOLL_CTL_ADD));
  acceptors_.emplace(id, std::move(acceptor));
  return {};
}

void TcpServer::dispatch(const Zone& zone) {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t id = events[static_cast<size_t>(i)].data.u64;
    if (auto acceptor = acceptors_.find(id); acceptor != acceptors_.end()) {
      accept_clients(acceptor->second);
    } else if (auto client = clients_.find(id); client != clients_.end()) {
      if (!serve(id, *client->second, zone)) close(client);
    }
  }
}

void TcpServer::accept_clients(Acceptor& acceptor) {
  for (int i = 0; i < 16; ++i) {
    Fd socket = acceptor.accept();
    if (!socket) return;
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
    const Ip address = peer_address(peer);
    // One pod must not take the places of all others.
    auto held = per_address_.find(address);
    if (held != per_address_.end() && held->second >= limits_.per_address) continue;
    while (clients_.size() >= limits_.clients && !clients_.empty()) close(clients_.begin());
    auto client = std::make_unique<Client>();
    client->socket = std::move(socket);
    client->address = address;
    client->deadline = clock_.now() + std::chrono::seconds(limits_.idle_seconds);
    const uint64_t id = next_id_++;
    if (!watch(client->socket.get(), id, EPOLLIN, EPOLL_CTL_ADD)) continue;
    clients_.emplace(id, std::move(client));
    ++per_address_[address];
  }
}

bool TcpServer::serve(uint64_t id, Client& client, const Zone& zone) {
  if ((client.events & EPOLLIN) != 0) {
    std::array<char, 8192> chunk;
    const ssize_t got = ::recv(client.socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (got == 0) client.at_end = true;
    if (got > 0) client.in.append(chunk.data(), static_cast<size_t>(got));
  }
  return answer_queries(client, zone) && flush(id, client);
}

bool TcpServer::answer_queries(Client& client, const Zone& zone) {
  size_t at = 0;
  while (client.out.size() - client.sent < kMuchOutput) {
    const auto found = client.query_length(at);
    if (!found) break;
    const size_t length = *found;
    if (length == 0 || length > kLongest) return false;
    if (client.in.size() - at < 2 + length) break;
    const auto* query = reinterpret_cast<const uint8_t*>(client.in.data()) + at + 2;
    const std::vector<uint8_t> reply = answer(zone, {query, length}, kTcpSize);
    // On a stream, whoever sends what deserves no answer is not a resolver.
    if (reply.empty()) return false;
    client.out += static_cast<char>(reply.size() >> 8);
    client.out += static_cast<char>(reply.size() & 0xff);
    client.out.append(reply.begin(), reply.end());
    client.deadline = clock_.now() + std::chrono::seconds(limits_.idle_seconds);
    at += 2 + length;
  }
  client.in.erase(0, at);
  return true;
}

bool TcpServer::flush(uint64_t id, Client& client) {
  while (client.sent < client.out.size()) {
    const ssize_t sent = ::send(client.socket.get(), client.out.data() + client.sent,
                                client.out.size() - client.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      break;
    }
    client.sent += static_cast<size_t>(sent);
  }
  client.out.erase(0, client.sent);
  client.sent = 0;
  const bool idle = client.out.empty() && !client.has_query();
  if (idle && client.at_end) return false;
  // While answers wait, nothing more is read: a client that does not read them cannot make us
  // keep more. Queries that are here already are answered when there is room again.
  const uint32_t wanted = idle ? EPOLLIN : EPOLLOUT;
  if (wanted == client.events) return true;
  client.events = wanted;
  return watch(client.socket.get(), id, wanted, EPOLL_CTL_MOD).has_value();
}

void TcpServer::expire() {
  const Monotonic now = clock_.now();
  for (auto client = clients_.begin(); client != clients_.end();) {
    auto next = std::next(client);
    if (client->second->deadline <= now) close(client);
    client = next;
  }
}

void TcpServer::close(Clients::iterator client) {
  auto held = per_address_.find(client->second->address);
  if (--held->second == 0) per_address_.erase(held);
  clients_.erase(client);
}

}  // namespace sallyport::dns
