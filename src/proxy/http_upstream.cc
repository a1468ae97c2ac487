#include "proxy/http_upstream.h"

#include <utility>

namespace sallyport::proxy {

std::unique_ptr<PooledConnection> make_http_upstream(Worker& worker, Pod&, const Target& target,
                                                     http::Version version, StreamPtr stream) {
  return std::make_unique<HttpUpstream>(worker, target, version, std::move(stream));
}

HttpUpstream::HttpUpstream(Worker& worker, const Target& target, http::Version version,
                           StreamPtr stream)
    : worker_(worker),
      stream_(std::move(stream)),
      input_(worker.buffers()),
      input_work_(*this),
      deadline_([](void* self) { static_cast<HttpUpstream*>(self)->on_deadline(); }, this) {
  stream_->set_user(*this);
  http::CodecContext context{worker.limits(), worker.counters(), worker.buffers(), stream_->out()};
  // Between proxies a peer can vanish with its network, without a FIN.
  const http::ClientOptions options{.keepalive_ping = target.mtls, .early_extended_connect = true};
  codec_ = version == http::Version::kHttp2 ? http::make_h2_client(context, *this, options)
                                            : http::make_h1_client(context, *this, options);
}

http::ClientStream* HttpUpstream::start(const http::RequestHead& head, bool end,
                                        http::ResponseEvents& events, FirstWrite* measured) {
  if (dead_) return nullptr;
  written_at_start_ = stream_->bytes_out();
  http::ClientStream* stream = codec_->start(head, end, events);
  if (stream != nullptr) measured_ = measured;
  used_ = true;
  return stream;
}

bool HttpUpstream::usable() {
  if (dead_ || !stream_ || !codec_->can_start()) return false;
  // Just opened, or just read from: there is nothing to look for, and the stream is in the middle
  // of its read.
  if (codec_->active() != 0 || !used_ || reading_) return true;
  return !stream_->stale();
}

void HttpUpstream::on_data(Bytes bytes) {
  if (dead_) return;
  reading_ = true;
  input_.feed(*codec_, bytes, worker_.loop().now());
  reading_ = false;
  settle();
}

void HttpUpstream::on_end() {
  if (dead_) return;
  input_.end(*codec_, worker_.loop().now());
  settle();
}

void HttpUpstream::on_drained() {
  if (dead_) return;
  if (FirstWrite* measured = std::exchange(measured_, nullptr))
    measured->on_first_write(worker_.loop().fresh_now());
  codec_->drained();
}

void HttpUpstream::on_failure(StreamFailure, std::string_view) {
  if (std::exchange(dead_, true)) return;
  // The kernel took nothing of an HTTP/1 request: it was certainly not processed.
  const bool untouched =
      codec_->version() != http::Version::kHttp2 && stream_->bytes_out() == written_at_start_;
  stream_.reset();
  deadline_.cancel();
  worker_.pool().left(*this);
  codec_->connection_lost(
      {.reason = untouched ? http::ResetReason::kRefused : http::ResetReason::kPeerClosed});
  worker_.loop().retire(std::unique_ptr<Retired>(this));
}

void HttpUpstream::on_capacity() {
  if (dead_) return;
  if (codec_->version() != http::Version::kHttp2 && codec_->can_start()) {
    // At once, so that a request that follows in this event finds it.
    worker_.pool().released(*this);
    return;
  }
  capacity_ = true;
  worker_.loop().after_event(*this);
}

void HttpUpstream::on_turn() {
  if (dead_) return;
  codec_->collect(worker_.loop().now());
  if (!stream_->out().empty()) stream_->flush_soon();
  settle();
  if (dead_ || !std::exchange(capacity_, false)) return;
  if (codec_->can_start()) worker_.pool().released(*this);
}

void HttpUpstream::read_again() {
  if (dead_) return;
  input_.again(*codec_, worker_.loop().now());
  settle();
}

void HttpUpstream::settle() {
  if (dead_) return;
  if (codec_->finished()) {
    end();
    return;
  }
  if (codec_->output_ended()) stream_->finish();
  if (codec_->wants_input())
    stream_->resume();
  else
    stream_->pause();
  const Monotonic deadline = codec_->deadline();
  if (deadline == deadline_at_) return;
  deadline_at_ = deadline;
  if (deadline == http::kNever)
    deadline_.cancel();
  else
    worker_.loop().arm_at(deadline_, deadline);
}

void HttpUpstream::on_deadline() {
  deadline_at_ = http::kNever;
  if (dead_) return;
  codec_->on_time(worker_.loop().now());
  worker_.loop().after_event(*this);
}

void HttpUpstream::end() {
  if (std::exchange(dead_, true)) return;
  deadline_.cancel();
  worker_.pool().left(*this);
  Stream::linger(std::move(stream_));
  worker_.loop().retire(std::unique_ptr<Retired>(this));
}

void HttpUpstream::drain() {
  if (dead_) return;
  codec_->drain(worker_.loop().now());
  worker_.loop().after_event(*this);
}

void HttpUpstream::cut() {
  if (std::exchange(dead_, true)) return;
  stream_->abort();
  stream_.reset();
  deadline_.cancel();
  worker_.pool().left(*this);
  codec_->connection_lost({.reason = http::ResetReason::kPeerClosed});
  worker_.loop().retire(std::unique_ptr<Retired>(this));
}

}  // namespace sallyport::proxy
