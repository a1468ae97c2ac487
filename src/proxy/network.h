// The system calls about addresses that tests replace, so that pairs of proxies run on loopback.
#pragma once

#include <optional>

#include "base/result.h"
#include "proxy/address.h"

namespace sallyport::proxy {

class Network {
 public:
  virtual ~Network() = default;
  // Where the client of an accepted, redirected connection wanted to go.
  [[nodiscard]] virtual Result<SocketAddress> original_destination(int fd, Family family) const = 0;
  [[nodiscard]] virtual Result<SocketAddress> peer(int fd) const = 0;
  // Begins to connect a non-blocking socket, bound to `from` with any port first where it is given.
  [[nodiscard]] virtual Status connect(int fd, const std::optional<Ip>& from,
                                       const SocketAddress& to) const = 0;
};

class KernelNetwork final : public Network {
 public:
  [[nodiscard]] Result<SocketAddress> original_destination(int fd, Family family) const override;
  [[nodiscard]] Result<SocketAddress> peer(int fd) const override;
  [[nodiscard]] Status connect(int fd, const std::optional<Ip>& from,
                               const SocketAddress& to) const override;
};

}  // namespace sallyport::proxy
