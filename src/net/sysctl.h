// Kernel settings of a network namespace (/proc/sys/net follows the namespace of the thread that
// opens it).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

struct Sysctl {
  std::string name;  // below /proc/sys/net, with slashes: "ipv4/ip_forward"
  std::string value;
};

// Writes to the namespace of the calling thread (for use within in_netns).
Status set_sysctls_here(const std::vector<Sysctl>& settings);

// Writes all, in order; stops at the first that fails, with its name. netns_fd as for in_netns.
Status set_sysctls(int netns_fd, const std::vector<Sysctl>& settings);

// The value without its newline.
Result<std::string> get_sysctl(int netns_fd, const std::string& name);

}  // namespace sallyport::net
