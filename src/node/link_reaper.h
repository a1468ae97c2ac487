// Deletes doomed links in the background: the kernel takes tens of milliseconds for one, and no
// longer for many at once.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "net/netlink.h"

namespace sallyport::node {

class LinkReaper {
 public:
  // Begins with what an earlier process left doomed.
  explicit LinkReaper(net::Netlink node);
  ~LinkReaper();  // deletes what is due, then ends
  LinkReaper(const LinkReaper&) = delete;
  LinkReaper& operator=(const LinkReaper&) = delete;

  void wake();  // a link was doomed

 private:
  void run();

  net::Netlink node_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool due_ = true;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace sallyport::node
