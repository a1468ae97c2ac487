// One run of a probe: a non-blocking connection, an HTTP request or a command in the container.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "k8s/objects.h"

namespace sallyport::runtime {

struct ProbeTarget {
  int netns = -1;  // where the connection starts; -1: the caller's namespace
  std::optional<Ip> ip;
  std::string pod_dir;
  std::string container;
  // A connection to one of the pod's addresses begins at the source of its family: what speaks from
  // there is a probe, for all who see it. To elsewhere (a probe's `host`): as the system likes.
  std::vector<Ip> pod_ips = {};
  std::vector<Ip> sources = {};
};

struct ProbeResult {
  bool success = false;
  std::string text;  // why not
};

class ProbeAttempt {
 public:
  virtual ~ProbeAttempt() = default;
  // Does what can be done without waiting; the result once there is one.
  virtual std::optional<ProbeResult> advance() = 0;
  [[nodiscard]] virtual int fd() const = 0;            // to wait for
  [[nodiscard]] virtual bool wants_write() const = 0;  // else: until it is readable
};

// An error is the probe's failure.
Result<std::unique_ptr<ProbeAttempt>> begin_probe(const k8s::Probe& probe,
                                                  const ProbeTarget& target);

// The request of an httpGet probe; kInvalid where a header or the path has a line break.
Result<std::string> http_probe_request(const k8s::Probe& probe, const Ip& ip);
// From the first line of an answer: success is status 200 to 399; nothing: not whole yet.
std::optional<ProbeResult> http_probe_result(std::string_view answer, bool closed);

}  // namespace sallyport::runtime
