#include "base/acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace sallyport {
namespace {

Fd spare_descriptor() {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Result<Acceptor> Acceptor::adopt(Fd listening) {
  const int flags = ::fcntl(listening.get(), F_GETFL);
  if (flags < 0 || ::fcntl(listening.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(listening.get(), F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno("fcntl on a listening socket");
  Acceptor acceptor;
  acceptor.listening_ = std::move(listening);
  acceptor.spare_ = spare_descriptor();
  if (!acceptor.spare_) return fail_errno("/dev/null");
  return acceptor;
}

Fd Acceptor::accept() {
  // A connection may be reset while it waits; the next one may be good. Bounded, as a peer could go
  // on like that.
  for (int i = 0; i < 16; ++i) {
    Fd client(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client) {
      if (!spare_) spare_ = spare_descriptor();
      return client;
    }
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
    if (errno == EMFILE || errno == ENFILE) {
      spare_.reset();
      Fd refused(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      refused.reset();
      spare_ = spare_descriptor();
    }
    return {};
  }
  return {};
}

}  // namespace sallyport
