// The outside world's server: answers whatever reaches it, so that an attempt to leave the node
// either succeeds visibly or was stopped by the gate.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace sallyport::node {

// TCP and UDP, both families, on ports 7, 53, 80, 443, 8080, 8443 and 9000, or those that are named
// as arguments. What arrives is sent back; a request of HTTP gets a small response that says which
// address was reached and from where. At most 512 connections, idle ones end after 60 s. Ends at
// SIGTERM or SIGINT with 0; 2 for a wrong argument, 1 where a port cannot be opened.
int echo_main(int argc, char** argv);

// Starts `SELF_EXE echo` in the namespace. It outlives its caller, which keeps pid and start time
// and ends it with SIGTERM. It answers when this returns.
Result<pid_t> start_echo(int outside_netns, const std::string& self_exe);

}  // namespace sallyport::node
