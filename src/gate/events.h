// From the kernel's records to those of gate.h.
#pragma once

#include "gate/bpf/types.h"
#include "gate/gate.h"
#include "gate/tls_names.h"

namespace sallyport::gate {

[[nodiscard]] FlowEvent to_flow_event(const sp_event& event, const TlsNames& names);

// The row of a connection table entry. `flow.kind` is kNew; counters so far.
[[nodiscard]] Connection to_connection(const sp_key& key, const sp_connection& value,
                                       const TlsNames& names);

// CLOCK_MONOTONIC of an event as nanoseconds since the epoch, by the clocks of now.
[[nodiscard]] int64_t wall_nanos(uint64_t monotonic_ns);

}  // namespace sallyport::gate
