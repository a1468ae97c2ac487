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
  ~Mailbox();  // waits for the threads that spawn() started

  // From any thread: `work` runs on the loop's thread at its next run().
  void post(std::function<void()> work);
  // Runs `work` on a thread of its own.
  void spawn(std::function<void()> work);

  [[nodiscard]] int fd() const { return event_.get(); }  // readable when something was posted
  void run();

 private:
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
