// status.json of a pod: written by its shim after each change, read by the node process.
#pragma once

#include <string>

#include "base/result.h"
#include "codec/value.h"
#include "runtime/pod_runtime.h"

namespace sallyport::runtime {

// Pids are those of the pod's own PID namespace; readiness is not part of it.
codec::Value encode_state(const PodState& state);
Result<PodState> decode_state(const codec::Value& value);

Status write_state(const std::string& path, const PodState& state);
Result<PodState> read_state(const std::string& path);

}  // namespace sallyport::runtime
