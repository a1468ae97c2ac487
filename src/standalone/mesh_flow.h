// A flow record of a proxy, with the names that its addresses had when it arrived.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "codec/value.h"
#include "telemetry/flow_ring.h"
#include "world/world.h"

namespace sallyport::standalone {

struct MeshFlow {
  telemetry::FlowRecord record;
  std::string source_ns, source_pod;  // empty: no pod
  std::string destination_ns, destination_pod;

  [[nodiscard]] WallTime time() const;
  [[nodiscard]] std::string_view kind() const;  // "request", "connection", "refused", "closed"
  // Of the schema of flows, with a member "mesh".
  [[nodiscard]] codec::Value to_value(std::string_view schema) const;
};

// A proxy may be an attacker's: the record's numbers and texts are taken for what they are, no
// more.
MeshFlow mesh_flow(const telemetry::FlowRecord& record, const world::World* world);

}  // namespace sallyport::standalone
