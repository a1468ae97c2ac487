// A listening socket inside a pod's network namespace, as the node handed it over.
#pragma once

#include "base/acceptor.h"
#include "base/ip.h"
#include "proxy/event_loop.h"
#include "proxy/session.h"

namespace sallyport::proxy {

class Listener final : private IoHandler {
 public:
  Listener(Worker& worker, Pod& pod, Acceptor acceptor, Direction direction, Family family);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Until then connections wait in the kernel's queue: nothing is decided without configuration and
  // certificate. `exclusive`: other workers listen on the same socket.
  Status start(bool exclusive);
  [[nodiscard]] bool started() const { return started_; }

 private:
  void on_io(uint32_t events) override;

  static constexpr int kAcceptsPerTurn = 16;

  Worker& worker_;
  Pod& pod_;
  Acceptor acceptor_;
  Direction direction_;
  Family family_;
  bool started_ = false;
};

}  // namespace sallyport::proxy
