// DNS over TCP (RFC 7766) on one or both families. Internal to this module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "base/acceptor.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "dns/server.h"

namespace sallyport::dns {

class TcpServer {
 public:
  struct Limits {
    size_t clients = 128;     // one more replaces the oldest
    size_t per_address = 16;  // one more is closed at once
    int idle_seconds = 10;    // without a whole query
  };
  explicit TcpServer(const Clock& clock);
  TcpServer(const Clock& clock, Limits limits);
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;
  ~TcpServer();

  Status listen(Family family, uint16_t port);

  [[nodiscard]] int poll_fd() const { return epoll_.get(); }
  void dispatch(const Zone& zone);  // what waits
  void expire();                    // closes clients whose time is over; call about every second
  [[nodiscard]] size_t clients() const { return clients_.size(); }

 private:
  struct Client;
  using Clients = std::map<uint64_t, std::unique_ptr<Client>>;

  void accept_clients(Acceptor& acceptor);
  bool serve(uint64_t id, Client& client, const Zone& zone);  // false: it is over
  bool answer_queries(Client& client, const Zone& zone);
  bool flush(uint64_t id, Client& client);
  Status watch(int fd, uint64_t id, uint32_t events, int how) const;
  void close(Clients::iterator client);

  const Clock& clock_;
  Limits limits_;
  Fd epoll_;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Acceptor> acceptors_;
  Clients clients_;  // the oldest first
  std::map<Ip, size_t> per_address_;
};

}  // namespace sallyport::dns
