#include "proxy/tcp_learned.h"

namespace sallyport::proxy {

void Learned::saw(const SocketAddress& destination, bool client_first, Monotonic now) {
  if (client_first) {
    if (!until_.empty()) until_.erase(destination);
    return;
  }
  // A client that dials many addresses makes this forget, never grow.
  if (until_.size() >= kMost && !until_.contains(destination)) until_.clear();
  until_[destination] = now + kLife;
}

bool Learned::server_first(const SocketAddress& destination, Monotonic now) const {
  if (until_.empty()) return false;
  auto found = until_.find(destination);
  return found != until_.end() && now < found->second;
}

}  // namespace sallyport::proxy
