// Where a connection or request of a pod goes: what its original destination means, which endpoint
// is picked, and why it may not go at all.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mesh/channel.h"
#include "proxy/address.h"
#include "proxy/snapshot.h"

namespace sallyport::proxy {

enum class RefusalKind : uint8_t {
  kLoop,            // the proxy's own ports
  kUnknownPod,      // an address of the pod range that no pod has
  kUnknownService,  // an address of the Service range that no Service has, or another port of it
  kNoEndpoint,      // a Service without a ready endpoint
  kNetworkPolicy,   // gate 1 would drop it
  kNoIdentity,      // no certificate for the source yet
  kNoSocket,        // the node gave no socket in time
  kConnect,         // could not connect
  kTls,             // the handshake failed
  kWrongPeer,       // another identity than the expected one answered
  kTimeout,
  kOverload,  // too many connections, waiting requests, or bytes
};
std::string_view to_string(RefusalKind kind);

struct Refusal {
  RefusalKind kind = RefusalKind::kConnect;
  std::string detail;  // for the log
  std::string policy;  // kNetworkPolicy: "ns/name" and the rule
  int rule = -1;
};

// What an original destination means to a pod under one snapshot. Pointers live with the snapshot.
struct Route {
  enum class Kind : uint8_t { kService, kPod, kSelf, kOutside, kRefused } kind = Kind::kRefused;
  SocketAddress destination;              // as the application dialled it
  const ServiceEntry* service = nullptr;  // kService
  const PodInfo* pod = nullptr;           // kPod, kSelf
  PortInfo port;                          // what is declared there
  RefusalKind refusal = RefusalKind::kUnknownPod;
};
Route resolve(const Snapshot& snapshot, const LocalPod& source, const SocketAddress& destination);

// One connection to make.
struct Target {
  SocketAddress address;   // dialled
  std::optional<Ip> from;  // bound to first: the leg to an application
  mesh::SocketKind socket = mesh::SocketKind::kOutbound;
  bool mtls = false;
  bool self = false;                     // a Service led back to the pod itself
  bool by_service = false;               // a Service's address was dialled: its name goes as SNI
  const PodInfo* pod = nullptr;          // who is dialled; null: outside
  const ServiceInfo* service = nullptr;  // null: none
};

// How many requests (or connections) each endpoint has from this worker.
class LoadTable {
 public:
  uint32_t& at(const SocketAddress& address) { return active_[address]; }
  [[nodiscard]] uint32_t get(const SocketAddress& address) const {
    auto found = active_.find(address);
    return found == active_.end() ? 0 : found->second;
  }
  void add(const SocketAddress& address) { ++active_[address]; }
  void remove(const SocketAddress& address) {
    auto found = active_.find(address);
    if (found != active_.end() && found->second > 0) --found->second;
  }
  void prune(size_t most);  // forgets the idle ones where there are more

 private:
  std::unordered_map<SocketAddress, uint32_t> active_;
};

// Random numbers for balancing; fast, not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed | 1) {}
  uint32_t below(uint32_t bound);

 private:
  uint64_t state_;
};

// The endpoint for one connection or request: of a Service the less loaded of two random ready
// ones, or the one that the affinity to `client` names. Gate 1 is asked.
std::expected<Target, Refusal> choose(const Snapshot& snapshot, const LocalPod& source,
                                      const Route& route, const Ip& client, const LoadTable& load,
                                      Random& random);

// The leg to the application of a local pod: from the client's address to the pod's own.
Target to_application(const LocalPod& pod, const SocketAddress& client,
                      const SocketAddress& destination);

}  // namespace sallyport::proxy
