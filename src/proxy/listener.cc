#include "proxy/listener.h"

#include "proxy/worker.h"

namespace sallyport::proxy {

Listener::Listener(Worker& worker, Pod& pod, Acceptor acceptor, Direction direction, Family family)
    : worker_(worker),
      pod_(pod),
      acceptor_(std::move(acceptor)),
      direction_(direction),
      family_(family) {}

Listener::~Listener() {
  if (started_) worker_.loop().remove(acceptor_.fd(), *this);
}

Status Listener::start(bool exclusive) {
  if (started_) return {};
  SP_CHECK_OK(
      worker_.loop().add(acceptor_.fd(), EPOLLIN | (exclusive ? EPOLLEXCLUSIVE : 0), *this));
  started_ = true;
  return {};
}

void Listener::on_io(uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    Fd socket = acceptor_.accept();
    if (!socket) return;
    worker_.accepted(pod_, std::move(socket), direction_, family_);
  }
}

}  // namespace sallyport::proxy
