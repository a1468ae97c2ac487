// A listening socket inside a pod's network namespace, as the node handed it over.
#pragma once

#include "base/fd.h"
#include "base/ip.h"
#include "proxy/event_loop.h"
#include "proxy/session.h"

namespace sallyport::proxy {

class Listener final : private IoHandler {
 public:
  Listener(Worker& worker, Pod& pod, Fd socket, Direction direction, Family family);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Until then connections wait in the kernel's queue: nothing is decided without configuration and
  // certificate. `exclusive`: other workers listen on the same socket.
  Status start(bool exclusive);
  [[nodiscard]] bool started() const { return started_; }

 private:
  void on_io(uint32_t events) override;
  Fd accept();

  static constexpr int kAcceptsPerTurn = 16;

  Worker& worker_;
  Pod& pod_;
  Fd socket_;
  // Given up for a moment when the process has no descriptor left, so that a waiting connection can
  // be taken and closed instead of waking the loop for ever. The confined process cannot open a
  // file for it.
  Fd spare_;
  Direction direction_;
  Family family_;
  bool started_ = false;
};

}  // namespace sallyport::proxy
