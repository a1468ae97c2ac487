#include <algorithm>
#include <utility>

#include "proxy/entry.h"

namespace sallyport::proxy {
namespace {

class OutboundEntry final : public Entry {
 public:
  OutboundEntry(Worker& worker, Pod& pod, Downstream who) : Entry(worker, pod, std::move(who)) {}

  void start(Fd socket) {
    if (!adopt(std::move(socket))) return;
    const Route route = resolve(*worker().snapshot(), *pod().local, who_.destination);
    if (route.kind == Route::Kind::kRefused) {
      refuse({route.refusal, who_.destination.to_string(), {}, -1});
      return;
    }
    switch (route.port.protocol) {
      case mesh::AppProtocol::kTcp:
      case mesh::AppProtocol::kTls:
        relay();
        return;
      case mesh::AppProtocol::kHttp:
      case mesh::AppProtocol::kHttp2:
      case mesh::AppProtocol::kGrpc:
        declared_ = true;
        worker().loop().arm(timer_, worker().limits().idle_plain);
        return;
      case mesh::AppProtocol::kUndeclared:
        break;
    }
    if (route.kind == Route::Kind::kOutside ||
        worker().learned().server_first(who_.destination, worker().loop().now())) {
      relay();
      return;
    }
    worker().loop().arm(timer_, worker().limits().sniff_time);
  }

  void on_snapshot() override {}  // nothing is decided yet

 private:
  void on_data(Bytes bytes) override {
    first_.append(bytes);
    switch (http::detect(first_.bytes())) {
      case http::FirstBytes::kNeedMore:
        if (declared_) head_begun();
        return;
      case http::FirstBytes::kHttp1:
        http(HttpKind::kHttp1);
        return;
      case http::FirstBytes::kHttp2:
        http(HttpKind::kHttp2);
        return;
      case http::FirstBytes::kTls:
      case http::FirstBytes::kOther:
        // What is declared as HTTP is parsed as HTTP, and refused if it is none.
        if (declared_)
          http(HttpKind::kHttp1);
        else
          client_first();
        return;
    }
  }

  void client_first() {
    worker().learned().saw(who_.destination, true, worker().loop().now());
    relay();
  }

  void on_end() override {
    if (first_.empty())
      cut();
    else if (declared_)
      http(HttpKind::kHttp1);
    else
      relay();
  }

  void on_failure(StreamFailure, std::string_view) override { close(); }

  void on_timer() override {
    if (declared_) {
      worker().counters().add(begun_ ? http::Counter::kHeadTime : http::Counter::kIdleTime);
      cut();
      return;
    }
    if (first_.empty()) worker().learned().saw(who_.destination, false, worker().loop().now());
    relay();
  }

  bool declared_ = false;
};

}  // namespace

void start_outbound(Worker& worker, Pod& pod, Fd socket, const SocketAddress& client,
                    const SocketAddress& destination) {
  auto* entry =
      new OutboundEntry(worker, pod, {Direction::kOutbound, client, destination, std::string()});
  entry->start(std::move(socket));
}

}  // namespace sallyport::proxy
