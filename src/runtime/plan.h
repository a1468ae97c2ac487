// A pod as the shim runs it: every reference resolved, every default applied. The node process
// makes it from a PodRequest once; the shim needs nothing else, so pods outlive the node process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "codec/value.h"
#include "k8s/objects.h"

namespace sallyport::runtime {

struct PlannedFile {
  std::string path;  // relative to the volume's root, clean
  std::string data;
  mode_t mode = 0644;
};

struct PlannedVolume {
  std::string name;
  bool files_only = false;  // configMap or secret: mounted read-only always
  bool in_memory = false;   // emptyDir with medium Memory: a tmpfs of its own
  int64_t size_limit = 0;   // bytes; 0: the pod's scratch space bounds it
  std::vector<PlannedFile> files;
  std::optional<int64_t> fs_group;
};

struct PlannedMount {
  std::string volume;
  std::string target;  // absolute path in the container
  std::string sub_path;
  bool read_only = false;
};

struct PlannedLimits {
  std::optional<int64_t> memory;     // bytes
  std::optional<int64_t> cpu_milli;  // thousandths of a CPU
  std::optional<int64_t> pids;
  bool operator==(const PlannedLimits&) const = default;
};

struct PlannedContainer {
  std::string name;
  bool init = false;
  std::string error;  // set: this container cannot start, and why (StartError)
  std::vector<std::string> argv;
  std::vector<std::string> env;  // NAME=value, in order, without duplicates
  std::string cwd = "/";
  int64_t uid = 0;
  std::optional<int64_t> gid;  // none: the user's primary group in /etc/passwd, else 0
  std::vector<int64_t> groups;
  uint64_t capabilities = 0;  // bounding set, bit N is capability N
  bool no_new_privs = false;
  bool read_only_root = false;
  std::vector<PlannedMount> mounts;
  PlannedLimits limits;
  // With port numbers, not names.
  std::optional<k8s::Probe> startup, readiness, liveness;
};

struct Plan {
  std::string uid;
  std::string ns;
  std::string name;
  std::string hostname;
  std::string hosts_file;
  std::string resolv_conf;
  k8s::RestartPolicy restart_policy = k8s::RestartPolicy::kAlways;
  int grace_seconds = 30;
  int backoff_ms = 10'000;                   // delay before the second restart; doubles from there
  std::vector<PlannedContainer> containers;  // init containers first, in order
  std::vector<PlannedVolume> volumes;
  std::vector<std::string> expose;                         // host path, same path in the pod
  std::vector<std::pair<std::string, std::string>> extra;  // host path, path in the pod
  std::vector<std::string> masks;                          // host directories that appear empty
  std::string binary;  // host path of this program to show in the pod; empty: none
  std::vector<Ip> pod_ips;
};

codec::Value encode_plan(const Plan& plan);
Result<Plan> decode_plan(const codec::Value& value);

}  // namespace sallyport::runtime
