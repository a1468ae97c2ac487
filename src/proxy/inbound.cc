#include <algorithm>
#include <optional>
#include <utility>

#include "proxy/entry.h"

namespace sallyport::proxy {
namespace {

using mesh::AppProtocol;

bool is_http(AppProtocol protocol) {
  return protocol == AppProtocol::kHttp || protocol == AppProtocol::kHttp2 ||
         protocol == AppProtocol::kGrpc;
}

class InboundEntry final : public Entry {
 public:
  InboundEntry(Worker& worker, Pod& pod, Downstream who)
      : Entry(worker, pod, std::move(who)), hello_(worker.limits().client_hello_bytes) {}

  void start(Fd socket) {
    if (!adopt(std::move(socket))) return;
    const PodInfo& info = *pod().local->info;
    if (std::ranges::find(info.ips, who_.destination.ip) == info.ips.end() ||
        who_.destination.port == 15001 || who_.destination.port == 15006) {
      refuse({RefusalKind::kLoop, who_.destination.to_string(), {}, -1});
      return;
    }
    protocol_ = worker().snapshot()->port(who_.destination).protocol;
    switch (info.modes.at(who_.destination.port).mode) {
      case k8s::MutualTlsMode::kDisable:
        plain();
        return;
      case k8s::MutualTlsMode::kStrict:
        worker().loop().arm(timer_, worker().limits().handshake_time);
        return;
      case k8s::MutualTlsMode::kPermissive:
      case k8s::MutualTlsMode::kUnset:
        break;
    }
    // A caller of the mesh sends its ClientHello, however long that takes; of others only the first
    // bytes tell, and who waits for a banner sends none.
    const PodInfo* source = worker().snapshot()->pod(who_.client.ip);
    if (source && speaks_tls(*source)) {
      worker().loop().arm(timer_, worker().limits().handshake_time);
    } else if (source && (protocol_ == AppProtocol::kTcp || protocol_ == AppProtocol::kTls)) {
      plain();
    } else if (source && !is_http(protocol_) &&
               worker().learned().server_first(who_.destination, worker().loop().now())) {
      relay();
    } else {
      worker().loop().arm(timer_, worker().limits().sniff_time);
      sniffing_ = true;
    }
  }

  void on_snapshot() override {
    // Connections in their first moments are judged by the mode that holds when they are handed on.
  }

 private:
  enum class Stage : uint8_t { kLook, kHandshake, kPlain, kInside };

  [[nodiscard]] bool speaks_tls(const PodInfo& source) const {
    if (!source.meshed || source.exclude_outbound.contains(who_.destination.port)) return false;
    return std::ranges::none_of(source.exclude_outbound_to, [this](const Cidr& range) {
      return range.contains(who_.destination.ip);
    });
  }
  [[nodiscard]] const authz::PortMode& mode() const {
    return pod().local->info->modes.at(who_.destination.port);
  }

  void on_data(Bytes bytes) override {
    first_.append(bytes);
    if (stage_ == Stage::kLook)
      look();
    else
      detect();
  }

  void look() {
    if (first_.data()[0] != 0x16) {
      plain();
      return;
    }
    if (sniffing_) {
      // It looks like TLS: that takes as long as a handshake may.
      sniffing_ = false;
      worker().loop().arm(timer_, worker().limits().handshake_time);
    }
    switch (hello_.parse(first_.bytes())) {
      case http::HelloState::kNeedMore:
        return;
      case http::HelloState::kMalformed:
        worker().counters().add(http::Counter::kClientHelloMalformed);
        plain();
        return;
      case http::HelloState::kTooLong:
        worker().counters().add(http::Counter::kClientHelloBytes);
        plain();
        return;
      case http::HelloState::kDone:
        break;
    }
    if (hello_.hello().offers_prefix("istio"))
      terminate();
    else
      plain();  // the application's own TLS
  }

  void terminate() {
    if (!pod().identity) {
      refuse({RefusalKind::kNoIdentity, {}, {}, -1});
      return;
    }
    bssl::UniquePtr<SSL> ssl = pod().identity->server->accept();
    if (!ssl) {
      cut();
      return;
    }
    stage_ = Stage::kHandshake;
    timer_.cancel();
    ByteBuffer first = std::move(first_);
    first_ = ByteBuffer(worker().buffers());
    stream_->start_tls(std::move(ssl), first.bytes());
  }

