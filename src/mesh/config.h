// The configuration of one proxy process: a scoped extract of the world. It holds what deciding and
// dialling needs and nothing else: no Secret, no ConfigMap, no command or environment of any
// container. Encoded as JSON: a list of Kubernetes objects between a few fields of our own, so that
// the proxy reads it with the decoder of manifests and compiles it with the code of the node.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mesh/membership.h"
#include "world/world.h"

namespace sallyport::mesh {

inline constexpr int kConfigSchema = 1;

struct ProxyConfig {
  uint64_t generation = 0;              // monotonic within a run
  world::World world;                   // finished
  std::vector<Cidr> pod_ranges;         // addresses in them that no pod has are refused
  std::vector<Cidr> service_ranges;     // likewise for Services
  std::vector<std::string> local_pods;  // uids of the pods that this process serves
  bool check_network_policy = true;     // gate 1 is asked before dialling
};

std::string encode(const ProxyConfig& config);
// kInvalid names the field. Never half-read.
Result<ProxyConfig> decode(std::string_view json);

}  // namespace sallyport::mesh
