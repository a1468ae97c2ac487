// Accepts connections without spinning when descriptors run out.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace sallyport {

// Owns a listening socket and one spare descriptor. When the process has no descriptor left, a
// waiting connection is accepted on the spare one and closed at once, so that a level-triggered
// loop goes on instead of seeing the same connection forever.
class Acceptor {
 public:
  Acceptor() = default;
  static Result<Acceptor> adopt(Fd listening);  // sets non-blocking mode and close-on-exec

  [[nodiscard]] int fd() const { return listening_.get(); }
  // The next connection (non-blocking, close-on-exec), or an empty Fd where none waits.
  Fd accept();

 private:
  Fd listening_;
  Fd spare_;
};

}  // namespace sallyport
