// The routing rule that leads marked packets to the pod itself, whatever their destination.
// Internal to this module.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sallyport::capture {

// One rule and one table with nothing but "local default dev lo", for each family; a rule with
// another mark is replaced.
Status route_mark_to_self(int netns, uint32_t mark);
// Nothing there is fine.
Status unroute_mark(int netns);

}  // namespace sallyport::capture
