#include "proxy/pool.h"

#include <algorithm>

#include "proxy/pool_bucket.h"
#include "proxy/worker.h"

namespace sallyport::proxy {
namespace {

// An idle second leg costs the application a connection; making one anew costs little.
constexpr std::chrono::seconds kIdleUpstream{60};

}  // namespace

void PoolUser::forget() {
  if (!link_) return;
  *link_ = next_;
  if (next_)
    next_->link_ = link_;
  else
    waiting_in_->tail = link_;
  --waiting_in_->waiting;
  next_ = nullptr;
  link_ = nullptr;
  waiting_in_ = nullptr;
}

size_t Pool::Hash::operator()(const KeyView& key) const {
  const size_t address = std::hash<SocketAddress>{}(key.address);
  return (reinterpret_cast<uintptr_t>(key.source) >> 4) * 0x9e3779b97f4a7c15ULL ^ address ^
         (std::hash<Ip>{}(key.from) << 1) ^ (static_cast<size_t>(key.version) << 8) ^
         (static_cast<size_t>(key.mtls) << 12);
}

bool Pool::Equal::operator()(const KeyView& a, const Key& b) const {
  return a.source == b.source && a.address == b.address && a.from == b.from &&
         a.version == b.version && a.mtls == b.mtls && a.identity == b.identity;
}

Pool::Pool(Worker& worker) : worker_(worker) {}

Pool::~Pool() {
  for (auto& [key, bucket] : buckets_) bucket->end();
}

void Pool::acquire(Pod& source, const Target& target, http::Version version, PoolUser& user,
                   bool fresh) {
  const http::Version spoken =
      version == http::Version::kHttp2 ? http::Version::kHttp2 : http::Version::kHttp11;
  const std::string_view identity =
      target.mtls ? std::string_view(target.pod->spiffe) : std::string_view{};
  const KeyView wanted{&source, target.address, target.from.value_or(Ip{}),
                       spoken,  target.mtls,    identity};
  auto found = buckets_.find(wanted);
  if (found == buckets_.end()) {
    Key key{&source, target.address, target.from.value_or(Ip{}),
            spoken,  target.mtls,    std::string(identity)};
    found = buckets_.emplace(std::move(key), std::make_unique<PoolBucket>(worker_, source, spoken))
                .first;
  }
  found->second->acquire(target, user, fresh);
}

void Pool::released(PooledConnection& connection) {
  if (connection.bucket_) connection.bucket_->released(connection);
}

void Pool::left(PooledConnection& connection) {
  if (connection.bucket_) connection.bucket_->left(connection);
}

void Pool::on_snapshot() {
  const Snapshot& snapshot = *worker_.snapshot();
  for (auto& [key, bucket] : buckets_) {
    if (key.from != Ip{}) continue;  // the leg to an application: its requests are judged
    Pod& source = bucket->source();
    if (!source.local) continue;
    const PodInfo* pod = snapshot.pod(key.address.ip);
    if (bucket->pod_uid() != (pod ? pod->uid : std::string())) {
      bucket->cut();
      continue;
    }
    if (pod == source.local->info) continue;
    if (snapshot.config().check_network_policy) {
      // Idle connections end; one with a request on its way is gate 1's own to hold.
      bool denied = false;
      for (const Ip& ip : source.local->info->ips) {
        if (ip.family() != key.address.ip.family()) continue;
        const auto answer = snapshot.network(ip, key.address.ip, key.address.port);
        if (answer.allow) continue;
        denied = true;
        bucket->deny({RefusalKind::kNetworkPolicy, std::string(answer.reason),
                      std::string(answer.policy), answer.rule});
      }
      if (denied) continue;
    }
    // What is dialled today is no longer what these connections are.
    if (pod && (pod->takes_mtls(key.address.port) != key.mtls ||
                (key.mtls && pod->spiffe != key.identity)))
      bucket->drain();
  }
}

void Pool::drop(Pod& source) {
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    if (it->first.source != &source) {
      ++it;
      continue;
    }
    it->second->end();
    worker_.loop().retire(std::move(it->second));
    it = buckets_.erase(it);
  }
}

void Pool::tend() {
  const Monotonic now = worker_.loop().now();
  const WallTime wall = worker_.loop().wall();
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    it->second->tend(now - kIdleUpstream, wall);
    if (it->second->empty()) {
      worker_.loop().retire(std::move(it->second));
      it = buckets_.erase(it);
    } else {
      ++it;
    }
  }
}

size_t Pool::connections() const {
  size_t all = 0;
  for (const auto& [key, bucket] : buckets_) all += bucket->size();
  return all;
}

size_t Pool::idle() const {
  size_t all = 0;
  for (const auto& [key, bucket] : buckets_) all += bucket->idle();
  return all;
}

}  // namespace sallyport::proxy
