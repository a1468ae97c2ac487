// Network namespaces: created, entered and kept by bind mounts.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sallyport::net {

// A new network namespace with its loopback up. The caller's own namespace does not change.
Result<Fd> create_netns();
// A bind mount or /proc/PID/ns/net. kInvalid where the file is not a network namespace.
Result<Fd> open_netns(const std::string& path);
Status keep_netns(int fd, const std::string& path);  // bind-mounts it at path (made)
Status drop_netns(const std::string& path);          // unmounts and removes; missing is fine

// Runs `work` in a namespace on a thread of its own, so that a failing setns never leaves the
// caller elsewhere. Processes that `work` starts begin in the namespace too. Exceptions of `work`
// become errors.
Status in_netns(int fd, const std::function<Status()>& work);

// A socket made inside the namespace (sockets keep the namespace that they were made in). Always
// close-on-exec.
Result<Fd> socket_in(int netns_fd, int domain, int type, int protocol);

}  // namespace sallyport::net
