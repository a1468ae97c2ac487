// Reading what the program counted, and clearing accounts that nobody needs any more.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "gate/gate.h"
#include "gate/object.h"
#include "gate/tables.h"

namespace sallyport::gate {

// Counters of every rule that the tables name and that has none yet. `known` remembers across
// calls. A rule without one is enforced all the same, it is only not counted.
void open_accounts(const MapSet& maps, const Tables& tables, std::unordered_set<uint32_t>& known);

// Fills connections, limits, overflow, lost events, rules and drops of `stats`.
Status read_accounts(const MapSet& maps, GateStats& stats);

// At most `most` rows, in no order. Rows that change meanwhile may be missed or come twice.
Result<std::vector<Connection>> read_connections(const MapSet& maps, size_t most,
                                                 const TlsNames& names);

// Names of PeerAuthentications: what an earlier process wrote down, and what the tables need. Where
// there is no room any more, names that the tables do not use are given up; kExhausted where that
// is not enough.
void read_names(const MapSet& maps, TlsNames& names);
Status write_names(const MapSet& maps, const Tables& tables, TlsNames& names);

// The quota of an endpoint that is gone, once it has no entries.
void close_account(const MapSet& maps, uint32_t endpoint_id);

// Quotas of endpoints without entries that are not in the tables; and, where the rules' counters
// are more than half full, those of rules that no table names.
void tidy_accounts(const MapSet& maps, const Tables& tables, std::unordered_set<uint32_t>& known);

}  // namespace sallyport::gate
