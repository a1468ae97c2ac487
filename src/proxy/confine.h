// What makes a proxy process harmless: no user but its own, no capability, no way to gain one, no
// core dump or ptrace by others, and a list of system calls outside of which nothing works.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/result.h"

namespace sallyport::proxy {

// The hard limit of open descriptors becomes the soft one; returns it.
Result<size_t> raise_descriptor_limit();

// Supplementary groups, group and user, all capability sets, no_new_privs, not dumpable. Without a
// user the ids stay as they are (a process that was started without privileges).
Status drop_privileges(std::optional<uid_t> uid, std::optional<gid_t> gid);

// For this thread and all that exist or are made later. The process needs no new sockets, files or
// programs: its descriptors come through the channel.
Status confine_system_calls();

}  // namespace sallyport::proxy
