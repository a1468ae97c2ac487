// Work handed from helper threads to the node's loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace sallyport::standalone {

class Mailbox {
 public:
  Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();  // as join()

  // From any thread: `work` runs on the loop's thread at its next run().
  void post(std::function<void()> work);
  // Runs `work` on a thread of its own; false where too many run already, or none can be made.
  [[nodiscard]] bool spawn(std::function<void()> work);
  // No thread of spawn() runs any more (what they posted may still wait for run()).
  [[nodiscard]] bool idle();
  // Waits for the threads of spawn(); whoever calls it has seen to it that they end.
  void join();

  [[nodiscard]] int fd() const { return event_.get(); }  // readable when something was posted
  void run();

 private:
  static constexpr size_t kMaxHelpers = 128;
  void reap();  // with mutex_ held
  struct Helper {
    std::thread thread;
    std::shared_ptr<bool> done;  // guarded by mutex_
  };
  Fd event_;
  std::mutex mutex_;
  std::vector<std::function<void()>> work_;
  std::vector<Helper> helpers_;
};

}  // namespace sallyport::standalone
