// What a worker keeps for as long as a downstream connection lives: its first stage, a TCP relay,
// or an HTTP session. Sessions are told of new snapshots, so that they judge again.
#pragma once

#include <cstdint>

#include "proxy/event_loop.h"

namespace sallyport::proxy {

class Worker;
struct Pod;

enum class Direction : uint8_t { kInbound, kOutbound };

// Ends itself with close(): it leaves the worker's list and dies when the turn ends.
class Session : public Retired {
 public:
  Session(Worker& worker, Pod& pod, Direction direction);
  ~Session() override;

  // worker().snapshot() is new: what is no longer allowed must end now.
  virtual void on_snapshot() = 0;
  // The pod goes away, or the process ends: cut.
  virtual void on_cut() = 0;
  // No new requests on this connection; what runs may end (a certificate that expires).
  virtual void on_drain() {}

  [[nodiscard]] Pod& pod() const { return pod_; }
  [[nodiscard]] Direction direction() const { return direction_; }

 protected:
  [[nodiscard]] Worker& worker() const { return worker_; }
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  friend class Worker;
  Worker& worker_;
  Pod& pod_;
  Session* next_ = nullptr;
  Session** link_ = nullptr;
  Direction direction_;
  bool closed_ = false;
};

}  // namespace sallyport::proxy
