// The first stage of a downstream connection: until it is known what is spoken and to whom it goes,
// bytes are gathered here; then the stream is handed on.
#pragma once

#include "http/detect.h"
#include "proxy/http_seam.h"

namespace sallyport::proxy {

// A connection that a local pod opened.
void start_outbound(Worker& worker, Pod& pod, Fd socket, const SocketAddress& client,
                    const SocketAddress& destination);
// A connection to a local pod.
void start_inbound(Worker& worker, Pod& pod, Fd socket, const SocketAddress& client,
                   const SocketAddress& destination);

// Opaque bytes from now on. Inbound it is authorized first. `first` was read already.
void make_tcp_relay(Worker& worker, Pod& pod, StreamPtr stream, Downstream who, Bytes first);

// A connection that goes nowhere: told in flows and metrics, and reset.
void tell_refused(Worker& worker, Pod& pod, const Downstream& who, const Refusal& refusal,
                  const TlsFacts* tls);

}  // namespace sallyport::proxy
