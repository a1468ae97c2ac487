// What a proxy process answers when the node asks: metrics as Prometheus text, status as JSON.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "http/limits.h"
#include "proxy/worker.h"

namespace sallyport::proxy {

// A worker's numbers, gathered on its own thread.
struct WorkerFacts {
  http::Counters counters;
  struct PodFacts {
    size_t inbound = 0, outbound = 0;
    bool configured = false, identified = false;
    std::string identity;
    int64_t not_after = 0;
  };
  std::map<std::string, PodFacts> pods;  // by uid
  size_t memory = 0, budget = 0;
  size_t pooled = 0, pooled_idle = 0, streams = 0;
  uint64_t lost_flows = 0, lost_lines = 0;
};
WorkerFacts facts_of(Worker& worker);

std::string metrics_text(const std::vector<WorkerFacts>& facts, const std::vector<Worker*>& workers,
                         const std::map<std::string, int64_t>& certificates, uint64_t generation);
// {"generation", "workers", "pods": {UID: {"inbound", "outbound", "configured", "identity",
// "notAfter"}}, "memoryBytes", "connections", "pooled"}
std::string status_json(const std::vector<WorkerFacts>& facts, uint64_t generation);

}  // namespace sallyport::proxy
