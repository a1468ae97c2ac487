// The echo server itself: one thread, epoll, everything bounded.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::node {

// What a client sent so far, and what it is to get.
class EchoConversation {
 public:
  // `about`: the body of an HTTP response.
  explicit EchoConversation(std::string about) : about_(std::move(about)) {}

  // Takes what arrived and returns what is to be sent. A text that begins as a request of HTTP/1 is
  // gathered until its empty line (at most 8 KiB) and then answered; all else is sent back as it
  // is.
  std::string take(std::string_view data);
  [[nodiscard]] bool finished() const { return finished_; }  // close after sending

 private:
  enum class Kind { kUnknown, kHttp, kEcho };
  std::string about_;
  std::string request_;
  Kind kind_ = Kind::kUnknown;
  bool finished_ = false;
};

class EchoServer {
 public:
  struct Limits {
    size_t connections = 512;
    std::chrono::milliseconds idle{60'000};
  };
  // Listens on every port in the caller's namespace. `stop`: readable when it is to end.
  static Result<std::unique_ptr<EchoServer>> open(const std::vector<uint16_t>& ports, int stop,
                                                  const Limits& limits);
  static Result<std::unique_ptr<EchoServer>> open(const std::vector<uint16_t>& ports, int stop) {
    return open(ports, stop, Limits{});
  }
  ~EchoServer() = default;
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  Status run();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Connection {
    Fd fd;
    EchoConversation conversation;
    std::string unsent;  // while there is some, nothing is read: the client's own pace bounds it
    Time last;
  };
  using Connections = std::list<Connection>;  // the one idle longest is first

  EchoServer(int stop, const Limits& limits) : stop_(stop), limits_(limits) {}
  Status watch(int fd, uint32_t events);
  void accept_all(int listener);
  void answer_datagrams(int fd);
  void serve(Connections::iterator connection);
  void drop(Connections::iterator connection);
  void drop_idle();

  int stop_;
  Limits limits_;
  Fd epoll_;
  std::vector<Fd> listeners_, datagrams_;
  Connections connections_;
  std::map<int, Connections::iterator> by_fd_;
};

}  // namespace sallyport::node
