#include "proxy/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "proxy/worker.h"

namespace sallyport::proxy {

Listener::Listener(Worker& worker, Pod& pod, Fd socket, Direction direction, Family family)
    : worker_(worker),
      pod_(pod),
      socket_(std::move(socket)),
      direction_(direction),
      family_(family) {}

Listener::~Listener() {
  if (started_) worker_.loop().remove(socket_.get(), *this);
}

Status Listener::start(bool exclusive) {
  if (started_) return {};
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("a listener's flags");
  spare_ = Fd(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3));
  SP_CHECK_OK(worker_.loop().add(socket_.get(), EPOLLIN | (exclusive ? EPOLLEXCLUSIVE : 0), *this));
  started_ = true;
  return {};
}

Fd Listener::accept() {
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  Fd socket(::accept4(socket_.get(), nullptr, nullptr, kFlags));
  if (socket || (errno != EMFILE && errno != ENFILE)) return socket;
  spare_.reset();
  Fd(::accept4(socket_.get(), nullptr, nullptr, kFlags)).reset();
  spare_ = Fd(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3));
  worker_.counters().add(http::Counter::kConnections);
  return {};
}

void Listener::on_io(uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    Fd socket = accept();
    if (!socket) return;
    worker_.accepted(pod_, std::move(socket), direction_, family_);
  }
}

}  // namespace sallyport::proxy
