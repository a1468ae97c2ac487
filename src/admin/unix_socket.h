// Addresses and listening sockets of the Unix kind. Internal to this module.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::admin {

// kInvalid where the path does not fit (107 bytes).
Result<sockaddr_un> unix_address(const std::string& path);

// A connected socket, or kNotFound where nobody listens.
Result<Fd> connect_unix(const std::string& path);

struct UnixListener {
  Fd fd;
  uint64_t inode = 0;  // of the socket file, to remove no other one later
};

// Mode 0600 from the first moment on. Replaces the file of a listener that is dead; kConflict where
// one lives, or where the path is something else than a socket.
Result<UnixListener> listen_unix(const std::string& path);

// Removes the socket file if it is still the same one.
void unlink_if_same(const std::string& path, uint64_t inode);

}  // namespace sallyport::admin
