// The Kubernetes objects that Sallyport reads, decoded and defaulted as the API server would.
// Sources: k8s.io/api core/v1, apps/v1, batch/v1, networking/v1, policy.networking.k8s.io/v1alpha2.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "codec/value.h"

namespace sallyport::k8s {

using Labels = std::map<std::string, std::string>;

// Where an object stood, for messages.
struct Origin {
  std::string file;
  codec::Mark mark;
};

struct ObjectMeta {
  std::string name;
  std::string ns;  // empty for cluster-scoped kinds; "default" where the manifest had none
  std::string uid;
  Labels labels;
  std::map<std::string, std::string> annotations;
  // RFC 3339 in UTC with seconds, so that text order is time order; empty where the manifest has
  // none.
  std::string creation_timestamp;
};

// What all objects have. `raw` is the manifest itself, for output; it is shared, never changed.
struct Object {
  std::string api_version;
  std::string kind;
  ObjectMeta meta;
  Origin origin;
  std::shared_ptr<const codec::Value> raw;
};

enum class Protocol : uint8_t { kTcp = 6, kUdp = 17, kSctp = 132, kIcmp = 1 };
std::string_view to_string(Protocol protocol);  // "TCP", ...

// An integer or a string in the manifest.
struct IntOrString {
  int number = 0;
  std::string name;  // set: a name
  [[nodiscard]] bool is_name() const { return !name.empty(); }
  bool operator==(const IntOrString&) const = default;
};

// --- Label selectors (apimachinery labels.Selector) -------------------------------------------

struct LabelRequirement {
  enum class Op { kIn, kNotIn, kExists, kDoesNotExist };
  std::string key;
  Op op = Op::kExists;
  std::vector<std::string> values;  // sorted, unique
  auto operator<=>(const LabelRequirement&) const = default;
};

struct LabelSelector {
  Labels match_labels;
  std::vector<LabelRequirement> match_expressions;
  [[nodiscard]] bool empty() const { return match_labels.empty() && match_expressions.empty(); }
  auto operator<=>(const LabelSelector&) const = default;
};

// --- NetworkPolicy ----------------------------------------------------------------------------

struct IpBlock {
  Cidr cidr;
  std::vector<Cidr> except;
  auto operator<=>(const IpBlock&) const = default;
};

// Exactly one form: an ipBlock, or at least one selector.
struct NetworkPolicyPeer {
  std::optional<LabelSelector> pod_selector;
  std::optional<LabelSelector> namespace_selector;
  std::optional<IpBlock> ip_block;
  auto operator<=>(const NetworkPolicyPeer&) const = default;
};

struct NetworkPolicyPort {
  Protocol protocol = Protocol::kTcp;
  std::optional<IntOrString> port;  // none: all ports of the protocol
  std::optional<int> end_port;
};

struct NetworkPolicyRule {
  std::vector<NetworkPolicyPeer> peers;  // from or to; empty: everyone
  std::vector<NetworkPolicyPort> ports;  // empty: every port of every protocol
  codec::Mark mark;
};

struct NetworkPolicy : Object {
  LabelSelector pod_selector;
  bool isolates_ingress = false;  // policyTypes after defaulting
  bool isolates_egress = false;
  std::vector<NetworkPolicyRule> ingress;
  std::vector<NetworkPolicyRule> egress;
};

// --- ClusterNetworkPolicy (v1alpha2) ----------------------------------------------------------

enum class CnpTier { kAdmin, kBaseline };
enum class CnpAction { kAccept, kDeny, kPass };

// pods{namespaceSelector, podSelector}, or namespaces (then pod_selector is empty: all pods).
struct CnpPods {
  LabelSelector namespace_selector;
  LabelSelector pod_selector;
};

struct CnpPeer {
  std::optional<CnpPods> pods;
  std::vector<Cidr> networks;
  std::optional<LabelSelector> nodes;     // experimental channel
  std::vector<std::string> domain_names;  // experimental channel; only parsed so far
};

struct CnpProtocol {
  std::optional<Protocol> protocol;  // none: destinationNamedPort
  int first_port = 0;                // 0 and 65535 where destinationPort is absent
  int last_port = 65535;
  std::string named_port;
};

struct CnpRule {
  std::string name;
  CnpAction action = CnpAction::kAccept;
  std::vector<CnpPeer> peers;
  std::vector<CnpProtocol> protocols;  // empty: everything
};

struct ClusterNetworkPolicy : Object {
  CnpTier tier = CnpTier::kAdmin;
  int priority = 0;
  CnpPods subject;
  std::vector<CnpRule> ingress;
  std::vector<CnpRule> egress;
};

// --- Core -------------------------------------------------------------------------------------

struct Namespace : Object {};
struct ServiceAccount : Object {};

struct ConfigMap : Object {
  std::map<std::string, std::string> data;  // binaryData decoded into it too
};

struct Secret : Object {
  std::map<std::string, std::string> data;  // decoded; stringData wins
  std::string type;
};

struct Node : Object {
  std::vector<Ip> addresses;  // status.addresses that are IPs
};

struct ContainerPort {
  std::string name;
  int port = 0;
  Protocol protocol = Protocol::kTcp;
};

struct EnvVar {
  enum class From { kValue, kField, kConfigMap, kSecret };
  std::string name;
  From from = From::kValue;
  std::string value;     // kValue; $(VAR) is expanded by the runtime
  std::string ref_name;  // of the ConfigMap or Secret
  std::string ref_key;   // its key, or the field path ("metadata.name", "status.podIP", ...)
  bool optional = false;
};

struct EnvFrom {
  bool secret = false;  // else a ConfigMap
  std::string name;
  std::string prefix;
  bool optional = false;
};

struct VolumeMount {
  std::string name;
  std::string mount_path;
  std::string sub_path;
  bool read_only = false;
};

struct KeyToPath {
  std::string key;
  std::string path;
  std::optional<int> mode;
};

struct Volume {
  enum class Kind { kConfigMap, kSecret, kEmptyDir };
  std::string name;
  Kind kind = Kind::kEmptyDir;
  std::string source;            // name of the ConfigMap or Secret
  std::vector<KeyToPath> items;  // empty: all keys
  int default_mode = 0644;
  bool optional = false;
  int64_t size_limit = 0;  // emptyDir, bytes; 0: none
  bool in_memory = false;  // emptyDir medium Memory
};

struct SecurityContext {
  std::optional<int64_t> run_as_user;
  std::optional<int64_t> run_as_group;
  std::optional<bool> run_as_non_root;
  std::optional<bool> read_only_root_filesystem;
  std::optional<bool> allow_privilege_escalation;
  std::vector<std::string> capabilities_add;  // "NET_RAW", without CAP_; "ALL"
  std::vector<std::string> capabilities_drop;
  // Pod level only:
  std::optional<int64_t> fs_group;
  std::vector<int64_t> supplemental_groups;
};

struct Probe {
  enum class Kind { kHttpGet, kTcpSocket, kExec };
  Kind kind = Kind::kTcpSocket;
  IntOrString port;
  std::string path = "/";
  std::string host;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> command;
  int initial_delay_seconds = 0;
  int period_seconds = 10;
  int timeout_seconds = 1;
  int success_threshold = 1;
  int failure_threshold = 3;
};

struct Resources {
  std::optional<int64_t> memory_limit;     // bytes
  std::optional<int64_t> cpu_limit_milli;  // thousandths of a CPU
  std::optional<int64_t> pids_limit;
};

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::string working_dir;
  std::vector<ContainerPort> ports;
  std::vector<EnvVar> env;
  std::vector<EnvFrom> env_from;
  std::vector<VolumeMount> volume_mounts;
  Resources resources;
  SecurityContext security;
  std::optional<Probe> startup_probe, readiness_probe, liveness_probe;
};

