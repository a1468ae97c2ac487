// Starts a proxy process: a user of its own, no capabilities, an empty network namespace, and one
// end of the control channel. What the process further gives up (system calls, being dumped) it
// gives up itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::standalone {

struct SpawnedProxy {
  pid_t pid = 0;
  uint64_t start_time = 0;
  Fd pidfd;  // readable when it has ended
};

// Runs `program` with `arguments` (the first is its name), the channel as descriptor 3 and, where
// there is one, the listening socket for the next node as descriptor 4. Safe in a process with
// threads. The caller reaps it.
inline constexpr int kProxyChannelFd = 3;
inline constexpr int kProxyAttachFd = 4;
Result<SpawnedProxy> spawn_proxy(const std::string& program,
                                 const std::vector<std::string>& arguments, const Fd& channel,
                                 const Fd& attach, uid_t user);

}  // namespace sallyport::standalone
