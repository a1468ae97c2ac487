#include "proxy/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::proxy {

void TurnWork::forget() {
  if (!link_work_) return;
  *link_work_ = next_work_;
  if (next_work_)
    next_work_->link_work_ = link_work_;
  else
    *tail_ = link_work_;
  next_work_ = nullptr;
  link_work_ = nullptr;
}

EventLoop::EventLoop(const Clock& clock) : clock_(clock), now_(clock.now()), timers_(now_) {}

Result<std::unique_ptr<EventLoop>> EventLoop::create(const Clock& clock) {
  std::unique_ptr<EventLoop> loop(new EventLoop(clock));
  loop->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return fail_errno("epoll_create1");
  loop->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return fail_errno("eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->wake_.get(), &event) != 0)
    return fail_errno("epoll_ctl of the wakeup descriptor");
  return loop;
}

EventLoop::~EventLoop() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    tasks_.clear();
  }
  bury();
}

Status EventLoop::add(int fd, uint32_t events, IoHandler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("epoll_ctl add");
  return {};
}

void EventLoop::remove(int fd, IoHandler& handler) {
  // Explicit, because another process may still hold a copy of the descriptor: then closing alone
  // would leave it in the set.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = batch_next_; i < batch_size_; ++i)
    if (batch_[static_cast<size_t>(i)].data.ptr == &handler)
      batch_[static_cast<size_t>(i)].data.ptr = this;  // nobody's
}

void EventLoop::enlist(TurnWork& work, TurnWork**& tail) {
  if (work.link_work_) {
    if (work.tail_ == &tail) return;
    work.forget();
  }
  work.link_work_ = tail;
  work.next_work_ = nullptr;
  work.tail_ = &tail;
  *tail = &work;
  tail = &work.next_work_;
}

void EventLoop::do_work(TurnWork*& head, TurnWork**& tail) {
  // What is asked for meanwhile is appended and done as well.
  (void)tail;
  while (head) {
    TurnWork* work = head;
    work->forget();
    work->on_turn();
  }
}

void EventLoop::retire(std::unique_ptr<Retired> object) {
  if (!object) return;
  Retired* raw = object.release();
  raw->next_retired_ = graveyard_;
  graveyard_ = raw;
}

void EventLoop::retire_last(std::unique_ptr<Retired> object) {
  Retired* raw = object.release();
  raw->next_retired_ = last_graves_;
  last_graves_ = raw;
}

void EventLoop::bury() {
  while (graveyard_ || last_graves_) {
    Retired*& head = graveyard_ ? graveyard_ : last_graves_;
    std::unique_ptr<Retired> object(head);
    head = object->next_retired_;
  }
}

bool EventLoop::post(std::move_only_function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return true;  // woken already
  }
  wake();
  return true;
}

void EventLoop::stop() {
  stopped_.store(true, std::memory_order_release);
  wake();
}

void EventLoop::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_tasks() {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(wake_.get(), &count, sizeof count);
  std::vector<std::move_only_function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
}

int EventLoop::turn(int max_wait_ms) {
  int wait = max_wait_ms;
  if (next_) {
    wait = 0;
  } else {
    const int due = timers_.wait_ms(now_);
    if (due >= 0 && (wait < 0 || due < wait)) wait = due;
  }
  const int count = ::epoll_wait(epoll_.get(), batch_.data(), kBatch, wait);
  now_ = clock_.now();
  batch_next_ = 0;
  batch_size_ = count > 0 ? count : 0;
  // Works of the turn before that wanted this one; what they ask for in turn is the next one's.
  if (next_) {
    TurnWork* list = next_;
    TurnWork** list_tail = next_tail_;
    next_ = nullptr;
    next_tail_ = &next_;
    // The list gets a head of its own, and its members a tail that is not the loop's.
    list->link_work_ = &list;
    for (TurnWork* work = list; work; work = work->next_work_) work->tail_ = &list_tail;
    while (list) {
      TurnWork* work = list;
      work->forget();
      work->on_turn();
      do_work(soon_, soon_tail_);
    }
  }
  while (batch_next_ < batch_size_) {
    const epoll_event event = batch_[static_cast<size_t>(batch_next_++)];
    if (event.data.ptr == nullptr)
      run_tasks();
    else if (event.data.ptr != this)
      static_cast<IoHandler*>(event.data.ptr)->on_io(event.events);
    do_work(soon_, soon_tail_);
  }
  timers_.advance(now_);
  do_work(soon_, soon_tail_);
  do_work(late_, late_tail_);
  do_work(soon_, soon_tail_);
  bury();
  return batch_size_;
}

void EventLoop::run() {
  while (!stopped_.load(std::memory_order_acquire)) turn(-1);
}

}  // namespace sallyport::proxy
