// Messages between the node process and a shim: JSON over a Unix SOCK_SEQPACKET socket, with file
// descriptors beside it. A body that is too large for one packet travels in a sealed memory file.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "codec/value.h"

namespace sallyport::runtime {

struct Message {
  codec::Value body;
  std::vector<Fd> fds;
};

// At most 200 descriptors (the kernel takes 253 in one packet). kExhausted above.
Status send_message(int socket, const codec::Value& body, std::span<const int> fds = {});

// Nothing: the peer has closed. kUnavailable: a non-blocking socket has no message yet, or a
// receive timeout passed.
Result<std::optional<Message>> receive_message(int socket);

// Sockets by path of a directory and a name in it; the directory's path may be of any length.
Result<Fd> listen_in(const std::string& dir, const std::string& name);
Result<Fd> connect_in(const std::string& dir, const std::string& name);

// An anonymous file with this content, position 0.
Result<Fd> memory_file(std::string_view content);
Result<std::string> read_memory_file(int fd);

}  // namespace sallyport::runtime
