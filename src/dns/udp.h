// DNS over UDP on one family. Internal to this module.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "dns/server.h"

namespace sallyport::dns {

class UdpServer {
 public:
  // On every local address of the family. kUnavailable where the host has not got it.
  static Result<UdpServer> open(Family family, uint16_t port);

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Answers what waits, a bounded number of packets. Each answer comes from the address that was
  // asked, also where the host has several.
  void serve(const Zone& zone);

 private:
  Fd fd_;
};

}  // namespace sallyport::dns
