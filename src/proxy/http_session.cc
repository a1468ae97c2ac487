#include "proxy/http_session.h"

#include <utility>

#include "proxy/http_exchange.h"
#include "proxy/http_headers.h"
#include "proxy/http_report.h"

namespace sallyport::proxy {

void make_http_session(Worker& worker, Pod& pod, StreamPtr stream, Downstream who, HttpKind kind,
                       Bytes first) {
  auto* session = new HttpSession(worker, pod, std::move(who), kind);
  session->start(std::move(stream), first);
}

HttpSession::HttpSession(Worker& worker, Pod& pod, Downstream who, HttpKind kind)
    : Session(worker, pod, who.direction),
      who_(std::move(who)),
      kind_(kind),
      input_(worker.buffers()),
      input_work_(*this),
      deadline_([](void* self) { static_cast<HttpSession*>(self)->on_deadline(); }, this),
      idle_([](void* self) { static_cast<HttpSession*>(self)->on_idle(); }, this),
      active_(worker.loop().now()) {}

HttpSession::~HttpSession() = default;

void HttpSession::start(StreamPtr stream, Bytes first) {
  stream_ = std::move(stream);
  stream_->set_user(*this);
  const http::CodecContext context{worker().limits(), worker().counters(), worker().buffers(),
                                   stream_->out()};
  http::ServerOptions options;
  options.extended_connect = true;
  if (!who_.principal.empty()) options.max_streams = worker().limits().streams_most;
  codec_ = kind_ == HttpKind::kHttp2 ? http::make_h2_server(context, *this, options)
                                     : http::make_h1_server(context, *this, options);
  if (direction() == Direction::kInbound && !who_.principal.empty())
    if (const TlsFacts* facts = stream_->tls(); facts != nullptr && facts->peer)
      client_cert_ =
          client_cert_header(pod().local->info->spiffe, facts->peer->sha256, facts->peer_spiffe);
  worker().loop().arm(idle_, std::min(idle_time(), stream_idle()));
  stream_->resume();
  if (kind_ == HttpKind::kHttp2) output_pending();  // SETTINGS
  if (!first.empty()) on_data(first);
}

std::chrono::nanoseconds HttpSession::idle_time() const {
  return who_.principal.empty() ? worker().limits().idle_plain : worker().limits().idle_mesh;
}

bool HttpSession::mode_allows() const {
  if (direction() == Direction::kOutbound) return true;
  const auto mode = pod().local->info->modes.at(who_.destination.port).mode;
  if (who_.principal.empty()) return mode != k8s::MutualTlsMode::kStrict;
  return mode != k8s::MutualTlsMode::kDisable;
}

// Exchanges that ended while they may still have been on the stack.
void HttpSession::rested() {
  free_.insert(free_.end(), resting_.begin(), resting_.end());
  resting_.clear();
}

void HttpSession::on_data(Bytes bytes) {
  if (closed()) return;
  rested();
  active_ = worker().loop().now();
  input_.feed(*codec_, bytes, active_);
  settle();
}

void HttpSession::read_again() {
  if (closed()) return;
  rested();
  input_.again(*codec_, worker().loop().now());
  settle();
}

void HttpSession::on_end() {
  if (closed()) return;
  input_.end(*codec_, worker().loop().now());
  settle();
}

void HttpSession::on_drained() {
  if (closed()) return;
  active_ = worker().loop().now();
  if (FirstWrite* measured = std::exchange(measured_, nullptr))
    measured->on_first_write(worker().loop().fresh_now());
  codec_->drained();
}

void HttpSession::on_failure(StreamFailure, std::string_view) {
  if (closed()) return;
  stream_.reset();
  end();
}

// Everything that has to be told is told; the streams of the exchanges end.
void HttpSession::end() {
  if (closed() || std::exchange(ending_, true)) return;
  deadline_.cancel();
  idle_.cancel();
  codec_->connection_lost({.reason = http::ResetReason::kPeerClosed});
  Stream::linger(std::move(stream_));
  stream_.reset();
  input_.clear();
  close();
}

void HttpSession::cut() {
  if (closed()) return;
  if (stream_) stream_->abort();
  stream_.reset();
  end();
}

void HttpSession::on_cut() {
  cut();
}

void HttpSession::on_drain() {
  if (closed()) return;
  codec_->drain(worker().loop().now());
  output_pending();
}

void HttpSession::on_snapshot() {
  if (closed()) return;
  if (!mode_allows()) {
    tell_cut(*this, "the mode of the port has changed",
             pod().local->info->modes.at(who_.destination.port).policy);
    cut();
    return;
  }
  // An exchange that ends may end others, and the session with them.
  for (size_t i = 0; i < exchanges_.size() && !closed(); ++i)
    if (exchanges_[i]->live()) exchanges_[i]->on_snapshot();
  output_pending();
}

void HttpSession::on_violation(http::Counter what, uint16_t status) {
  tell_violation(*this, what, status);
}

http::StreamEvents* HttpSession::on_request(http::ServerStream& stream, http::RequestHead& head,
                                            bool end) {
  Exchange* exchange = nullptr;
  if (free_.empty()) {
    exchanges_.push_back(std::make_unique<Exchange>(*this));
    exchange = exchanges_.back().get();
  } else {
    exchange = free_.back();
    free_.pop_back();
  }
  return exchange->begin(stream, head, end);
}

void HttpSession::done(Exchange& exchange) {
  resting_.push_back(&exchange);
}

void HttpSession::on_turn() {
  if (closed()) return;
  codec_->collect(worker().loop().now());
  if (!stream_->out().empty()) stream_->flush_soon();
  settle();
}

void HttpSession::settle() {
  if (closed()) return;
  if (codec_->finished()) {
    end();
    return;
  }
  if (codec_->output_ended()) stream_->finish();
  if (codec_->wants_input() && input_.size() < worker().limits().pipelined_bytes)
    stream_->resume();
  else
    stream_->pause();
  const Monotonic deadline = codec_->deadline();
  if (deadline == deadline_at_) return;
  deadline_at_ = deadline;
  if (deadline == http::kNever)
    deadline_.cancel();
  else
    worker().loop().arm_at(deadline_, deadline);
}

void HttpSession::on_deadline() {
  deadline_at_ = http::kNever;
  if (closed()) return;
  codec_->on_time(worker().loop().now());
  output_pending();
}

std::chrono::nanoseconds HttpSession::stream_idle() const {
  return worker().limits().stream_idle;
}

void HttpSession::on_idle() {
  if (closed()) return;
  const Monotonic now = worker().loop().now();
  for (size_t i = 0; i < exchanges_.size() && !closed(); ++i)
    if (exchanges_[i]->live()) exchanges_[i]->check_idle(now - stream_idle());
  if (closed()) return;
  output_pending();
  // A busy connection may become an idle one, and a stream may be older than the others.
  std::chrono::nanoseconds next = std::min(idle_time(), stream_idle());
  if (codec_->active() == 0) {
    const std::chrono::nanoseconds quiet = now - active_;
    if (quiet >= idle_time()) {
      worker().counters().add(http::Counter::kIdleTime);
      on_drain();
      next = worker().limits().drain_time;
    } else {
      next = std::min(next, idle_time() - quiet);
    }
  }
  worker().loop().arm(idle_, next);
}

}  // namespace sallyport::proxy
