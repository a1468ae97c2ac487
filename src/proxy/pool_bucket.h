// The connections of one key of a pool, those under way, and the requests that wait for one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/pool.h"

namespace sallyport::proxy {

class PoolBucket final : public Retired {
 public:
  PoolBucket(Worker& worker, Pod& source, http::Version version)
      : worker_(worker), source_(source), version_(version) {}
  ~PoolBucket() override;

  void acquire(const Target& target, PoolUser& user, bool fresh);
  void released(PooledConnection& connection);
  void left(PooledConnection& connection);
  void cut();                         // connections and requests that wait
  void drain();                       // no new requests on what is there
  void deny(const Refusal& refusal);  // drain(), and who waits is told why
  void end();                         // cut(), and nobody waits here any more
  void tend(Monotonic idle_before, WallTime now);

  [[nodiscard]] Pod& source() const { return source_; }
  [[nodiscard]] const std::string& pod_uid() const { return pod_uid_; }
  [[nodiscard]] size_t size() const { return all_.size(); }
  [[nodiscard]] size_t idle() const;
  [[nodiscard]] bool empty() const { return all_.empty() && dials_.empty() && waiting == 0; }

  PoolUser* first = nullptr;
  PoolUser** tail = &first;
  size_t waiting = 0;

 private:
  // One connection in the making.
  class Attempt final : public Retired, private DialUser {
   public:
    Attempt(PoolBucket& bucket, const Target& target);
    void start(Alpn alpn) { dial_.start(target_, alpn); }
    [[nodiscard]] const Target& target() const { return target_; }

   private:
    void on_dialled(StreamPtr stream) override { bucket_.dialled(*this, std::move(stream)); }
    void on_dial_failed(const Refusal& refusal) override { bucket_.failed(*this, refusal); }
    PoolBucket& bucket_;
    SnapshotPtr held_;
    Target target_;
    Dial dial_;
  };

  void dial(const Target& target);
  void dialled(Attempt& attempt, StreamPtr stream);
  void failed(Attempt& attempt, const Refusal& refusal);
  void forget(Attempt& attempt);
  void serve();  // who waits, from connections with room
  PooledConnection* with_room();
  void refuse_all(const Refusal& refusal);

  Worker& worker_;
  Pod& source_;
  http::Version version_;
  std::string pod_uid_;
  std::vector<PooledConnection*> all_;
  std::vector<PooledConnection*> free_;
  std::vector<std::unique_ptr<Attempt>> dials_;
};

}  // namespace sallyport::proxy
