// Servers of a test world: TCP and UDP echo on given ports, and answers to crafted SCTP, on many
// addresses in many network namespaces, all from one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::kernel_test {

class EchoServer {
 public:
  EchoServer();
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  // Call before start().
  Status serve(int netns, const std::vector<Ip>& addresses, const std::vector<uint16_t>& ports);
  Status start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::kernel_test
