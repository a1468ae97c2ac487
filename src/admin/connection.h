// One client of the control socket: its input up to the next line, its bounded output, and what the
// current request wants to be told. Internal to this module.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/server.h"
#include "base/fd.h"

namespace sallyport::admin {

class Connection {
 public:
  // Events carry `id`, which is never used again, unlike a descriptor.
  Connection(Fd socket, uint64_t id, int epoll, const Server::Limits& limits);

  // Reads once. False where the client said something that cannot be a request: the error is in the
  // output already and the connection closes when it has gone out.
  bool read();
  [[nodiscard]] std::optional<std::string> take_line();
  [[nodiscard]] std::vector<Fd> take_fds() { return std::move(in_fds_); }

  // A line without its newline. Over the limit, the rest of the output gives way to an error.
  void enqueue(std::string line, std::vector<Fd> fds = {});
  void offer_lost_count();  // writes {"lost":N} where there is something to report and room for it
  void flush();
  void close_when_flushed(std::string_view error);
  void close_after_output();
  void update_interest();
  void gone();  // the server lets go of it

  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] size_t pending() const { return pending_; }
  // Nothing more is taken from the client, and nothing more than what waits is sent.
  [[nodiscard]] bool closing() const { return closing_; }
  [[nodiscard]] bool finished() const { return broken_ || (closing_ && out_.empty()); }
  [[nodiscard]] bool at_end() const { return at_end_; }
  [[nodiscard]] const Server::Limits& limits() const { return limits_; }

  bool busy = false;  // a request is being answered
  uint64_t lost = 0;  // records left out and not yet reported
  std::function<void()> on_close;
  std::function<void()> on_drain;

 private:
  struct Output {
    std::string bytes;
    size_t sent = 0;
    std::vector<Fd> fds;
  };

  [[nodiscard]] bool has_line() const { return in_.find('\n') != std::string::npos; }
  bool take_control(msghdr& message);
  void break_off();
  [[nodiscard]] ssize_t send_front(Output& item) const;

  Fd socket_;
  uint64_t id_;
  int epoll_;
  Server::Limits limits_;
  uint32_t interest_ = 0;
  std::string in_;
  std::vector<Fd> in_fds_;
  std::deque<Output> out_;
  size_t pending_ = 0;
  bool at_end_ = false;
  bool broken_ = false;
  bool closing_ = false;
};

}  // namespace sallyport::admin
