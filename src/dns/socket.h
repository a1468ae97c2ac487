// Sockets bound to every local address of one family. Internal to this module.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"

namespace sallyport::dns {

// Non-blocking; an IPv6 socket takes no IPv4. kUnavailable where the host has not got the family.
Result<Fd> bound_socket(Family family, int type, uint16_t port);

Ip peer_address(const sockaddr_storage& peer);

}  // namespace sallyport::dns
