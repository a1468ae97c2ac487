// Programs started inside a network namespace.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::net {

struct Outcome {
  int status = 0;      // exit code, or 128 + signal
  std::string output;  // standard output and error together, at most 1 MiB
};

// Runs argv[0] (an absolute path) in the namespace with `input` on its standard input, and waits at
// most `timeout_ms`, then kills it (kUnavailable). Safe in a process with many threads: a thread of
// its own enters the namespace and spawns, so no code of ours runs in the child.
Result<Outcome> run_in(int netns_fd, const std::vector<std::string>& argv, std::string_view input,
                       int timeout_ms = 30'000);

// Starts argv[0] in the namespace as a process of a session of its own, that outlives its caller;
// standard input and output are /dev/null. The caller reaps it. Its environment is empty but for
// PATH.
Result<pid_t> start_in(int netns_fd, const std::vector<std::string>& argv);

}  // namespace sallyport::net
