// The node's control socket: a Unix socket that only root may use. One request is one JSON line
// with a string member "op", perhaps with descriptors (SCM_RIGHTS); the answer is lines
//
//   {"record": VALUE}           any number of them, perhaps with descriptors
//   {"lost": N}                 N records were not kept, because the client reads too slowly
//   {"done": true, "exit": N}   or {"error": "TEXT"}: the last one
//
// after which the connection takes the next request. The server runs on the node's only thread and
// is never blocked by a client: output is kept in a bounded buffer for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/acceptor.h"
#include "base/fd.h"
#include "base/result.h"
#include "codec/value.h"

namespace sallyport::admin {

class Connection;

// One request. The handler keeps it as long as it has more to say; a session that is let go without
// finish() or fail() is answered with an error, so that no client waits forever.
class Session {
 public:
  explicit Session(std::shared_ptr<Connection> connection);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // A record that must arrive. A client that lets more than Limits::output_bytes pile up is cut
  // off.
  void send(const codec::Value& record);
  void send_with_fds(const codec::Value& record, std::vector<Fd> fds);
  // A record of a stream (followers): left out, and counted, while more than Limits::offer_bytes
  // wait for the client. False where it was left out.
  bool offer(const codec::Value& record);

  void finish(int exit_code);           // the last line; later calls do nothing
  void fail(std::string_view message);  // likewise

  // The descriptors that came with the request.
  std::vector<Fd> take_fds();
  // Called once, from dispatch(), when the client goes away (or is cut off) before finish() or
  // fail(). A callback may hold its own session: it is let go when the session ends.
  void on_close(std::function<void()> callback);
  // Called from dispatch() whenever nothing waits for the client, until the session ends: for long
  // answers in portions. Each call should send something or end the session.
  void on_drain(std::function<void()> callback);
  [[nodiscard]] bool closed() const;  // finished, failed, or the client has gone
  [[nodiscard]] size_t pending_bytes() const;

 private:
  void end(std::string line);

  std::shared_ptr<Connection> connection_;  // null when closed
  std::vector<Fd> fds_;
};

class Server {
 public:
  struct Limits {
    size_t request_bytes = 1 << 20;  // of one request line
    size_t output_bytes = 32 << 20;  // waiting for one client
    size_t offer_bytes = 1 << 20;    // from here on, offer() leaves records out
    size_t clients = 64;
    size_t fds = 8;  // with one request
  };
  using Handler = std::function<void(std::shared_ptr<Session>, const codec::Value& request)>;

  Server();
  explicit Server(Limits limits);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // closes all clients and removes the socket

  // Makes the socket with mode 0600. A socket file that nobody listens on any more (its node was
  // killed) is replaced; kConflict where another process listens.
  Status listen(const std::string& path);
  void handle(std::string op, Handler handler);

  // Readable when dispatch() has something to do; for the node's poll or epoll.
  [[nodiscard]] int poll_fd() const { return epoll_.get(); }
  void dispatch();
  [[nodiscard]] size_t clients() const { return connections_.size(); }

 private:
  void accept_clients();
  void serve(const std::shared_ptr<Connection>& connection, uint32_t events);
  void take_requests(const std::shared_ptr<Connection>& connection);
  void handle_line(const std::shared_ptr<Connection>& connection, std::string_view line);
  void close_client(const std::shared_ptr<Connection>& connection);

  Limits limits_;
  Fd epoll_;
  Acceptor acceptor_;
  std::string path_;
  uint64_t socket_inode_ = 0;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::map<std::string, Handler> handlers_;
};

}  // namespace sallyport::admin
