// All that the data path asks of the configuration, resolved and indexed: who has an address, what
// a Service leads to, and for the pods of this process the compiled policies. Immutable; built on
// the control thread, published to the workers as a whole, and kept by whoever still uses it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "authz/matcher.h"
#include "authz/path.h"
#include "authz/peer_modes.h"
#include "authz/request_authentication.h"
#include "identity/spiffe_id.h"
#include "mesh/config.h"
#include "mesh/membership.h"
#include "policy/compiled.h"
#include "proxy/address.h"
#include "telemetry/istio_metrics.h"

namespace sallyport::proxy {

// A pod with an address, this process's own or any other.
struct PodInfo {
  std::string uid;
  std::string key;  // "ns/name"
  std::vector<Ip> ips;
  bool meshed = false;
  identity::SpiffeId id;
  std::string spiffe;                     // "spiffe://TD/ns/NS/sa/SA"; empty where it is not meshed
  std::set<uint16_t> exclude_inbound;     // ports that its proxy does not see
  std::set<uint16_t> exclude_outbound;    // likewise, of its own connections
  std::vector<Cidr> exclude_outbound_to;  // likewise
  authz::PeerModes modes;
  telemetry::Party party;
  uint64_t party_hash = 0;

  // What a caller does there: mutual TLS, or plaintext.
  [[nodiscard]] bool takes_mtls(uint16_t port) const {
    return meshed && !exclude_inbound.contains(port) &&
           modes.at(port).mode != k8s::MutualTlsMode::kDisable;
  }
};

// A port of a Service.
struct ServiceInfo {
  std::string name, ns;
  std::string host;  // "NAME.NS.svc.cluster.local"
  std::string sni;   // "outbound_.PORT_._.HOST"
  uint16_t port = 0;
  mesh::AppProtocol protocol = mesh::AppProtocol::kUndeclared;
  bool affinity = false;
  uint64_t hash = 0;
};

struct Backend {
  SocketAddress address;
  const PodInfo* pod = nullptr;
};

// What stands behind ClusterIP:port in one family.
struct ServiceEntry {
  const ServiceInfo* info = nullptr;
  std::vector<Backend> ready;
};

// What is known of a pod's port.
struct PortInfo {
  mesh::AppProtocol protocol = mesh::AppProtocol::kUndeclared;
  const ServiceInfo* service = nullptr;  // the first that leads there; null: none
};

// A pod that this process serves.
struct LocalPod {
  const PodInfo* info = nullptr;
  authz::MatcherPtr matcher;
  std::shared_ptr<const authz::TokenVerifier> tokens;
  authz::PathOptions paths;
};

class Snapshot {
 public:
  // kInvalid says what cannot be used. `trust_domain` and all else come from the configuration.
  static Result<std::shared_ptr<const Snapshot>> build(mesh::ProxyConfig config);

  [[nodiscard]] uint64_t generation() const { return config_.generation; }
  [[nodiscard]] const k8s::MeshSettings& mesh() const { return config_.world.mesh; }
  [[nodiscard]] const mesh::ProxyConfig& config() const { return config_; }

  [[nodiscard]] const PodInfo* pod(const Ip& ip) const;
  [[nodiscard]] const LocalPod* local(const std::string& uid) const;
  [[nodiscard]] const ServiceEntry* service(const SocketAddress& address) const;
  [[nodiscard]] PortInfo port(const SocketAddress& pod_port) const;
  [[nodiscard]] bool in_pod_range(const Ip& ip) const;
  // In a range of Services, or the address of one.
  [[nodiscard]] bool in_service_range(const Ip& ip) const;

  // Gate 1's answer for a TCP connection, and the rule that refuses. Views live with the snapshot.
  struct NetworkAnswer {
    bool allow = true;
    std::string_view policy;
    int rule = -1;
    std::string_view reason;
  };
  [[nodiscard]] NetworkAnswer network(const Ip& from, const Ip& to, uint16_t port) const;

 private:
  Snapshot() = default;
  void add_pods();
  void add_services();
  void add_local_pods();

  mesh::ProxyConfig config_;
  policy::RuleRegistry rules_;
  policy::Compiled network_;
  std::deque<PodInfo> pods_;
  std::deque<ServiceInfo> service_infos_;
  std::unordered_map<Ip, const PodInfo*> by_ip_;
  std::unordered_map<SocketAddress, ServiceEntry> services_;
  std::set<Ip> cluster_ips_;
  std::unordered_map<SocketAddress, PortInfo> ports_;
  std::unordered_map<std::string, LocalPod> local_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace sallyport::proxy