  void on_open() override {
    const TlsFacts& tls = *stream_->tls();
    worker().reporting().mesh().handshake(telemetry::HandshakeSide::kServer,
                                          telemetry::HandshakeResult::kOk, tls.group);
    stage_ = Stage::kInside;
    if (mode().mode == k8s::MutualTlsMode::kDisable) {
      cut();
      return;
    }
    who_.principal = tls.peer->id.trust_domain + tls.peer->id.path;
    if (protocol_ == AppProtocol::kTcp || protocol_ == AppProtocol::kTls) {
      relay();
    } else if (tls.alpn == kAlpnHttp2) {
      http(HttpKind::kHttp2);
    } else if (tls.alpn == kAlpnHttp1) {
      http(HttpKind::kHttp1);
    } else if (is_http(protocol_)) {
      worker().loop().arm(timer_, worker().limits().idle_mesh);
    } else {
      relay();
    }
  }

  // No TLS of the mesh: allowed where the mode is not STRICT.
  void plain() {
    if (mode().mode == k8s::MutualTlsMode::kStrict) {
      refuse_plaintext();
      return;
    }
    stage_ = Stage::kPlain;
    if (protocol_ == AppProtocol::kTcp || protocol_ == AppProtocol::kTls) {
      relay();
      return;
    }
    if (is_http(protocol_)) {
      sniffing_ = false;  // declared: parsed, whatever comes and however late
      worker().loop().arm(timer_, worker().limits().idle_plain);
    } else if (!sniffing_) {
      sniffing_ = true;
      if (worker().learned().server_first(who_.destination, worker().loop().now()) &&
          first_.empty()) {
        relay();
        return;
      }
      worker().loop().arm(timer_, worker().limits().sniff_time);
    }
    if (!first_.empty()) detect();
  }

  void detect() {
    switch (http::detect(first_.bytes())) {
      case http::FirstBytes::kNeedMore:
        if (is_http(protocol_)) head_begun();
        return;
      case http::FirstBytes::kHttp1:
        http(HttpKind::kHttp1);
        return;
      case http::FirstBytes::kHttp2:
        http(HttpKind::kHttp2);
        return;
      case http::FirstBytes::kTls:
      case http::FirstBytes::kOther:
        if (is_http(protocol_)) {
          http(HttpKind::kHttp1);
        } else {
          worker().learned().saw(who_.destination, true, worker().loop().now());
          relay();
        }
        return;
    }
  }

  void on_end() override {
    if (stage_ == Stage::kHandshake) return;
    if (first_.empty() || stage_ == Stage::kLook)
      cut();
    else if (is_http(protocol_))
      http(HttpKind::kHttp1);
    else
      relay();
  }

  void on_failure(StreamFailure failure, std::string_view why) override {
    if (stage_ == Stage::kHandshake) {
      worker().reporting().mesh().handshake(telemetry::HandshakeSide::kServer,
                                            handshake_result(stream_.get(), failure), 0);
      tell_refused(worker(), pod(), who_, {RefusalKind::kTls, std::string(why), {}, -1}, nullptr);
    }
    timer_.cancel();
    close();
  }

  void on_timer() override {
    if (sniffing_) {
      if (mode().mode == k8s::MutualTlsMode::kStrict) {
        refuse_plaintext();
        return;
      }
      // A port that is declared HTTP is parsed, however long a client keeps silent.
      if (first_.empty() && !is_http(protocol_))
        worker().learned().saw(who_.destination, false, worker().loop().now());
      if (is_http(protocol_) && stage_ == Stage::kLook) {
        sniffing_ = false;  // HTTP clients speak first: TLS or not is still to be seen
        worker().loop().arm(timer_, worker().limits().idle_plain);
        return;
      }
      relay();
      return;
    }
    worker().counters().add(begun_                   ? http::Counter::kHeadTime
                            : stage_ == Stage::kLook ? http::Counter::kHandshakeTime
                                                     : http::Counter::kIdleTime);
    cut();
  }

  void refuse_plaintext() {
    refuse({RefusalKind::kTls, "plaintext where mutual TLS is demanded", mode().policy, -1});
  }
  // The mode may have changed since the connection was looked at.
  bool may_go_on() override {
    if (stream_->tls() || mode().mode != k8s::MutualTlsMode::kStrict) return true;
    refuse_plaintext();
    return false;
  }

  http::ClientHelloParser hello_;
  AppProtocol protocol_ = AppProtocol::kUndeclared;
  Stage stage_ = Stage::kLook;
  bool sniffing_ = false;  // the timer is the short one for first bytes
};

}  // namespace

void start_inbound(Worker& worker, Pod& pod, Fd socket, const SocketAddress& client,
                   const SocketAddress& destination) {
  auto* entry =
      new InboundEntry(worker, pod, {Direction::kInbound, client, destination, std::string()});
  entry->start(std::move(socket));
}

}  // namespace sallyport::proxy
