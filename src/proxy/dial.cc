#include "proxy/dial.h"

#include "proxy/svid.h"
#include "proxy/worker.h"

namespace sallyport::proxy {
namespace {

constexpr std::chrono::seconds kSocketWait{5};
constexpr std::string_view kWireTcp = "\x05istio";
constexpr std::string_view kWireHttp1 = "\x0eistio-http/1.1\x05istio\x08http/1.1";
constexpr std::string_view kWireHttp2 = "\x08istio-h2\x05istio\x02h2";

std::string_view wire(Alpn alpn) {
  switch (alpn) {
    case Alpn::kTcp:
      return kWireTcp;
    case Alpn::kHttp1:
      return kWireHttp1;
    case Alpn::kHttp2:
      return kWireHttp2;
  }
  return kWireTcp;
}

telemetry::HandshakeResult counted(identity::HandshakeResult result) {
  using From = identity::HandshakeResult;
  using To = telemetry::HandshakeResult;
  switch (result) {
    case From::kOk:
      return To::kOk;
    case From::kNoCertificate:
      return To::kNoCertificate;
    case From::kUntrusted:
      return To::kUntrusted;
    case From::kWrongIdentity:
      return To::kWrongPeer;
    case From::kRefused:
      return To::kOther;
    case From::kProtocol:
      return To::kProtocol;
    case From::kClosed:
      return To::kClosed;
  }
  return To::kOther;
}

}  // namespace

telemetry::HandshakeResult handshake_result(const Stream* stream, StreamFailure failure) {
  if (failure == StreamFailure::kTimeout) return telemetry::HandshakeResult::kTimeout;
  if (stream && stream->handshake_failure()) return counted(stream->handshake_failure()->result);
  if (failure == StreamFailure::kReset) return telemetry::HandshakeResult::kClosed;
  return telemetry::HandshakeResult::kOther;
}

Dial::Dial(Worker& worker, Pod& source, DialUser& user)
    : worker_(worker),
      source_(source),
      user_(user),
      waiting_([](void* self) { static_cast<Dial*>(self)->on_timer(); }, this) {}

Dial::~Dial() = default;

void Dial::refuse(RefusalKind kind, std::string detail) {
  refusal_ = std::make_unique<Refusal>(Refusal{kind, std::move(detail), {}, -1});
  worker_.loop().after_event(*this);
}

void Dial::on_turn() {
  if (!refusal_) return;
  const std::unique_ptr<Refusal> refusal = std::move(refusal_);
  user_.on_dial_failed(*refusal);
}

void Dial::start(const Target& target, Alpn alpn) {
  held_ = worker_.snapshot();
  target_ = target;
  alpn_ = alpn;
  if (target.mtls && !source_.identity) {
    refuse(RefusalKind::kNoIdentity, {});
    return;
  }
  SocketStock& stock = source_.sockets(target.socket, target.address.ip.family());
  Fd socket = stock.take();
  if (socket)
    on_socket(std::move(socket));
  else {
    worker_.loop().arm(waiting_, kSocketWait);
    stock.wait(*this);
  }
}

void Dial::on_timer() {
  SocketWaiter::forget();
  refuse(RefusalKind::kNoSocket, "the node gave none in time");
}

void Dial::on_no_socket() {
  waiting_.cancel();
  refuse(RefusalKind::kNoSocket, "too many connections wait for one");
}

void Dial::on_socket(Fd socket) {
  waiting_.cancel();
  bssl::UniquePtr<SSL> ssl;
  if (target_.mtls) {
    const std::string_view sni =
        target_.by_service ? std::string_view(target_.service->sni) : std::string_view{};
    ssl = source_.identity->client->connect({target_.pod->id, wire(alpn_), sni});
    if (!ssl) {
      refuse(RefusalKind::kTls, "no TLS connection could be made");
      return;
    }
  }
  if (auto connected = worker_.network().connect(socket.get(), target_.from, target_.address);
      !connected) {
    refuse(RefusalKind::kConnect, connected.error().message);
    return;
  }
  stream_ = Stream::connecting(worker_.streams(), std::move(socket), *this, std::move(ssl));
  if (!stream_) refuse(RefusalKind::kConnect, "the loop takes no more connections");
}

void Dial::on_open() {
  if (const TlsFacts* tls = stream_->tls())
    worker_.reporting().mesh().handshake(telemetry::HandshakeSide::kClient,
                                         telemetry::HandshakeResult::kOk, tls->group);
  user_.on_dialled(std::move(stream_));
}

void Dial::on_failure(StreamFailure failure, std::string_view why) {
  const bool wrong = stream_->handshake_failure() && stream_->handshake_failure()->result ==
                                                         identity::HandshakeResult::kWrongIdentity;
  if (failure == StreamFailure::kTls || stream_->handshake_failure())
    worker_.reporting().mesh().handshake(telemetry::HandshakeSide::kClient,
                                         handshake_result(stream_.get(), failure), 0);
  const Refusal refusal{wrong                                ? RefusalKind::kWrongPeer
                        : failure == StreamFailure::kTls     ? RefusalKind::kTls
                        : failure == StreamFailure::kTimeout ? RefusalKind::kTimeout
                                                             : RefusalKind::kConnect,
                        std::string(why),
                        {},
                        -1};
  stream_.reset();
  user_.on_dial_failed(refusal);
}

}  // namespace sallyport::proxy
