// Destination ports whose protocol nothing declares and where the server was seen to speak first:
// their connections need not wait for first bytes again.
#pragma once

#include <unordered_map>

#include "base/clock.h"
#include "proxy/address.h"

namespace sallyport::proxy {

class Learned {
 public:
  // `client_first`: the client's bytes came in time.
  void saw(const SocketAddress& destination, bool client_first, Monotonic now);
  [[nodiscard]] bool server_first(const SocketAddress& destination, Monotonic now) const;

 private:
  static constexpr size_t kMost = 4096;
  static constexpr std::chrono::minutes kLife{10};  // then it is tried again
  std::unordered_map<SocketAddress, Monotonic> until_;
};

}  // namespace sallyport::proxy
