// Sockets inside a pod's network namespace, for a process that may not enter it: listeners of the
// redirected connections, and batches of ready-marked sockets that bind and connect without any
// privilege. All are close-on-exec and non-blocking.
#pragma once

#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "capture/rules.h"

namespace sallyport::capture {

struct Listeners {
  Fd outbound4, outbound6;  // 127.0.0.1 and ::1, port 15001
  Fd inbound4, inbound6;    // every address, port 15006
};
// kConflict where a process of the pod has one of the ports.
Result<Listeners> make_listeners(int netns);

enum class Leg {
  kOutbound,  // passes the pod's own redirection
  kToApp,     // may bind a client's address; connects to the pod's own addresses
};
Result<std::vector<Fd>> make_sockets(int netns, Leg leg, Family family, const Marks& marks,
                                     int count);

}  // namespace sallyport::capture
