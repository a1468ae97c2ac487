#include "kernel/world_net.h"

#include <netinet/in.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "net/netlink.h"
#include "net/netns.h"
#include "net/sysctl.h"

namespace sallyport::kernel_test {

Result<std::unique_ptr<WorldNet>> WorldNet::build(const WorldPlan& plan, const std::string& tag) {
  std::unique_ptr<WorldNet> world(new WorldNet);
  SP_CHECK_OK(world->make(plan, tag));
  return world;
}

WorldNet::~WorldNet() {
  (void)remove();
}

const Host* WorldNet::find(const std::string& name) const {
  for (const Host& host : hosts_)
    if (host.name == name) return &host;
  return nullptr;
}

Status WorldNet::make(const WorldPlan& plan, const std::string& tag) {
  dir_ = "/run/sallyport-kernel-" + tag + "-" + std::to_string(::getpid());
  SP_CHECK_OK(make_dirs(dir_ + "/bpf"));
  if (::mount("bpf", (dir_ + "/bpf").c_str(), "bpf", 0, "mode=0700") != 0)
    return fail_errno("mount a bpffs at " + dir_ + "/bpf");
  mounted_ = true;
  SP_TRY(network_, node::NodeNetwork::open(dir_));

  hosts_ = plan.hosts;
  ports_ = plan.ports;
  uint32_t last_id = 0;
  for (Host& host : hosts_) {
    if (host.outside) {
      host.netns = network_->outside_netns();
      continue;
    }
    if (host.node) {
      host.netns = network_->node_netns();
      host.v4 = network_->ranges().node4;
      host.v6 = network_->ranges().node6;
      continue;
    }
    host.endpoint_id = ++last_id;
    SP_CHECK_OK(add_pod(host));
  }
  SP_CHECK_OK(add_outside(plan));

  server_ = std::make_unique<EchoServer>();
  for (const Host& host : hosts_)
    SP_CHECK_OK(server_->serve(host.netns, {host.v4, host.v6}, plan.ports));
  SP_CHECK_OK(server_->start());

  gate::GateConfig config;
  config.pin_dir = dir_ + "/bpf";
  config.netns_fd = network_->node_netns();
  config.pod_ranges = plan.pod_ranges;
  config.node_addresses = {network_->ranges().node4, network_->ranges().node6};
  for (uint16_t port : plan.ports)
    for (uint8_t protocol : {uint8_t{IPPROTO_TCP}, uint8_t{IPPROTO_UDP}})
      config.node_ports.push_back({protocol, port});
  SP_TRY(gate_, gate::open_gate(config));
  return {};
}

Status WorldNet::add_pod(Host& host) {
  SP_TRY(Fd netns, net::create_netns());
  host.netns = netns.get();
  namespaces_.push_back(std::move(netns));
  node::PodAddresses addresses{host.v4, host.v6};
  SP_TRY(node::PodLink link,
         network_->prepare(host.netns, "pod" + std::to_string(host.endpoint_id), addresses));
  host.ifindex = link.ifindex;
  return network_->connect(link, addresses);
}

// The outside world of NodeNetwork knows its own ranges; here it also has the plan's addresses, and
// the way back to the plan's pods.
Status WorldNet::add_outside(const WorldPlan& plan) {
  int netns = network_->outside_netns();
  SP_CHECK_OK(net::set_sysctls(netns, {{"ipv4/ping_group_range", "0 2147483647"}}));
  SP_TRY(auto links, net::Netlink::open(netns));
  SP_TRY(int lo, links.ifindex("lo"));
  SP_TRY(int uplink, links.ifindex("node0"));
  for (const Host& host : hosts_) {
    if (!host.outside) continue;
    SP_CHECK_OK(links.add_address(lo, host.v4, 32));
    SP_CHECK_OK(links.add_address(lo, host.v6, 128));
  }
  for (const Cidr& range : plan.pod_ranges) {
    net::Route route{.destination = range, .ifindex = uplink, .on_link = true, .replace = true};
    route.via = range.family() == Family::kV4 ? network_->ranges().node4 : node::pod_gateway6();
    SP_CHECK_OK(links.add_route(route));
  }
  return {};
}

Result<uint64_t> WorldNet::publish(const policy::Compiled& compiled) {
  std::vector<gate::EndpointPort> ports;
  for (const Host& host : hosts_)
    if (host.pod()) ports.push_back({host.endpoint_id, host.ifindex});
  return gate_->publish(compiled, ports);
}

Status WorldNet::remove() {
  server_.reset();
  Status first;
  auto keep = [&first](Status status) {
    if (!status && first) first = std::move(status);
  };
  if (gate_) keep(gate_->remove());
  gate_.reset();
  namespaces_.clear();
  if (network_) keep(network_->remove());
  network_.reset();
  if (mounted_ && ::umount2((dir_ + "/bpf").c_str(), MNT_DETACH) != 0)
    keep(fail_errno("unmount " + dir_ + "/bpf"));
  mounted_ = false;
  if (!dir_.empty()) keep(remove_tree(dir_));
  dir_.clear();
  return first;
}

}  // namespace sallyport::kernel_test
