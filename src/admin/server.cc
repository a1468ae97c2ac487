#include "admin/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "admin/connection.h"
#include "admin/unix_socket.h"
#include "base/strings.h"
#include "codec/json.h"

namespace sallyport::admin {
namespace {

constexpr uint64_t kListener = 0;  // in events; clients count from 1

// Only root may ask: the mode of the file keeps others out, and this holds where it was changed.
bool is_root(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0;
}

void turn_away(int socket, std::string_view why) {
  const std::string line = "{\"error\":" + codec::quote_json(why) + "}\n";
  // A new socket has room for one line; where it has not, the client only sees the end.
  [[maybe_unused]] const ssize_t sent =
      ::send(socket, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Server::Server() : Server(Limits{}) {}

Server::Server(Limits limits) : limits_(limits) {}

Server::~Server() {
  while (!connections_.empty()) close_client(std::shared_ptr(connections_.begin()->second));
  if (!path_.empty()) unlink_if_same(path_, socket_inode_);
}

Status Server::listen(const std::string& path) {
  if (epoll_) return fail(Code::kInvalid, "the control socket listens already at " + path_);
  SP_TRY(UnixListener listener, listen_unix(path));
  const uint64_t inode = listener.inode;
  auto set_up = [&]() -> Status {
    SP_TRY(acceptor_, Acceptor::adopt(std::move(listener.fd)));
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return fail_errno("epoll_create1");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kListener;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, acceptor_.fd(), &event) != 0)
      return fail_errno("epoll_ctl");
    return {};
  };
  if (Status status = set_up(); !status) {
    unlink_if_same(path, inode);
    return status;
  }
  path_ = path;
  socket_inode_ = inode;
  return {};
}

void Server::handle(std::string op, Handler handler) {
  handlers_[std::move(op)] = std::move(handler);
}

void Server::dispatch() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    const uint64_t id = event.data.u64;
    if (id == kListener) {
      accept_clients();
      continue;
    }
    auto found = connections_.find(id);
    if (found != connections_.end()) serve(std::shared_ptr(found->second), event.events);
  }
}

void Server::accept_clients() {
  for (int i = 0; i < 16; ++i) {
    Fd socket = acceptor_.accept();
    if (!socket) return;
    if (!is_root(socket.get())) {
      turn_away(socket.get(), "only root may use this socket");
      continue;
    }
    if (connections_.size() >= limits_.clients) {
      turn_away(socket.get(), "the node serves " + std::to_string(limits_.clients) +
                                  " clients already; expected one of them to end first");
      continue;
    }
    const uint64_t id = next_id_++;
    connections_[id] = std::make_shared<Connection>(std::move(socket), id, epoll_.get(), limits_);
  }
}

void Server::serve(const std::shared_ptr<Connection>& connection, uint32_t events) {
  const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
  const bool half = (events & EPOLLRDHUP) != 0;
  if (!connection->busy && !connection->closing() && ((events & EPOLLIN) != 0 || half || hung_up))
    connection->read();
  take_requests(connection);

  if ((events & EPOLLOUT) != 0) {
    connection->flush();
    connection->offer_lost_count();
    // A copy, as the callback may end the session, which lets go of the original.
    const auto drain = connection->on_drain;
    if (drain && connection->pending() == 0 && !connection->closing()) drain();
    take_requests(connection);
  }

  if (connection->finished() || hung_up || (connection->busy && half && !connection->closing())) {
    close_client(connection);
    return;
  }
  if (connection->closing()) {
    // Cut off: whoever answers is told now, the last line may still go out.
    connection->busy = false;
    connection->on_drain = nullptr;
    const auto callback = std::exchange(connection->on_close, nullptr);
    if (callback) callback();
  } else if (connection->at_end()) {
    if (connection->pending() == 0) {
      close_client(connection);
      return;
    }
    connection->close_after_output();
  }
  connection->update_interest();
}

void Server::take_requests(const std::shared_ptr<Connection>& connection) {
  // A few at a time, so that one client with many requests does not hold up the others.
  for (int i = 0; i < 16 && !connection->busy && !connection->closing(); ++i) {
    const std::optional<std::string> line = connection->take_line();
    if (!line) return;
    handle_line(connection, *line);
  }
}

void Server::handle_line(const std::shared_ptr<Connection>& connection, std::string_view line) {
  auto request = codec::parse_json(line, limits_.request_bytes);
  if (!request) {
    connection->close_when_flushed("the request is not one line of JSON: " +
                                   request.error().message);
    return;
  }
  auto session = std::make_shared<Session>(connection);
  const codec::Value& op = (*request)["op"];
  auto found = handlers_.find(op.as_string());
  if (!op.is_string()) {
    session->fail("the request has no member \"op\"; expected a string");
  } else if (found == handlers_.end()) {
    std::vector<std::string> known;
    for (const auto& [name, handler] : handlers_) known.push_back(name);
    session->fail("unknown request \"" + op.as_string() + "\"; expected one of " +
                  join(known, ", "));
  } else {
    found->second(std::move(session), *request);
  }
}

void Server::close_client(const std::shared_ptr<Connection>& connection) {
  connections_.erase(connection->id());
  const auto drain = std::exchange(connection->on_drain, nullptr);
  const auto callback = std::exchange(connection->on_close, nullptr);
  connection->gone();
  if (callback) callback();
}

}  // namespace sallyport::admin
