#include "standalone/mailbox.h"

#include <sys/eventfd.h>

#include <cstdint>
#include <memory>

namespace sallyport::standalone {

Mailbox::Mailbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Mailbox::~Mailbox() {
  for (Helper& helper : helpers_) helper.thread.join();
}

void Mailbox::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(event_.get(), &one, sizeof one);
}

void Mailbox::spawn(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  std::erase_if(helpers_, [](Helper& helper) {
    if (!*helper.done) return false;
    helper.thread.join();
    return true;
  });
  auto done = std::make_shared<bool>(false);
  helpers_.push_back({std::thread([this, done, work = std::move(work)] {
                        work();
                        std::lock_guard inner(mutex_);
                        *done = true;
                      }),
                      done});
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
