// One thread of the proxy: its loop, its pods' listeners and sockets, its sessions and pools.
// Workers share nothing; what they need from elsewhere is posted to them as a whole.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "http/buffer.h"
#include "http/limits.h"
#include "mesh/channel.h"
#include "proxy/network.h"
#include "proxy/pool.h"
#include "proxy/reporting.h"
#include "proxy/route.h"
#include "proxy/session.h"
#include "proxy/snapshot.h"
#include "proxy/svid.h"
#include "proxy/tcp_learned.h"

namespace sallyport::proxy {

class Listener;

// One served pod, as this worker has it.
struct Pod {
  Pod();
  ~Pod();
  Pod(const Pod&) = delete;
  Pod& operator=(const Pod&) = delete;

  std::string uid;
  const LocalPod* local = nullptr;  // lives with Worker::snapshot(); null: not configured yet
  std::shared_ptr<const TlsIdentity> identity;  // null: no certificate yet
  std::unique_ptr<SocketStock> stock[2][2];     // kind, family
  std::vector<std::unique_ptr<Listener>> listeners;
  bool exclusive = false;  // other workers have the same listeners
  Session* sessions = nullptr;
  size_t inbound = 0, outbound = 0;  // open downstream connections

  SocketStock& sockets(mesh::SocketKind kind, Family family) {
    return *stock[static_cast<size_t>(kind)][family == Family::kV4 ? 0 : 1];
  }
};

// What a worker asks of the control thread.
struct WorkerRequests {
  std::function<void(const std::string& uid, mesh::SocketKind kind, Family family, int count)>
      sockets;
};

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> create(const Clock& clock, const Network& network,
                                                const http::Limits& limits, WorkerRequests requests,
                                                uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- from the control thread, by loop().post() -------------------------------------------------
  void set_snapshot(SnapshotPtr snapshot);
  void set_svid(const std::shared_ptr<const SvidData>& svid);
  void add_pod(const std::string& uid, std::vector<Fd> outbound, std::vector<Fd> inbound,
               bool exclusive);
  void remove_pod(const std::string& uid);
  void add_sockets(const std::string& uid, mesh::SocketKind kind, Family family,
                   std::vector<Fd> sockets);

  // --- for sessions ------------------------------------------------------------------------------
  EventLoop& loop() { return *loop_; }
  StreamContext& streams() { return streams_; }
  http::BufferPool& buffers() { return buffers_; }
  [[nodiscard]] const http::Limits& limits() const { return limits_; }
  http::Counters& counters() { return counters_; }
  // Pointers into it are good until every session has been told of the next one.
  [[nodiscard]] const SnapshotPtr& snapshot() const { return snapshot_; }
  [[nodiscard]] const Network& network() const { return network_; }
  Pool& pool() { return *pool_; }
  LoadTable& load() { return load_; }
  Random& random() { return random_; }
  Reporting& reporting() { return reporting_; }
  Learned& learned() { return learned_; }

  // Above the share of the memory budget at which new requests and connections are refused.
  [[nodiscard]] bool overloaded() const { return memory() > shed_above_; }
  [[nodiscard]] size_t memory() const;
  void set_budget(size_t bytes);

  void accepted(Pod& pod, Fd socket, Direction direction, Family family);

  // --- for status --------------------------------------------------------------------------------
  [[nodiscard]] size_t sessions() const { return session_count_; }
  [[nodiscard]] const std::map<std::string, std::unique_ptr<Pod>>& pods() const { return pods_; }
  [[nodiscard]] std::map<std::string, std::shared_ptr<const TlsIdentity>> identities() const;

 private:
  friend class Session;
  Worker(std::unique_ptr<EventLoop> loop, const Network& network, const http::Limits& limits,
         WorkerRequests requests, uint64_t seed);
  void refresh(Pod& pod);  // what snapshot and certificates say of it
  template <class F>
  void each_session(F&& f);
  void on_second();

  std::unique_ptr<EventLoop> loop_;
  const Network& network_;
  const http::Limits& limits_;
  WorkerRequests requests_;
  http::Counters counters_;
  http::BufferPool buffers_;
  StreamContext streams_;
  SnapshotPtr snapshot_;
  std::map<std::string, std::unique_ptr<Pod>> pods_;
  std::map<std::string, std::shared_ptr<const TlsIdentity>> identities_;  // by SPIFFE ID
  std::shared_ptr<const identity::TrustBundles> bundles_;
  std::shared_ptr<identity::VerifiedChains> chains_;
  std::string roots_;  // what the chains were made of
  LoadTable load_;
  Random random_;
  Reporting reporting_;
  Learned learned_;
  size_t session_count_ = 0;
  size_t shed_above_ = 0;
  Timer second_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace sallyport::proxy