enum class RestartPolicy { kAlways, kOnFailure, kNever };

struct PodSpec {
  std::vector<Container> init_containers;
  std::vector<Container> containers;
  std::vector<Volume> volumes;
  RestartPolicy restart_policy = RestartPolicy::kAlways;
  int termination_grace_seconds = 30;
  std::string service_account = "default";
  std::string node_name;
  std::string hostname;
  std::string subdomain;
  bool host_network = false;
  bool enable_service_links = false;
  SecurityContext security;
};

// From the manifest in offline worlds; filled by the runtime otherwise.
struct PodStatus {
  std::string phase;  // "", Pending, Running, Succeeded, Failed
  std::vector<Ip> pod_ips;
  std::vector<Ip> host_ips;
};

struct Pod : Object {
  PodSpec spec;
  PodStatus status;
};

struct PodTemplate {
  Labels labels;
  std::map<std::string, std::string> annotations;
  PodSpec spec;
  std::shared_ptr<const codec::Value> raw;  // the template node of the manifest
};

struct Deployment : Object {
  int replicas = 1;
  LabelSelector selector;
  PodTemplate pod;
};

struct StatefulSet : Object {
  int replicas = 1;
  LabelSelector selector;
  std::string service_name;
  PodTemplate pod;
};

struct Job : Object {
  int completions = 1;
  int parallelism = 1;
  int backoff_limit = 6;
  PodTemplate pod;
};

