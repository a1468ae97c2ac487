#include "proxy/worker.h"

#include <sys/socket.h>

#include "base/log.h"
#include "proxy/entry.h"
#include "proxy/listener.h"

namespace sallyport::proxy {
namespace {

constexpr std::chrono::seconds kHousekeeping{1};
constexpr size_t kLoadMost = 4096;
// What a connection costs beside its buffers: the stream, keys, session and codec.
constexpr size_t kPerStream = 6 << 10;

void reset(Fd socket) {
  const linger hard{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace

Pod::Pod() = default;
Pod::~Pod() = default;

Worker::Worker(std::unique_ptr<EventLoop> loop, const Network& network, const http::Limits& limits,
               WorkerRequests requests, uint64_t seed)
    : loop_(std::move(loop)),
      network_(network),
      limits_(limits),
      requests_(std::move(requests)),
      streams_(*loop_, buffers_, limits_, counters_),
      random_(seed),
      reporting_(*loop_),
      second_([](void* self) { static_cast<Worker*>(self)->on_second(); }, this),
      pool_(std::make_unique<Pool>(*this)) {
  set_budget(limits_.memory_budget);
  loop_->arm(second_, kHousekeeping);
}

Result<std::unique_ptr<Worker>> Worker::create(const Clock& clock, const Network& network,
                                               const http::Limits& limits, WorkerRequests requests,
                                               uint64_t seed) {
  SP_TRY(std::unique_ptr<EventLoop> loop, EventLoop::create(clock));
  return std::unique_ptr<Worker>(
      new Worker(std::move(loop), network, limits, std::move(requests), seed));
}

Worker::~Worker() {
  while (!pods_.empty()) remove_pod(pods_.begin()->first);
  pool_.reset();
  loop_->bury();  // while the buffers that the dead hold are still there
}

// A session may end any other, so the list is walked from its head, over those not yet told.
template <class F>
void Worker::each_session(F&& f) {
  for (auto& [uid, pod] : pods_) {
    std::vector<Session*> all;
    for (Session* session = pod->sessions; session; session = session->next_)
      all.push_back(session);
    for (Session* session : all)
      if (!session->closed_) f(*session);
  }
}

void Worker::set_snapshot(SnapshotPtr snapshot) {
  const SnapshotPtr old = std::move(snapshot_);
  snapshot_ = std::move(snapshot);
  reporting_.set_format(snapshot_->mesh());
  for (auto& [uid, pod] : pods_) {
    const LocalPod* local = snapshot_->local(uid);
    if (!local && pod->local) {
      // It is not ours any more: nothing may be decided by what it was.
      while (pod->sessions) pod->sessions->on_cut();
      pool_->drop(*pod);
      pod->listeners.clear();
    }
    pod->local = local;
    refresh(*pod);
  }
  each_session([](Session& session) { session.on_snapshot(); });
  pool_->on_snapshot();
}

void Worker::refresh(Pod& pod) {
  if (pod.local) {
    auto identity = identities_.find(pod.local->info->spiffe);
    pod.identity = identity == identities_.end() ? nullptr : identity->second;
  }
  if (!pod.local || !pod.identity) return;
  for (auto& listener : pod.listeners)
    if (auto started = listener->start(pod.exclusive); !started)
      log_warn("proxy", "a listener of " + pod.uid + ": " + started.error().message);
}

void Worker::set_svid(const std::shared_ptr<const SvidData>& svid) {
  if (!chains_ || svid->roots_text != roots_) {
    auto bundles = identity::TrustBundles::make(svid->roots);
    if (!bundles) {
      log_warn("proxy", "trust bundles: " + bundles.error().message);
      return;
    }
    bundles_ = std::move(*bundles);
    chains_ = identity::VerifiedChains::make(bundles_);
    roots_ = svid->roots_text;
  }
  auto out = std::make_shared<TlsIdentity>();
  identity::TlsOptions options;
  options.alpn = accepted_alpn();
  auto server = identity::TlsContext::server(svid->credentials, chains_, loop_->clock(), options);
  auto client = identity::TlsContext::client(svid->credentials, chains_, loop_->clock());
  if (!server || !client) {
    log_warn("proxy", "the certificate of " + svid->id.to_string() + ": " +
                          (server ? client.error().message : server.error().message));
    return;
  }
  out->id = svid->id;
  out->server = std::move(*server);
  out->client = std::move(*client);
  out->not_before = svid->not_before;
  out->not_after = svid->not_after;
  identities_[svid->id.to_string()] = std::move(out);
  for (auto& [uid, pod] : pods_) refresh(*pod);
}

void Worker::add_pod(const std::string& uid, std::vector<Fd> outbound, std::vector<Fd> inbound,
                     bool exclusive) {
  remove_pod(uid);
  auto pod = std::make_unique<Pod>();
  pod->exclusive = exclusive;
  pod->uid = uid;
  for (size_t kind = 0; kind < 2; ++kind)
    for (size_t family = 0; family < 2; ++family)
      pod->stock[kind][family] =
          std::make_unique<SocketStock>([this, uid, kind, family](int count) {
            requests_.sockets(uid, static_cast<mesh::SocketKind>(kind),
                              family == 0 ? Family::kV4 : Family::kV6, count);
          });
  auto listen = [&](std::vector<Fd>& sockets, Direction direction) {
    for (Fd& socket : sockets) {
      if (!socket) continue;
      sockaddr_storage raw{};
      socklen_t size = sizeof raw;
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&raw), &size);
      const Family family = raw.ss_family == AF_INET6 ? Family::kV6 : Family::kV4;
      pod->listeners.push_back(
          std::make_unique<Listener>(*this, *pod, std::move(socket), direction, family));
    }
  };
  listen(outbound, Direction::kOutbound);
  listen(inbound, Direction::kInbound);
  if (snapshot_) pod->local = snapshot_->local(uid);
  refresh(*pod);
  Pod& added = *pod;
  pods_[uid] = std::move(pod);
  for (auto& kinds : added.stock)
    for (auto& stock : kinds) stock->fill();
}

void Worker::remove_pod(const std::string& uid) {
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  std::unique_ptr<Pod> pod = std::move(found->second);
  pods_.erase(found);
  pod->listeners.clear();
  while (pod->sessions) pod->sessions->on_cut();
  pool_->drop(*pod);
  // Sessions that end are destroyed at the end of the turn, and may look at their pod until then.
  struct Buried final : Retired {
    explicit Buried(std::unique_ptr<Pod> p) : pod(std::move(p)) {}
    std::unique_ptr<Pod> pod;
  };
  loop_->retire_last(std::make_unique<Buried>(std::move(pod)));
}

void Worker::add_sockets(const std::string& uid, mesh::SocketKind kind, Family family,
                         std::vector<Fd> sockets) {
  auto found = pods_.find(uid);
  if (found != pods_.end()) found->second->sockets(kind, family).add(std::move(sockets));
}

void Worker::accepted(Pod& pod, Fd socket, Direction direction, Family family) {
  if (!pod.local) return;
  if (session_count_ >= limits_.connections) {
    counters_.add(http::Counter::kConnections);
    reset(std::move(socket));
    return;
  }
  if (overloaded()) {
    counters_.add(http::Counter::kMemoryBudget);
    reset(std::move(socket));
    return;
  }
  auto destination = network_.original_destination(socket.get(), family);
  auto client = network_.peer(socket.get());
  if (!destination || !client) {
    reset(std::move(socket));
    return;
  }
  if (direction == Direction::kInbound)
    start_inbound(*this, pod, std::move(socket), *client, *destination);
  else
    start_outbound(*this, pod, std::move(socket), *client, *destination);
}

size_t Worker::memory() const {
  return buffers_.in_use() + streams_.open * kPerStream;
}

void Worker::set_budget(size_t bytes) {
  shed_above_ = bytes / 100 * limits_.shed_percent;
}

std::map<std::string, std::shared_ptr<const TlsIdentity>> Worker::identities() const {
  return identities_;
}

void Worker::on_second() {
  load_.prune(kLoadMost);
  for (auto& [uid, pod] : pods_)
    for (auto& kinds : pod->stock)
      for (auto& stock : kinds) stock->tend();
  if (memory() + buffers_.kept() > shed_above_ / limits_.shed_percent * limits_.shrink_percent)
    buffers_.shrink();
  pool_->tend();
  loop_->arm(second_, kHousekeeping);
}

}  // namespace sallyport::proxy
