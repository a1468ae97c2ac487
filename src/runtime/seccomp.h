// The system call filter of containers: refuses what reaches beyond a pod's namespaces even with
// the capabilities that a pod may have, and socket families that no NetworkPolicy sees.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace sallyport::runtime {

// Refused calls fail with EPERM (clone3 with ENOSYS, so that libraries fall back to clone).
std::vector<sock_filter> container_filter();

// For this thread and all that it starts. Needs CAP_SYS_ADMIN or no_new_privs.
Status install_container_filter();

}  // namespace sallyport::runtime
