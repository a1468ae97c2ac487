// Making one upstream connection: a ready-marked socket from the pod's stock, connect, and where
// the target is meshed a TLS handshake that accepts the one expected identity.
#pragma once

#include <memory>

#include "proxy/route.h"
#include "proxy/socket_stock.h"
#include "proxy/stream.h"
#include "telemetry/mesh_metrics.h"

namespace sallyport::proxy {

class Worker;
struct Pod;

// What a connection offers, and with it how the other side treats it.
enum class Alpn : uint8_t {
  kTcp,    // istio
  kHttp1,  // istio-http/1.1, istio, http/1.1
  kHttp2,  // istio-h2, istio, h2
};

class DialUser {
 public:
  // The stream is open; set_user() it in this call.
  virtual void on_dialled(StreamPtr stream) = 0;
  virtual void on_dial_failed(const Refusal& refusal) = 0;

 protected:
  ~DialUser() = default;
};

// For metrics: how a handshake ended that on_failure() told.
telemetry::HandshakeResult handshake_result(const Stream* stream, StreamFailure failure);

// Destroying it gives up. One user callback, never from within start().
class Dial final : private StreamUser, private SocketWaiter, private TurnWork {
 public:
  Dial(Worker& worker, Pod& source, DialUser& user);
  ~Dial();
  void start(const Target& target, Alpn alpn);

 private:
  void on_socket(Fd socket) override;
  void on_no_socket() override;
  void on_open() override;
  void on_data(Bytes) override {}
  void on_end() override {}
  void on_failure(StreamFailure failure, std::string_view why) override;
  void on_turn() override;
  void refuse(RefusalKind kind, std::string detail);
  void on_timer();

  Worker& worker_;
  Pod& source_;
  DialUser& user_;
  SnapshotPtr held_;  // what target_ points into
  Target target_;
  Alpn alpn_ = Alpn::kTcp;
  StreamPtr stream_;
  std::unique_ptr<Refusal> refusal_;
  Timer waiting_;  // for a socket
};

}  // namespace sallyport::proxy
