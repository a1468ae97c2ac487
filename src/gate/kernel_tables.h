// Tables into the kernel: a complete set of inner maps, put into a slot of the outer maps.
#pragma once

#include "base/result.h"
#include "gate/object.h"
#include "gate/tables.h"

namespace sallyport::gate {

// Builds the inner maps of a generation and installs them in its slot. They come into force when
// the generation is switched, not before. On an error the slot may hold some of them, which no
// packet reads. kExhausted where the kernel has no room, with what to raise.
//
// Why no packet ever sees two generations mixed: a packet reads the generation once, inside one
// RCU read section, and looks up everything in slot generation % SP_SLOTS. That slot is written
// again by publication generation + SP_SLOTS at the earliest; before it, SP_SLOTS - 1 other
// publications each waited, after the switch away from this generation, for a full RCU grace
// period (the kernel waits for one in every update of a map of maps), so that the packet is gone.
Status install_tables(const MapSet& maps, uint64_t generation, const Tables& tables);

Result<uint64_t> read_generation(const MapSet& maps);
Status switch_generation(const MapSet& maps, uint64_t generation);

}  // namespace sallyport::gate
