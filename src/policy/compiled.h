// The compiled form of all policies over one world: what the kernel tables, the analyzer and later
// the proxy use. Everything is resolved and deduplicated; tiers are compiled away.
//
// A decision for one direction of a connection:
//   subject address -> EndpointEntry -> rule set of the direction (0: not isolated, allow)
//   remote address  -> peer class    (an endpoint's own, else by longest prefix in `cidrs`, else 0)
//   (set, class)    -> port program  (else the set's default program)
//   (protocol, port)-> piece: action and rule id
//
// Two addresses have one peer class where exactly the same peers of all policies match them (and,
// for egress, the same named ports resolve to the same numbers). Class 0 matches only "everyone".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "policy/verdict.h"
#include "world/world.h"

namespace sallyport::policy {

using RuleId = uint32_t;   // monotonic, never reused within a run; 0 means none
using SetId = uint32_t;    // a rule set of one direction; 0 means not isolated
using ClassId = uint32_t;  // a peer class; 0 is the class of unknown addresses
using ProgramId = uint32_t;

enum class Action : uint8_t { kDeny = 0, kAllow = 1 };

// From `first_port` up to the next piece (or 65535).
struct PortPiece {
  uint16_t first_port = 0;
  Action action = Action::kDeny;
  RuleId rule = 0;
  bool operator==(const PortPiece&) const = default;
};

// For each protocol a sorted list of pieces that starts at port 0 and is never empty. `other` is
// for every protocol without ports (ICMP and the rest).
struct PortProgram {
  std::vector<PortPiece> tcp, udp, sctp;
  PortPiece other;
  bool operator==(const PortProgram&) const = default;
};

// What a rule id stands for.
struct RuleInfo {
  RuleId id = 0;
  Direction direction = Direction::kEgress;
  Reason reason = Reason::kRule;
  Action action = Action::kAllow;
  std::string policy;                    // as in DirectionVerdict
  int rule = -1;                         // zero-based; -1 where no rule decides
  std::vector<std::string> isolated_by;  // for an implicit deny
};

// Ids that outlive one compilation: the same rule (same policy, content, index, direction; the same
// set of isolating policies for an implicit deny) keeps its id; a changed one gets a new id.
// Persist and restore it across restarts of the node with save() and load().
class RuleRegistry {
 public:
  RuleId intern(const RuleInfo& info, uint64_t content_hash);
  // Null for 0 and for a rule that is forgotten. Valid until the next trim() or load().
  [[nodiscard]] const RuleInfo* find(RuleId id) const;
  [[nodiscard]] RuleId next() const { return next_; }
  [[nodiscard]] size_t size() const { return by_id_.size(); }

  // compile() calls begin() first and trim() last. trim() forgets the rules that were longest
  // unused where there are many more (10,000 and twice what is in use) than the last compilation
  // used; their ids are never given again.
  void begin() { ++epoch_; }
  void trim();

  // Appends the whole registry as text: a head line, then a line per rule.
  void save(std::string& out) const;
  // Replaces the registry; on any error nothing is changed. kInvalid names the line.
  Status load(std::string_view in);

 private:
  struct Entry {
    RuleInfo info;
    uint64_t content_hash = 0;
    uint64_t used = 0;  // the last compilation that had it
  };
  RuleId next_ = 1;
  uint64_t epoch_ = 0;
  std::unordered_map<std::string, RuleId> by_key_;
  std::unordered_map<RuleId, Entry> by_id_;
};

struct EndpointEntry {
  Ip address;
  uint32_t endpoint_id = 0;
  ClassId peer_class = 0;
  SetId egress_set = 0;
  SetId ingress_set = 0;
};

struct CidrEntry {
  Cidr cidr;
  ClassId peer_class = 0;
};

struct RuleSet {
  SetId id = 0;
  Direction direction = Direction::kEgress;
  // For classes without an entry in Compiled::programs_of: the program of most classes. Class 0 may
  // have an entry like any other.
  ProgramId default_program = 0;
};

struct Compiled {
  uint64_t revision = 0;                 // of the world
  std::vector<EndpointEntry> endpoints;  // sorted by address; one per address
  std::vector<CidrEntry> cidrs;          // longest prefix wins; disjoint classes, `except` resolved
  std::vector<RuleSet> sets;             // index = SetId - 1
  std::vector<PortProgram> programs;     // index = ProgramId, deduplicated
  std::unordered_map<uint64_t, ProgramId> programs_of;  // key = set << 32 | class

  static uint64_t key(SetId set, ClassId peer) { return uint64_t{set} << 32 | peer; }

  // The decision as the kernel makes it, over these tables, in user space. A connection of an
  // address to itself is allowed. Traffic that the node itself sends to its pods never reaches the
  // gate and is not modelled here: a node's address is judged as any other.
  struct Answer {
    bool allow = true;
    RuleId egress_rule = 0;  // 0: not isolated, no pod, or self
    RuleId ingress_rule = 0;
  };
  [[nodiscard]] Answer decide(const Ip& from, const Ip& to, uint8_t protocol, uint16_t port) const;
};

using CompiledPtr = std::shared_ptr<const Compiled>;

// Includes ClusterNetworkPolicies where `with_cluster_policies`; the node leaves them out until
// they are enforced. Deterministic: the first policy in (ns, name), then rule order, gets the
// credit.
[[nodiscard]] Compiled compile(const world::World& world, RuleRegistry& rules,
                               bool with_cluster_policies = false);

}  // namespace sallyport::policy
