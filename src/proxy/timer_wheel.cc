#include "proxy/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace sallyport::proxy {

void Timer::cancel() {
  if (wheel_) wheel_->unlink(*this);
}

uint64_t TimerWheel::tick_of(Monotonic when, bool up) const {
  if (when <= start_) return 0;
  auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(when - start_).count();
  return static_cast<uint64_t>(nanos + (up ? 999'999 : 0)) / 1'000'000;
}

void TimerWheel::unlink(Timer& timer) {
  *timer.link_ = timer.next_;
  if (timer.next_) timer.next_->link_ = timer.link_;
  const int level = timer.slot_ >> kBits;
  const int slot = timer.slot_ & (kSlots - 1);
  if (!slots_[level][slot]) used_[level] &= ~(uint64_t{1} << slot);
  timer.wheel_ = nullptr;
  --armed_;
}

// A timer lies in the lowest level whose slots still tell its tick from now.
void TimerWheel::insert(Timer& timer) {
  const uint64_t tick = std::max(timer.tick_, now_ + 1);
  int level = 0;
  while (level < kLevels - 1 && (tick >> (kBits * (level + 1))) != (now_ >> (kBits * (level + 1))))
    ++level;
  uint64_t slot = tick >> (kBits * level);
  // Beyond the top level's turn: as far as it reaches; it is sorted again there.
  const uint64_t here = now_ >> (kBits * level);
  if (slot - here >= kSlots) slot = here + kSlots - 1;
  slot &= kSlots - 1;
  Timer*& head = slots_[level][slot];
  timer.next_ = head;
  if (head) head->link_ = &timer.next_;
  head = &timer;
  timer.link_ = &head;
  timer.slot_ = static_cast<uint16_t>(level << kBits | static_cast<int>(slot));
  timer.wheel_ = this;
  used_[level] |= uint64_t{1} << slot;
  ++armed_;
}

void TimerWheel::arm(Timer& timer, Monotonic when) {
  const uint64_t tick = std::max(tick_of(when, true), now_ + 1);
  if (timer.wheel_) {
    if (timer.tick_ == tick) return;
    unlink(timer);
  }
  timer.tick_ = tick;
  insert(timer);
}

// The slot of `level` that the present moment has entered is spread over the levels below.
void TimerWheel::cascade(int level) {
  const uint64_t slot = (now_ >> (kBits * level)) & (kSlots - 1);
  if (slot == 0 && level + 1 < kLevels) cascade(level + 1);
  Timer* timer = slots_[level][slot];
  slots_[level][slot] = nullptr;
  used_[level] &= ~(uint64_t{1} << slot);
  while (timer) {
    Timer* next = timer->next_;
    timer->wheel_ = nullptr;
    --armed_;
    // What is due at this very tick goes where the caller looks next.
    if (timer->tick_ <= now_) {
      const uint64_t here = now_ & (kSlots - 1);
      Timer*& head = slots_[0][here];
      timer->next_ = head;
      if (head) head->link_ = &timer->next_;
      head = timer;
      timer->link_ = &head;
      timer->slot_ = static_cast<uint16_t>(here);
      timer->wheel_ = this;
      used_[0] |= uint64_t{1} << here;
      ++armed_;
    } else {
      insert(*timer);
    }
    timer = next;
  }
}

void TimerWheel::advance(Monotonic now) {
  const uint64_t target = tick_of(now, false);
  while (now_ < target) {
    if (armed_ == 0) {
      now_ = target;
      return;
    }
    // Within the lowest level's turn, empty ticks are skipped at once.
    const uint64_t turn_end = now_ | (kSlots - 1);
    const auto here = static_cast<unsigned>(now_ & (kSlots - 1));
    const uint64_t later = here == kSlots - 1 ? 0 : used_[0] & (~uint64_t{0} << (here + 1));
    if (later) {
      const uint64_t next = (now_ & ~uint64_t{kSlots - 1}) + std::countr_zero(later);
      if (next > target) {
        now_ = target;
        return;
      }
      now_ = next;
    } else if (turn_end >= target) {
      now_ = target;
      return;
    } else {
      now_ = turn_end + 1;
      cascade(1);
    }
    const uint64_t slot = now_ & (kSlots - 1);
    while (Timer* timer = slots_[0][slot]) {
      unlink(*timer);
      timer->callback_(timer->owner_);
      if (slot != (now_ & (kSlots - 1))) break;
    }
  }
}

int TimerWheel::wait_ms(Monotonic now) const {
  if (armed_ == 0) return -1;
  const uint64_t present = tick_of(now, false);
  uint64_t due = ~uint64_t{0};
  for (int level = 0; level < kLevels; ++level) {
    if (!used_[level]) continue;
    const uint64_t here = now_ >> (kBits * level);
    const int shift = static_cast<int>((here + 1) & (kSlots - 1));
    const uint64_t turned = std::rotr(used_[level], shift);
    const uint64_t slot = here + 1 + static_cast<uint64_t>(std::countr_zero(turned));
    due = std::min(due, slot << (kBits * level));
  }
  if (due <= present) return 0;
  // One tick more: this moment may lie anywhere in its tick.
  return static_cast<int>(std::min<uint64_t>(due - present, 60'000));
}

}  // namespace sallyport::proxy
