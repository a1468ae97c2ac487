#include "proxy/http_exchange.h"

#include <algorithm>
#include <utility>

#include "proxy/http_report.h"

namespace sallyport::proxy {

using telemetry::ResponseFlag;

namespace {

constexpr int kGrpcUnavailable = 14;
constexpr uint32_t kInternalError = 2, kCancel = 8;
constexpr std::string_view kBroken =
    "upstream connect error or disconnect/reset before headers. reset reason: ";

}  // namespace

void Outcome::clear() {
  status = 0;
  grpc_status = -1;
  flag = ResponseFlag::kNone;
  details.clear();
  network_denied = audited = false;
  allow = true;
  policy.clear();
  reason.clear();
  rule = -1;
  generation = 0;
}

Exchange::Exchange(HttpSession& session)
    : session_(session), upward_(*this), early_(session.worker().buffers()) {}

Exchange::~Exchange() {
  if (!live_) return;
  forget_upstream();
  if (up_ != nullptr) up_->reset(kCancel);
  if (counted_) session_.worker().load().remove(target_.address);
}

http::StreamEvents* Exchange::begin(http::ServerStream& stream, http::RequestHead& head, bool end) {
  Worker& worker = session_.worker();
  live_ = true;
  down_ = &stream;
  head_ = &head;
  up_ = nullptr;
  upstream_ = nullptr;
  request_ended_ = end;
  response_started_ = response_ended_ = request_passed_ = body_passed_ = has_trailers_ = false;
  retried_ = counted_ = down_paused_ = up_paused_ = measured_request_ = false;
  tunnel_ = head.body == http::Body::kTunnel;
  grpc_ = is_grpc(head.headers);
  target_ = {};
  target_uid_.clear();
  outcome_.clear();
  outcome_.generation = worker.snapshot()->generation();
  token_ = {};
  started_ = touched_ = worker.loop().now();
  last_read_ = session_.read_at();
  request_end_ = end ? started_ : Monotonic{};
  response_start_ = {};
  wall_ = worker.loop().wall();
  request_bytes_ = response_bytes_ = added_ns_ = 0;
  request_messages_ = response_messages_ = {};
  upstream_local_ = {};
  path_length_ = std::min(head.target.find('?'), head.target.size());

  if (worker.overloaded()) {
    worker.counters().add(http::Counter::kMemoryBudget);
    answer(503, kGrpcUnavailable, "overloaded", ResponseFlag::kOverload, "memory budget");
    return nullptr;
  }
  strip_claims(head.headers);
  if (session_.direction() == Direction::kInbound && !admit()) return nullptr;
  ensure_request_id(head.headers, worker.random());
  route(false);
  return live_ ? this : nullptr;
}

// Finds where the request goes and asks for a connection. `fresh`: not one of the pool.
void Exchange::route(bool fresh) {
  Worker& worker = session_.worker();
  const Snapshot& snapshot = *worker.snapshot();
  const LocalPod& local = *session_.pod().local;
  if (counted_) worker.load().remove(target_.address);
  counted_ = false;
  if (session_.direction() == Direction::kInbound) {
    target_ = to_application(local, session_.who().client, session_.who().destination);
    target_.service = snapshot.port(session_.who().destination).service;
  } else {
    const Route way = resolve(snapshot, local, session_.who().destination);
    auto target =
        choose(snapshot, local, way, local.info->ips.front(), worker.load(), worker.random());
    if (!target) {
      target_.service = way.service != nullptr ? way.service->info : way.port.service;
      target_.pod = way.pod;
      refuse(target.error());
      return;
    }
    target_ = *target;
  }
  target_uid_ = target_.pod != nullptr ? target_.pod->uid : std::string_view();
  worker.load().add(target_.address);
  counted_ = true;
  worker.pool().acquire(session_.pod(), target_,
                        session_.http2() ? http::Version::kHttp2 : http::Version::kHttp11, *this,
                        fresh);
}

void Exchange::on_connection(PooledConnection& connection) {
  auto& upstream = static_cast<HttpUpstream&>(connection);
  const bool end = request_ended_ && early_.empty() && !has_trailers_;
  FirstWrite* measured = measured_request_ ? nullptr : static_cast<FirstWrite*>(this);
  http::ClientStream* stream = upstream.start(*head_, end, upward_, measured);
  if (stream == nullptr) {
    answer(503, kGrpcUnavailable, "the upstream does not take this upgrade",
           ResponseFlag::kUpstreamReset, "upgrade not possible");
    return;
  }
  up_ = stream;
  upstream_ = &upstream;
  if (session_.worker().reporting().log_format() != nullptr)
    upstream_local_ = upstream.local_address();
  request_passed_ = end;
  if (end) return;
  if (!early_.empty()) {
    body_passed_ = true;
    const bool last = request_ended_ && !has_trailers_;
    request_passed_ = last;
    up_->send_data(early_.bytes(), last);
    early_.clear();
  }
  if (up_ != nullptr && request_ended_ && !request_passed_) pass_request_end();
  if (up_ != nullptr && down_paused_ && up_->writable()) {
    down_paused_ = false;
    down_->resume();
  }
}

void Exchange::pass_request_end() {
  request_passed_ = true;
  if (has_trailers_)
    up_->send_trailers(early_trailers_);
  else
    up_->send_data({}, true);
}

// ---- the request
// ----------------------------------------------------------------------------------

void Exchange::on_data(Bytes bytes, bool end) {
  touched_ = session_.worker().loop().now();
  request_bytes_ += bytes.size();
  if (grpc_) request_messages_.take(bytes);
  if (end) {
    request_ended_ = true;
    request_end_ = session_.worker().loop().now();
  }
  if (up_ == nullptr) {
    early_.append(bytes);
    if (!end && early_.size() > session_.worker().limits().write_low) {
      down_paused_ = true;
      down_->pause();
    }
    return;
  }
  body_passed_ = body_passed_ || !bytes.empty();
  request_passed_ = end;
  up_->send_data(bytes, end);
  if (!live_) return;
  if (end && response_ended_) {
    finish();
  } else if (!end && up_ != nullptr && !up_->writable()) {
    down_paused_ = true;
    down_->pause();
  }
}

void Exchange::on_trailers(http::HeaderList& trailers) {
  request_ended_ = true;
  request_end_ = session_.worker().loop().now();
  if (up_ != nullptr) {
    request_passed_ = true;
    up_->send_trailers(trailers);
    if (live_ && response_ended_) finish();
    return;
  }
  has_trailers_ = true;
  early_trailers_.clear();
  for (size_t i = 0; i < trailers.size(); ++i) early_trailers_.add(trailers[i]);
}

void Exchange::on_reset(http::Reset reset) {
  down_ = nullptr;
  outcome_.flag =
      reset.reason == http::ResetReason::kMalformed || reset.reason == http::ResetReason::kLimit
          ? ResponseFlag::kDownstreamProtocol
          : ResponseFlag::kDownstreamClosed;
  outcome_.details = to_string(reset.reason);
  if (!response_started_) outcome_.status = 0;
  forget_upstream();
  if (http::ClientStream* up = std::exchange(up_, nullptr))
    up->reset(reset.reason == http::ResetReason::kPeerReset ? reset.h2_code : kCancel);
  finish();
}

void Exchange::on_writable() {
  if (!up_paused_ || up_ == nullptr) return;
  up_paused_ = false;
  up_->resume();
}

// ---- the response
// ---------------------------------------------------------------------------------

void Exchange::informational(http::ResponseHead& head) {
  if (down_ != nullptr) down_->send_informational(head);
}

void Exchange::response(http::ResponseHead& head, bool end) {
  response_started_ = true;
  response_start_ = touched_ = session_.worker().loop().now();
  outcome_.status = head.status;
  keep_fields(head.headers);
  head.headers.remove_unless([](http::Field field) { return !field.name.starts_with("x-envoy-"); });
  if (grpc_) outcome_.grpc_status = grpc_status(head.headers);
  if (tunnel_ && head.status != 101) request_ended_ = request_passed_ = true;
  if (upstream_ != nullptr) last_read_ = upstream_->read_at();
  session_.measure(this);
  if (end) response_ended_ = true;
  if (end && head.body != http::Body::kNone) head.body = http::Body::kNone;
  down_->send_response(head);
  if (live_ && end) response_done();
}

void Exchange::response_data(Bytes bytes, bool end) {
  touched_ = session_.worker().loop().now();
  response_bytes_ += bytes.size();
  if (grpc_) response_messages_.take(bytes);
  if (end) response_ended_ = true;
  down_->send_data(bytes, end);
  if (!live_) return;
  if (end) {
    response_done();
  } else if (!down_->writable()) {
    up_paused_ = true;
    up_->pause();
  }
}

void Exchange::response_trailers(http::HeaderList& trailers) {
  response_ended_ = true;
  if (grpc_)
    if (const int status = grpc_status(trailers); status >= 0) outcome_.grpc_status = status;
  keep_trailers(trailers);
  down_->send_trailers(trailers);
  if (live_) response_done();
}

// The response is complete. A request that is not has nobody left to read it.
void Exchange::response_done() {
  if (!request_ended_ && tunnel_) return;  // half-closed: the client may go on
  if (!request_passed_ && up_ != nullptr) up_->reset(0);
  if (!request_ended_) down_->reset(0);
  up_ = nullptr;
  finish();
}

void Exchange::upstream_writable() {
  if (!down_paused_ || down_ == nullptr) return;
  down_paused_ = false;
  down_->resume();
}

void Exchange::upstream_reset(http::Reset reset) {
  forget_upstream();
  up_ = nullptr;
  if (!response_started_) {
    if (retry(reset)) return;
    std::string text(kBroken);
    text += to_string(reset.reason);
    answer(503, kGrpcUnavailable, text,
           reset.reason == http::ResetReason::kPeerClosed ? ResponseFlag::kUpstreamClosed
                                                          : ResponseFlag::kUpstreamReset,
           to_string(reset.reason));
    return;
  }
  abort_both(reset.reason == http::ResetReason::kPeerReset ? reset.h2_code : kInternalError,
             reset.reason == http::ResetReason::kPeerClosed ? ResponseFlag::kUpstreamClosed
                                                            : ResponseFlag::kUpstreamReset,
             to_string(reset.reason));
}

// A request that met a closed connection is sent once more, if nothing of its body is gone and it
// is idempotent or was certainly not processed.
bool Exchange::retry(const http::Reset& reset) {
  if (retried_ || body_passed_ || tunnel_) return false;
  const bool untouched = reset.reason == http::ResetReason::kRefused;
  const bool closed = reset.reason == http::ResetReason::kPeerClosed && reset.before_response;
  if (!untouched && !(closed && is_idempotent(head_->method))) return false;
  retried_ = true;
  route(true);
  return true;
}

// ---- ends
// -----------------------------------------------------------------------------------------

void Exchange::on_refused(const Refusal& refusal) {
  refuse(refusal);
}

void Exchange::refuse(const Refusal& refusal) {
  ResponseFlag flag = ResponseFlag::kUpstreamConnect;
  std::string_view body = to_string(refusal.kind);
  switch (refusal.kind) {
    case RefusalKind::kNetworkPolicy:
      outcome_.network_denied = true;
      outcome_.allow = false;
      outcome_.policy = refusal.policy;
      outcome_.rule = refusal.rule;
      outcome_.reason = refusal.detail;
      flag = ResponseFlag::kNoRoute;
      body = "denied by network policy";
      break;
    case RefusalKind::kNoEndpoint:
      flag = ResponseFlag::kNoHealthyUpstream;
      body = "no healthy upstream";
      break;
    case RefusalKind::kUnknownPod:
    case RefusalKind::kUnknownService:
    case RefusalKind::kLoop:
      flag = ResponseFlag::kNoRoute;
      break;
    case RefusalKind::kOverload:
      flag = ResponseFlag::kUpstreamOverflow;
      break;
    case RefusalKind::kTimeout:
      flag = ResponseFlag::kUpstreamTimeout;
      break;
    case RefusalKind::kNoIdentity:
    case RefusalKind::kNoSocket:
    case RefusalKind::kConnect:
    case RefusalKind::kTls:
    case RefusalKind::kWrongPeer:
      break;
  }
  std::string details(to_string(refusal.kind));
  if (!refusal.policy.empty()) details += " " + refusal.policy;
  if (!refusal.detail.empty()) details += ": " + refusal.detail;
  answer(503, kGrpcUnavailable, body, flag, details);
}

// An answer of our own.
void Exchange::answer(uint16_t status, int grpc, std::string_view body, ResponseFlag flag,
                      std::string_view details) {
  outcome_.flag = flag;
  outcome_.details = details;
  response_started_ = response_ended_ = true;
  response_start_ = session_.worker().loop().now();
  http::ResponseHead head;
  if (grpc_) {
    outcome_.status = 200;
    outcome_.grpc_status = grpc;
    head.status = 200;
    head.headers.add("content-type", "application/grpc");
    head.headers.add("grpc-status", std::to_string(grpc));
    head.headers.add("grpc-message", body);
    body = {};
  } else {
    outcome_.status = status;
    head.status = status;
    head.headers.add("content-type", "text/plain");
    if (status == 503) head.headers.add("retry-after", "1");
    if (status == 401) head.headers.add("www-authenticate", "Bearer");
    head.body = http::Body::kLength;
    head.content_length = body.size();
    response_bytes_ = body.size();
  }
  down_->send_response(head);
  if (!body.empty())
    down_->send_data({reinterpret_cast<const uint8_t*>(body.data()), body.size()}, true);
  if (tunnel_) request_ended_ = true;
  if (!request_ended_) down_->reset(0);
  finish();
}

void Exchange::deny() {
  constexpr int kPermissionDenied = 7;
  answer(403, kPermissionDenied, "RBAC: access denied", ResponseFlag::kUnauthorizedExternal,
         "rbac_access_denied: " + outcome_.policy);
}

void Exchange::abort_both(uint32_t down_code, ResponseFlag flag, std::string_view details) {
  outcome_.flag = flag;
  outcome_.details = details;
  forget_upstream();
  if (http::ClientStream* up = std::exchange(up_, nullptr)) up->reset(kCancel);
  if (http::ServerStream* down = std::exchange(down_, nullptr)) down->reset(down_code);
  finish();
}

void Exchange::check_idle(Monotonic before) {
  if (touched_ > before) return;
  session_.worker().counters().add(http::Counter::kStreamIdle);
  if (response_started_) {
    abort_both(kCancel, ResponseFlag::kStreamIdle, "stream idle");
    return;
  }
  forget_upstream();
  if (http::ClientStream* up = std::exchange(up_, nullptr)) up->reset(kCancel);
  constexpr int kDeadlineExceeded = 4;
  answer(504, kDeadlineExceeded, "stream timeout", ResponseFlag::kStreamIdle, "stream idle");
}

void Exchange::forget_upstream() {
  forget();
  session_.forget_measure(*this);
  if (upstream_ != nullptr) upstream_->forget(*this);
  upstream_ = nullptr;
}

void Exchange::on_first_write(Monotonic when) {
  const auto since = std::chrono::nanoseconds(when - last_read_).count();
  if (last_read_ == Monotonic{} || since < 0) return;
  added_ns_ += static_cast<uint64_t>(since);
  if (!measured_request_) {
    measured_request_ = true;
    return;
  }
  // Of the response: the request's part was told before.
  session_.worker().reporting().mesh().added_latency(session_.direction() == Direction::kInbound
                                                         ? telemetry::Reporter::kDestination
                                                         : telemetry::Reporter::kSource,
                                                     added_ns_);
}

void Exchange::finish() {
  if (!std::exchange(live_, false)) return;
  if (upstream_ != nullptr) upstream_->forget(*this);
  report(*this);
  forget();
  if (counted_) session_.worker().load().remove(target_.address);
  counted_ = false;
  early_.clear();
  up_ = nullptr;
  upstream_ = nullptr;
  down_ = nullptr;
  head_ = nullptr;
  session_.done(*this);
}

}  // namespace sallyport::proxy
