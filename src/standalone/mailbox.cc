#include "standalone/mailbox.h"

#include <sys/eventfd.h>

#include <cstdint>
#include <memory>
#include <system_error>

namespace sallyport::standalone {

Mailbox::Mailbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Mailbox::~Mailbox() {
  join();
}

void Mailbox::join() {
  std::vector<Helper> helpers;
  {
    std::lock_guard lock(mutex_);
    helpers.swap(helpers_);
  }
  for (Helper& helper : helpers) helper.thread.join();
}

bool Mailbox::idle() {
  std::lock_guard lock(mutex_);
  reap();
  return helpers_.empty();
}

void Mailbox::reap() {
  std::erase_if(helpers_, [](Helper& helper) {
    if (!*helper.done) return false;
    helper.thread.join();  // it has nothing left to do but to end
    return true;
  });
}

void Mailbox::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(event_.get(), &one, sizeof one);
}

bool Mailbox::spawn(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  reap();
  if (helpers_.size() >= kMaxHelpers) return false;
  auto done = std::make_shared<bool>(false);
  try {
    helpers_.push_back({std::thread([this, done, work = std::move(work)]() mutable {
                          work();
                          work = nullptr;  // what it holds goes before it counts as done
                          std::lock_guard inner(mutex_);
                          *done = true;
                        }),
                        done});
  } catch (const std::system_error&) {
    return false;  // the limit of processes
  }
  return true;
}

void Mailbox::run() {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(event_.get(), &count, sizeof count);
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(work_);
  }
  for (auto& item : work) item();
}

}  // namespace sallyport::standalone