struct ServicePort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  int port = 0;
  IntOrString target_port;  // defaulted to `port`
  std::string app_protocol;
};

struct Service : Object {
  Labels selector;  // empty: no endpoints of its own
  bool headless = false;
  std::vector<Ip> cluster_ips;  // as written; empty: assigned by the node
  std::vector<ServicePort> ports;
  bool session_affinity = false;  // ClientIP
  int session_affinity_seconds = 10800;
  bool publish_not_ready = false;
};

// --- Istio's security API (security.istio.io v1 = v1beta1) -------------------------------------

// Values as written, with the twin that negates. Both empty: no condition.
struct MatchValues {
  std::vector<std::string> values;
  std::vector<std::string> not_values;
  [[nodiscard]] bool empty() const { return values.empty() && not_values.empty(); }
  bool operator==(const MatchValues&) const = default;
};

struct AuthorizationSource {
  MatchValues principals;
  MatchValues request_principals;
  MatchValues namespaces;
  MatchValues service_accounts;
  MatchValues trust_domains;     // extended channel
  MatchValues ip_blocks;         // addresses or CIDRs
  MatchValues remote_ip_blocks;  // likewise
};

struct AuthorizationOperation {
  MatchValues hosts;
  MatchValues ports;
  MatchValues methods;
  MatchValues paths;
};

struct AuthorizationCondition {
  std::string key;  // "request.headers[x-tenant]"
  MatchValues match;
};

struct AuthorizationRule {
  std::vector<AuthorizationSource> from;   // empty: any source
  std::vector<AuthorizationOperation> to;  // empty: any operation
  std::vector<AuthorizationCondition> when;
  codec::Mark mark;
};

enum class AuthorizationAction { kAllow, kDeny, kAudit, kCustom };

struct AuthorizationPolicy : Object {
  Labels selector;               // matchLabels; empty: all workloads in scope
  bool has_target_refs = false;  // for gateways and waypoints: no workload of ours heeds it
  AuthorizationAction action = AuthorizationAction::kAllow;
  std::string provider;  // CUSTOM only
  bool dry_run = false;  // annotation istio.io/dry-run
  // No rule: an ALLOW that never matches. A rule without any part matches everything.
  std::vector<AuthorizationRule> rules;
};

enum class MutualTlsMode { kUnset, kDisable, kPermissive, kStrict };

struct PeerAuthentication : Object {
  Labels selector;
  bool has_selector = false;  // with labels in it
  MutualTlsMode mode = MutualTlsMode::kUnset;
  std::map<uint16_t, MutualTlsMode> port_modes;  // by workload port
};

struct JwtHeader {
  std::string name;    // as written
  std::string prefix;  // "Bearer "
};

struct JwtRule {
  std::string issuer;
  std::vector<std::string> audiences;  // empty: not checked
  std::string jwks;                    // inline; empty: jwks_uri or discovery
  std::string jwks_uri;
  std::vector<JwtHeader> from_headers;
  std::vector<std::string> from_params;
  std::vector<std::string> from_cookies;
  std::string output_payload_to_header;
  std::vector<std::pair<std::string, std::string>> output_claim_to_headers;  // header, claim
  std::vector<std::string> space_delimited_claims;  // beside scope and permission
  bool forward_original_token = false;
};

struct RequestAuthentication : Object {
  Labels selector;
  bool has_target_refs = false;
  std::vector<JwtRule> rules;
};

// A kind that is known but handled elsewhere or not at all.
struct OtherObject : Object {};

using AnyObject =
    std::variant<Namespace, ServiceAccount, ConfigMap, Secret, Node, Pod, Deployment, StatefulSet,
                 Job, Service, NetworkPolicy, ClusterNetworkPolicy, AuthorizationPolicy,
                 PeerAuthentication, RequestAuthentication, OtherObject>;

inline const Object& base_of(const AnyObject& object) {
  return std::visit([](const auto& o) -> const Object& { return o; }, object);
}

}  // namespace sallyport::k8s
