// Ready-made sockets inside a pod's network namespace: the node makes them in batches, because only
// it may enter the namespace and mark them.
#pragma once

#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "mesh/channel.h"

namespace sallyport::proxy {

// Waits for a socket; destroying it gives up.
class SocketWaiter {
 public:
  virtual void on_socket(Fd socket) = 0;
  virtual void on_no_socket() = 0;  // the pod is going, or too many wait

 protected:
  SocketWaiter() = default;
  SocketWaiter(const SocketWaiter&) = delete;
  SocketWaiter& operator=(const SocketWaiter&) = delete;
  ~SocketWaiter() { forget(); }
  void forget();

 private:
  friend class SocketStock;
  SocketWaiter* next_waiter_ = nullptr;
  SocketWaiter** link_waiter_ = nullptr;
  SocketWaiter*** tail_waiter_ = nullptr;
};

// Sockets of one kind and family of one pod, for one worker.
class SocketStock {
 public:
  // Asks for so many more; the answer comes by add().
  using Ask = std::function<void(int count)>;
  explicit SocketStock(Ask ask) : ask_(std::move(ask)) {}
  SocketStock(const SocketStock&) = delete;
  SocketStock& operator=(const SocketStock&) = delete;
  ~SocketStock();

  static constexpr int kBatch = 32;
  static constexpr int kLow = 16;

  Fd take();  // empty: none there; wait() then
  void wait(SocketWaiter& waiter);
  void add(std::vector<Fd> sockets);
  void fill() { refill(); }  // at the pod's start
  // Every second. A wish that got no answer for a while is forgotten and made again: the node may
  // have been restarted, or could not make as many.
  void tend();
  [[nodiscard]] size_t size() const { return sockets_.size(); }

 private:
  void refill();

  Ask ask_;
  std::vector<Fd> sockets_;
  int asked_ = 0;
  int quiet_ = 0;  // seconds without an answer to what was asked
  size_t waiting_ = 0;
  SocketWaiter* first_ = nullptr;
  SocketWaiter** tail_ = &first_;
};

}  // namespace sallyport::proxy
