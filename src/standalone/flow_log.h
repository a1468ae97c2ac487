// Flow events in words: names, policies and reasons are added, the newest are kept, followers are
// told. One record is one JSON object of the schema sallyport.dev/flow/v1alpha1; fields are only
// ever added.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "codec/value.h"
#include "gate/gate.h"
#include "policy/compiled.h"
#include "standalone/mesh_flow.h"
#include "telemetry/flow_ring.h"
#include "world/world.h"

namespace sallyport::standalone {

inline constexpr char kFlowSchema[] = "sallyport.dev/flow/v1alpha1";

struct FlowFilter {
  std::string from, to;  // "ns/pod", "ns/" (every pod of it), or an address; empty: any
  std::string verdict;   // "allowed", "denied" or empty
  WallTime since{};      // only later ones
  [[nodiscard]] bool matches(const codec::Value& record, WallTime time) const;
};

class FlowLog {
 public:
  using RecordPtr = std::shared_ptr<const codec::Value>;

  explicit FlowLog(size_t keep = 20000) : keep_(keep) {}

  // Endpoints that flows may still name after their pod is gone.
  void learn(const world::World& world);
  void add(const gate::FlowEvent& event, WallTime time, const world::World* world,
           const policy::RuleRegistry& rules);

  // A record of a proxy. It is put into words when somebody asks for it.
  void add_mesh(const telemetry::FlowRecord& record, const world::World* world);

  // The newest `last` records that match, oldest first.
  [[nodiscard]] std::vector<RecordPtr> last(const FlowFilter& filter, size_t last) const;
  // `sink` is called for each new record until unfollow().
  uint64_t follow(std::function<void(const codec::Value&, WallTime)> sink);
  void unfollow(uint64_t id) { followers_.erase(id); }

  struct Counts {
    std::map<std::string, uint64_t> by_kind;  // "new", "denied", "closed", "revoked", "mesh-..."
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::string pod_of(uint32_t endpoint_id) const;  // "ns/name" or empty

 private:
  struct Entry {
    WallTime time;
    RecordPtr record;  // null: `mesh` is not in words yet
    std::shared_ptr<const MeshFlow> mesh;
  };
  struct Name {
    std::string ns, name;
  };
  [[nodiscard]] codec::Value side(const Ip& ip, uint16_t port, uint32_t endpoint_id,
                                  bool has_port) const;

  void keep(Entry entry);

  size_t keep_;
  // Put into words where it was not: changes nothing that anybody sees.
  mutable std::deque<Entry> entries_;
  std::unordered_map<uint32_t, Name> names_;
  std::deque<uint32_t> name_order_;
  std::map<uint64_t, std::function<void(const codec::Value&, WallTime)>> followers_;
  uint64_t next_follower_ = 1;
  Counts counts_;
};

}  // namespace sallyport::standalone
