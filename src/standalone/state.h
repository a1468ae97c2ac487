// What a node writes down so that its successor can take over after kill -9. One JSON file,
// replaced atomically after each change, and readable by root alone.
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
  // The marks in these rules; 0: not known. Not for others to read: with a mark a pod would pass by
  // its proxy, which is why the file is root's alone.
  uint32_t outbound_mark = 0, app_mark = 0;
  // "ConfigMap/NAME" or "Secret/NAME" to a hash of the content that the pod has seen.
  std::map<std::string, std::string> references;
};

struct ProcessState {
  pid_t pid = 0;
  uint64_t start_time = 0;
  bool operator==(const ProcessState&) const = default;
};

struct ProxyState {
  std::string group;
  ProcessState process;
  bool operator==(const ProxyState&) const = default;
};

struct RunState {
  int version = kStateVersion;
  int gate_layout = 0;
  std::string manifest_dir;
  pid_t echo_pid = 0;
  uint64_t echo_start_time = 0;
  uint32_t next_endpoint_id = 1;
  uint64_t revision = 0;
  std::vector<ProxyState> proxies;
  std::string rules;  // policy::RuleRegistry::save
  std::vector<PodRecordState> pods;
};

std::string encode_state(const RunState& state);
Status save_state(const std::string& path, const RunState& state);
// kNotFound where there is none; kConflict names both versions where the version differs.
Result<RunState> load_state(const std::string& path);

}  // namespace sallyport::standalone
