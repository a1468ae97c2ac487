// The seam between connections (this directory's other files) and the HTTP exchange (http_*.cc).
//
// Downstream: when a connection's first stage knows that it carries HTTP, it calls
// make_http_session() with the open stream (plain, or under TLS with the peer verified), who
// speaks, and the bytes that were read before. The session becomes the stream's user. Give the
// codec `stream.out()` as its output and call `stream.flush_soon()` from output_pending() after
// collect(); on_drained() says that bytes have left. Codec::wants_input() false: stream.pause().
//
// Upstream: per request, resolve() and choose() (route.h) name the target, or to_application() for
// inbound; Pool::acquire() gives a connection with its codec, now or later, or a Refusal. When a
// request of a connection has ended call Pool::released(); when the connection is closed or takes
// no more, Pool::left() and retire it on the loop.
//
// Everything of one worker runs on its loop's thread. An object that may be inside one of its own
// calls is retired (EventLoop::retire), never deleted. See session.h for on_snapshot(): decide
// again for the connection and for every open request, with the new snapshot; denied ones end
// (reset, or RST_STREAM), and what was allowed goes on.
#pragma once

#include <memory>
#include <string>

#include "http/message.h"
#include "proxy/pool.h"
#include "proxy/route.h"
#include "proxy/session.h"
#include "proxy/stream.h"
#include "proxy/worker.h"

namespace sallyport::proxy {

// Who speaks to whom, before any byte of a request.
struct Downstream {
  Direction direction = Direction::kOutbound;
  SocketAddress client;       // the connection's peer
  SocketAddress destination;  // where it wanted to go: inbound the pod's own address and port
  // Inbound under mutual TLS: "TD/ns/NS/sa/SA"; empty: plaintext, or outbound.
  std::string principal;
};

enum class HttpKind : uint8_t { kHttp1, kHttp2 };

// Takes over. `first`: what was read from the stream already (payload, not records); it may hold a
// part of a request, several requests, or nothing. Never null.
void make_http_session(Worker& worker, Pod& pod, StreamPtr stream, Downstream who, HttpKind kind,
                       Bytes first);

// The upstream side of Pool: `stream` is open. The codec's version is `version` (kHttp11 or
// kHttp2). The connection registers itself with `stream` and answers PooledConnection's calls.
std::unique_ptr<PooledConnection> make_http_upstream(Worker& worker, Pod& source,
                                                     const Target& target, http::Version version,
                                                     StreamPtr stream);

// Refuses a connection on which HTTP is spoken before there is anything to forward to (no endpoint,
// refused by the network rule, unknown address): the session answers every request with `status`
// 503 and closes. Used by make_http_session() itself when choose() fails.

}  // namespace sallyport::proxy
