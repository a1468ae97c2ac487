// One thread's loop: edge-triggered epoll, timers, work for the end of a turn, and tasks from other
// threads. Everything but post() and stop() belongs to the loop's own thread.
//
// A turn: wait, then for each ready handler its event and the work it asked for (flushing what it
// wrote), then the timers that are due, then the work of the turn's end, then the objects that were
// retired are destroyed. An object that a handler may still be running in is retired, not deleted.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "proxy/timer_wheel.h"

namespace sallyport::proxy {

class IoHandler {
 public:
  virtual void on_io(uint32_t events) = 0;

 protected:
  ~IoHandler() = default;
};

// What retire() takes.
class Retired {
 public:
  virtual ~Retired() = default;

 private:
  friend class EventLoop;
  Retired* next_retired_ = nullptr;
};

// Work that is done once, after the present event or at the end of the turn, however often it was
// asked for. Part of the object that it belongs to.
class TurnWork {
 public:
  virtual void on_turn() = 0;

 protected:
  TurnWork() = default;
  TurnWork(const TurnWork&) = delete;
  TurnWork& operator=(const TurnWork&) = delete;
  ~TurnWork() { forget(); }
  void forget();  // not asked for any more

 private:
  friend class EventLoop;
  TurnWork* next_work_ = nullptr;
  TurnWork** link_work_ = nullptr;
  TurnWork*** tail_ = nullptr;  // of the list that it is in
};

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create(const Clock& clock);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `events` as epoll has them; add EPOLLET for edges.
  Status add(int fd, uint32_t events, IoHandler& handler);
  // Before the descriptor is closed. No event of this turn reaches the handler any more.
  void remove(int fd, IoHandler& handler);

  // True where the last wait asked the kernel about everything and no event of its answer is left
  // for the handler: what happened to its descriptor before that wait is known.
  [[nodiscard]] bool heard(const IoHandler& handler) const {
    if (batch_size_ == kBatch) return false;
    for (int i = batch_next_; i < batch_size_; ++i)
      if (batch_[static_cast<size_t>(i)].data.ptr == &handler) return false;
    return true;
  }

  [[nodiscard]] Monotonic now() const { return now_; }  // of the last wait
  [[nodiscard]] Monotonic fresh_now() const { return clock_.now(); }
  [[nodiscard]] WallTime wall() const { return clock_.wall(); }
  [[nodiscard]] const Clock& clock() const { return clock_; }

  void arm(Timer& timer, std::chrono::nanoseconds from_now) { timers_.arm(timer, now_ + from_now); }
  void arm_at(Timer& timer, Monotonic when) { timers_.arm(timer, when); }

  void after_event(TurnWork& work) { enlist(work, soon_tail_); }
  void at_turn_end(TurnWork& work) { enlist(work, late_tail_); }
  // In the next turn, which then does not wait.
  void next_turn(TurnWork& work) { enlist(work, next_tail_); }

  void retire(std::unique_ptr<Retired> object);
  // After all others: what they may look at while they die.
  void retire_last(std::unique_ptr<Retired> object);
  // Destroys what was retired now. Only where no handler runs.
  void bury();

  // Any thread. False: the loop has been stopped and the task is dropped.
  bool post(std::move_only_function<void()> task);
  void stop();

  void run();
  // One turn, for tests; waits at most so long. Returns how many events there were.
  int turn(int max_wait_ms);

 private:
  explicit EventLoop(const Clock& clock);
  static void enlist(TurnWork& work, TurnWork**& tail);
  static void do_work(TurnWork*& head, TurnWork**& tail);
  void run_tasks();
  void wake();

  static constexpr int kBatch = 128;

  const Clock& clock_;
  Fd epoll_, wake_;
  Monotonic now_;
  TimerWheel timers_;
  std::array<epoll_event, kBatch> batch_;
  int batch_next_ = 0, batch_size_ = 0;
  TurnWork *soon_ = nullptr, *late_ = nullptr, *next_ = nullptr;
  TurnWork **soon_tail_ = &soon_, **late_tail_ = &late_, **next_tail_ = &next_;
  Retired *graveyard_ = nullptr, *last_graves_ = nullptr;
  std::atomic<bool> stopped_{false};

  std::mutex mutex_;  // of tasks_ only: taken when another thread has sent something
  std::vector<std::move_only_function<void()>> tasks_;
  bool closed_ = false;
};

}  // namespace sallyport::proxy
