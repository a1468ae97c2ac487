#include "proxy/pool_bucket.h"

#include <algorithm>

#include "proxy/http_seam.h"
#include "proxy/worker.h"

namespace sallyport::proxy {
namespace {

// Certificates are renewed at half their life; what still runs on the old one after four fifths
// ends in good order.
WallTime drain_time(WallTime not_before, WallTime not_after) {
  return not_after - (not_after - not_before) / 5;
}

}  // namespace

PoolBucket::Attempt::Attempt(PoolBucket& bucket, const Target& target)
    : bucket_(bucket),
      held_(bucket.worker_.snapshot()),
      target_(target),
      dial_(bucket.worker_, bucket.source_, *this) {}

PoolBucket::~PoolBucket() {
  for (PooledConnection* connection : all_) connection->bucket_ = nullptr;
}

PooledConnection* PoolBucket::with_room() {
  while (!free_.empty()) {
    PooledConnection* connection = free_.back();
    if (connection->usable()) {
      // An HTTP/1 connection takes one request at a time.
      if (version_ != http::Version::kHttp2) {
        connection->free_ = false;
        free_.pop_back();
      }
      return connection;
    }
    connection->free_ = false;
    free_.pop_back();
    // Idle and yet not usable: the other side has closed it.
    if (connection->active() == 0) connection->drain();
  }
  return nullptr;
}

void PoolBucket::acquire(const Target& target, PoolUser& user, bool fresh) {
  if (pod_uid_.empty() && target.pod) pod_uid_ = target.pod->uid;
  if (!fresh && waiting == 0) {
    if (PooledConnection* connection = with_room()) {
      user.on_connection(*connection);
      return;
    }
  }
  const http::Limits& limits = worker_.limits();
  if (waiting >= limits.pool_waiting) {
    worker_.counters().add(http::Counter::kPoolWaiting);
    user.on_refused({RefusalKind::kOverload, "too many requests wait for a connection", {}, -1});
    return;
  }
  user.waiting_in_ = this;
  user.next_ = nullptr;
  user.link_ = tail;
  *tail = &user;
  tail = &user.next_;
  ++waiting;
  const bool more = version_ == http::Version::kHttp2
                        ? waiting > dials_.size() * limits.streams_at_start
                        : waiting > dials_.size();
  if (more && all_.size() + dials_.size() < limits.pool_connections) dial(target);
}

void PoolBucket::dial(const Target& target) {
  auto attempt = std::make_unique<Attempt>(*this, target);
  Attempt& started = *attempt;
  dials_.push_back(std::move(attempt));
  started.start(version_ == http::Version::kHttp2 ? Alpn::kHttp2 : Alpn::kHttp1);
}

void PoolBucket::forget(Attempt& attempt) {
  auto found = std::ranges::find_if(dials_, [&](const auto& a) { return a.get() == &attempt; });
  if (found == dials_.end()) return;
  worker_.loop().retire(std::move(*found));
  dials_.erase(found);
}

void PoolBucket::dialled(Attempt& attempt, StreamPtr stream) {
  WallTime drain_at = WallTime::max();
  if (const TlsFacts* tls = stream->tls()) {
    drain_at = drain_time(tls->peer->not_before, tls->peer->not_after);
    if (source_.identity)
      drain_at =
          std::min(drain_at, drain_time(source_.identity->not_before, source_.identity->not_after));
  }
  PooledConnection* connection =
      make_http_upstream(worker_, source_, attempt.target(), version_, std::move(stream)).release();
  connection->bucket_ = this;
  connection->drain_at_ = drain_at;
  connection->free_ = true;
  connection->idle_since_ = worker_.loop().now();
  all_.push_back(connection);
  free_.push_back(connection);
  forget(attempt);
  serve();
}

void PoolBucket::failed(Attempt& attempt, const Refusal& refusal) {
  const Refusal told = refusal;
  forget(attempt);
  if (version_ == http::Version::kHttp2 || (dials_.empty() && all_.empty())) {
    if (dials_.empty()) refuse_all(told);
    return;
  }
  if (!first) return;
  PoolUser* user = first;
  user->forget();
  user->on_refused(told);
}

void PoolBucket::refuse_all(const Refusal& refusal) {
  // Only those that wait now: who asks again while being told starts a new attempt.
  for (size_t n = waiting; n > 0 && first; --n) {
    PoolUser* user = first;
    user->forget();
    user->on_refused(refusal);
  }
}

void PoolBucket::serve() {
  while (first) {
    PooledConnection* connection = with_room();
    if (!connection) return;
    PoolUser* user = first;
    user->forget();
    user->on_connection(*connection);
  }
}

void PoolBucket::released(PooledConnection& connection) {
  connection.idle_since_ = worker_.loop().now();
  if (!connection.free_) {
    connection.free_ = true;
    free_.push_back(&connection);
  }
  if (first) serve();
}

void PoolBucket::left(PooledConnection& connection) {
  if (connection.free_) std::erase(free_, &connection);
  connection.free_ = false;
  connection.bucket_ = nullptr;
  std::erase(all_, &connection);
}

void PoolBucket::cut() {
  while (!all_.empty()) {
    PooledConnection* connection = all_.back();
    left(*connection);
    connection->cut();
  }
  while (!dials_.empty()) forget(*dials_.back());
  refuse_all({RefusalKind::kConnect, "the way there has changed", {}, -1});
}

void PoolBucket::drain() {
  while (!all_.empty()) {
    PooledConnection* connection = all_.back();
    left(*connection);
    connection->drain();
  }
}

void PoolBucket::deny(const Refusal& refusal) {
  drain();
  while (!dials_.empty()) forget(*dials_.back());
  refuse_all(refusal);
}

void PoolBucket::end() {
  cut();
  while (first) {
    PoolUser* user = first;
    user->forget();
    user->on_refused({RefusalKind::kConnect, "the pod goes", {}, -1});
  }
}

void PoolBucket::tend(Monotonic idle_before, WallTime now) {
  // Backwards, because those that go are taken out on the way; without a copy, because this runs
  // every second.
  for (size_t i = all_.size(); i-- > 0;) {
    if (i >= all_.size()) continue;
    PooledConnection* connection = all_[i];
    const bool idle = connection->active() == 0 && connection->idle_since_ < idle_before;
    if (!idle && now < connection->drain_at_) continue;
    left(*connection);
    connection->drain();
  }
}

size_t PoolBucket::idle() const {
  return static_cast<size_t>(
      std::ranges::count_if(all_, [](const auto* c) { return c->active() == 0; }));
}

}  // namespace sallyport::proxy
