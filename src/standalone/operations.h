// The requests of the control socket (see admin/server.h for the protocol).
//
//   op            fields                                        records
//   get           resource, namespace                           one `kind: List`
//   status                                                      one object
//   metrics                                                     {"text": ...}
//   flows         from, to, verdict, sinceSeconds, last, follow one object per flow
//   logs          namespace, pod, container                     {"container"} with the log's
//   descriptor exec          namespace, pod, container, command; 3 fds     none; the exit code
//   port-forward  namespace, pod | service, port                {} with a connected descriptor
//   explain       from, to                                      {"text"}; exit 0 allow, 1 deny
//   explain-batch lines                                         one object per line
//   shutdown
#pragma once

#include "admin/server.h"

namespace sallyport::standalone {

class Node;

void register_operations(admin::Server& server, Node& node);

}  // namespace sallyport::standalone
