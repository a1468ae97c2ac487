#include "proxy/socket_stock.h"

#include <algorithm>

namespace sallyport::proxy {
namespace {

constexpr int kQuietMost = 3;
constexpr size_t kWaitersMost = 4096;
constexpr int kAskMost = 128;  // a message takes 200 descriptors

}  // namespace

void SocketWaiter::forget() {
  if (!link_waiter_) return;
  *link_waiter_ = next_waiter_;
  if (next_waiter_)
    next_waiter_->link_waiter_ = link_waiter_;
  else
    *tail_waiter_ = link_waiter_;
  next_waiter_ = nullptr;
  link_waiter_ = nullptr;
}

SocketStock::~SocketStock() {
  while (first_) {
    SocketWaiter* waiter = first_;
    waiter->forget();
    waiter->on_no_socket();
  }
}

Fd SocketStock::take() {
  if (sockets_.empty()) {
    refill();
    return {};
  }
  Fd socket = std::move(sockets_.back());
  sockets_.pop_back();
  if (sockets_.size() < kLow) refill();
  return socket;
}

void SocketStock::wait(SocketWaiter& waiter) {
  if (waiting_ >= kWaitersMost) {
    waiter.on_no_socket();
    return;
  }
  waiter.link_waiter_ = tail_;
  waiter.next_waiter_ = nullptr;
  waiter.tail_waiter_ = &tail_;
  *tail_ = &waiter;
  tail_ = &waiter.next_waiter_;
  ++waiting_;
  refill();
}

void SocketStock::tend() {
  if (asked_ == 0 || ++quiet_ < kQuietMost) return;
  quiet_ = 0;
  asked_ = 0;
  refill();
}

void SocketStock::add(std::vector<Fd> sockets) {
  quiet_ = 0;
  asked_ = std::max(0, asked_ - static_cast<int>(sockets.size()));
  for (Fd& socket : sockets) {
    if (first_) {
      SocketWaiter* waiter = first_;
      waiter->forget();
      waiter->on_socket(std::move(socket));
    } else {
      sockets_.push_back(std::move(socket));
    }
  }
  waiting_ = 0;
  for (SocketWaiter* waiter = first_; waiter; waiter = waiter->next_waiter_) ++waiting_;
  if (sockets_.size() < kLow) refill();
}

// Batches, and larger ones where many wait.
void SocketStock::refill() {
  const int have = static_cast<int>(sockets_.size()) + asked_;
  const int want = kBatch + static_cast<int>(waiting_);
  if (have > want - kBatch / 2) return;
  const int count = std::clamp(want - have, kBatch / 2, kAskMost);
  asked_ += count;
  ask_(count);
}

}  // namespace sallyport::proxy
