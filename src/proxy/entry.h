// The first stage of a downstream connection: until it is known what is spoken and to whom it goes,
// bytes are gathered here; then the stream is handed on.
#pragma once

#include "http/detect.h"
#include "proxy/http_seam.h"

namespace sallyport::proxy {

// What the two directions have in common: a stream whose first bytes are being read.
class Entry : public Session, protected StreamUser {
 protected:
  Entry(Worker& worker, Pod& pod, Downstream who);

  virtual void on_timer() = 0;
  // Asked before the stream is handed on; false: it is cut already.
  virtual bool may_go_on() { return true; }

  bool adopt(Fd socket);  // false: closed
  // First bytes that do not yet say which HTTP they are: a head has begun, and has a head's time
  // from now on, not an idle connection's.
  void head_begun();
  void http(HttpKind kind);
  void relay();
  void refuse(const Refusal& refusal);
  void cut();
  void on_cut() override { cut(); }

  Downstream who_;
  StreamPtr stream_;
  ByteBuffer first_;
  bool begun_ = false;  // head_begun() was called
  Timer timer_;
};

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
