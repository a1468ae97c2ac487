// Pools of upstream connections that carry HTTP. Between proxies a connection belongs to (source
// pod, destination address and port, expected identity, ALPN): pods never share one, whatever their
// service account. The leg to an application belongs to (pod, client address, port, protocol).
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/message.h"
#include "proxy/dial.h"
#include "proxy/route.h"
#include "proxy/stream.h"

namespace sallyport::proxy {

class Worker;
struct Pod;
class PoolBucket;

// A connection with its client codec; http_upstream.cc implements it.
class PooledConnection : public Retired {
 public:
  // May take one more request now. Looks at the codec and at stale(); false is no promise for ever.
  virtual bool usable() = 0;
  [[nodiscard]] virtual size_t active() const = 0;  // requests under way
  // No new requests; when the last has ended (at once, if there is none) it closes, leaves the pool
  // (Pool::left) if it has not yet, and retires itself.
  virtual void drain() = 0;
  // At once: its requests are told that the connection is lost; likewise leaves and retires.
  virtual void cut() = 0;
  [[nodiscard]] virtual const TlsFacts* tls() const = 0;

  [[nodiscard]] PoolBucket* bucket() const { return bucket_; }  // null: it left the pool

 private:
  friend class Pool;
  friend class PoolBucket;
  PoolBucket* bucket_ = nullptr;
  bool free_ = false;  // among those that may have room
  Monotonic idle_since_;
  WallTime drain_at_ = WallTime::max();  // before either certificate expires
};

// Whoever wants to send a request.
class PoolUser {
 public:
  // Start the request now, in this call: the connection is usable. May come within acquire().
  virtual void on_connection(PooledConnection& connection) = 0;
  virtual void on_refused(const Refusal& refusal) = 0;

 protected:
  ~PoolUser() { forget(); }
  void forget();  // waits no longer

 private:
  friend class Pool;
  friend class PoolBucket;
  PoolUser* next_ = nullptr;
  PoolUser** link_ = nullptr;
  PoolBucket* waiting_in_ = nullptr;
};

class Pool {
 public:
  explicit Pool(Worker& worker);
  ~Pool();

  // Any usable connection, else a new one, else a place in the queue. `fresh`: a new connection
  // only (a pooled one was found closed when it was used).
  void acquire(Pod& source, const Target& target, http::Version version, PoolUser& user,
               bool fresh = false);

  // The connection has room again (a request of it ended), or is idle.
  void released(PooledConnection& connection);
  // It is closed or takes no more requests: it leaves the pool. Its owner retires it (retire()).
  void left(PooledConnection& connection);

  // Closes what the new snapshot denies and what leads to pods that are gone; drains what expires.
  void on_snapshot();
  void drop(Pod& source);  // everything of a pod that goes away
  void tend();             // every second: idle and expiring connections, empty buckets
  [[nodiscard]] size_t connections() const;
  [[nodiscard]] size_t idle() const;

 private:
  friend class PoolBucket;
  struct Key {
    const Pod* source = nullptr;
    SocketAddress address;
    Ip from;  // zero: not bound
    http::Version version = http::Version::kHttp11;
    bool mtls = false;
    std::string identity;
    bool operator==(const Key&) const = default;
  };
  struct KeyView {
    const Pod* source;
    SocketAddress address;
    Ip from;
    http::Version version;
    bool mtls;
    std::string_view identity;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const KeyView& key) const;
    size_t operator()(const Key& key) const { return (*this)(view(key)); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const KeyView& a, const Key& b) const;
    bool operator()(const Key& a, const KeyView& b) const { return (*this)(b, a); }
    bool operator()(const Key& a, const Key& b) const { return a == b; }
  };
  static KeyView view(const Key& key) {
    return {key.source, key.address, key.from, key.version, key.mtls, key.identity};
  }

  Worker& worker_;
  std::unordered_map<Key, std::unique_ptr<PoolBucket>, Hash, Equal> buckets_;
};

}  // namespace sallyport::proxy
