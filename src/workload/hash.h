// Content hashes of manifest trees, stable across runs and machines.
#pragma once

#include <cstdint>
#include <string>

#include "codec/value.h"

namespace sallyport::workload {

// Over types, keys and values; positions in the file and the order of a map's keys do not count.
uint64_t hash_value(const codec::Value& value);

// `length` characters that make no words (Kubernetes' alphabet for generated names: no vowels, no
// characters that are easily confused).
std::string safe_text(uint64_t hash, int length);

// The i-th suffix of five characters under `seed`: different for all i below 27^5.
std::string replica_suffix(uint64_t seed, uint32_t index);

}  // namespace sallyport::workload
