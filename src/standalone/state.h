// What a node writes down so that its successor can take over after kill -9. One JSON file,
// replaced atomically after each change; it holds no secrets.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace sallyport::standalone {

inline constexpr int kStateVersion = 1;

struct PodRecordState {
  std::string ns, name, uid, spec_hash;
  uint32_t endpoint_id = 0;
  Ip v4, v6;
  std::string link;
  int ifindex = 0;
  bool prepared = false;  // made, but perhaps not connected and started yet
  bool stopping = false;
  bool captured = false;  // its namespace has, or may have, the mesh's rules
  // "ConfigMap/NAME" or "Secret/NAME" to a hash of the content that the pod has seen.
  std::map<std::string, std::string> references;
};

struct ProcessState {
  pid_t pid = 0;
  uint64_t start_time = 0;
  bool operator==(const ProcessState&) const = default;
};

struct RunState {
  int version = kStateVersion;
  int gate_layout = 0;
  std::string manifest_dir;
  pid_t echo_pid = 0;
  uint64_t echo_start_time = 0;
  uint32_t next_endpoint_id = 1;
  uint64_t revision = 0;
  std::vector<ProcessState> proxies;
  std::string rules;  // policy::RuleRegistry::save
  std::vector<PodRecordState> pods;
};

std::string encode_state(const RunState& state);
Status save_state(const std::string& path, const RunState& state);
// kNotFound where there is none; kConflict names both versions where the version differs.
Result<RunState> load_state(const std::string& path);

}  // namespace sallyport::standalone
