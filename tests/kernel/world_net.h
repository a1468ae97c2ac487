// A node with pods as the kernel tests need it: real namespaces and links (node/network.h), one
// gate, servers that answer on every pod, and hosts of the outside world.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "gate/gate.h"
#include "kernel/echo_server.h"
#include "node/network.h"
#include "policy/compiled.h"

namespace sallyport::kernel_test {

// One that sends and is sent to.
struct Host {
  std::string name;  // "ns/name", "outside-N", or "node"
  Ip v4, v6;
  bool outside = false;
  bool node = false;  // only sent to, on what it offers: TCP and UDP on the plan's ports
  int netns = -1;     // owned by the WorldNet
  int ifindex = 0;
  uint32_t endpoint_id = 0;  // 0: no pod

  [[nodiscard]] bool pod() const { return !outside && !node; }
  [[nodiscard]] const Ip& ip(Family family) const { return family == Family::kV4 ? v4 : v6; }
};

struct WorldPlan {
  std::vector<Host> hosts;  // names and addresses; the rest is filled in
  std::vector<uint16_t> ports;
  std::vector<Cidr> pod_ranges;
};

class WorldNet {
 public:
  // `tag` makes the paths of this process unique.
  static Result<std::unique_ptr<WorldNet>> build(const WorldPlan& plan, const std::string& tag);
  ~WorldNet();
  WorldNet(const WorldNet&) = delete;
  WorldNet& operator=(const WorldNet&) = delete;

  [[nodiscard]] const std::vector<Host>& hosts() const { return hosts_; }
  [[nodiscard]] const std::vector<uint16_t>& ports() const { return ports_; }
  [[nodiscard]] const Host* find(const std::string& name) const;
  [[nodiscard]] gate::Gate& gate() { return *gate_; }
  [[nodiscard]] int node_netns() const { return network_->node_netns(); }

  // Publishes for all pods of the plan; returns the generation.
  Result<uint64_t> publish(const policy::Compiled& compiled);

  // Removes everything; errors name what could not be. Also done by the destructor.
  Status remove();

 private:
  WorldNet() = default;
  Status make(const WorldPlan& plan, const std::string& tag);
  Status add_pod(Host& host);
  Status add_outside(const WorldPlan& plan);

  std::string dir_;
  bool mounted_ = false;
  std::unique_ptr<node::NodeNetwork> network_;
  std::unique_ptr<gate::Gate> gate_;
  std::vector<Fd> namespaces_;
  std::vector<Host> hosts_;
  std::vector<uint16_t> ports_;
  std::unique_ptr<EchoServer> server_;
};

}  // namespace sallyport::kernel_test
