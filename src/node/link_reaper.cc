#include "node/link_reaper.h"

#include "base/log.h"
#include "node/topology.h"

namespace sallyport::node {

LinkReaper::LinkReaper(net::Netlink node) : node_(std::move(node)), thread_([this] { run(); }) {}

LinkReaper::~LinkReaper() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LinkReaper::wake() {
  {
    std::lock_guard lock(mutex_);
    due_ = true;
  }
  changed_.notify_one();
}

void LinkReaper::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return due_ || ending_; });
    if (!due_) return;
    due_ = false;
    lock.unlock();
    // A failure is no leak: the links are down, and the next one that is doomed brings a new try.
    if (Status gone = node_.delete_group(kDoomedLinkGroup); !gone)
      log_warn("node", "links of pods that are gone were not deleted: " + gone.error().message);
    lock.lock();
  }
}

}  // namespace sallyport::node
