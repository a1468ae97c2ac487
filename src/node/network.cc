#include "node/network.h"

#include <unistd.h>

#include <map>
#include <mutex>
#include <optional>

#include "base/fs.h"
#include "base/strings.h"
#include "net/netlink.h"
#include "node/address_pool.h"
#include "node/cluster_ips.h"
#include "node/link_reaper.h"
#include "node/pod_link.h"
#include "node/services.h"
#include "node/topology.h"

namespace sallyport::node {
namespace {

// The next pod address is written down for so many at a time: a node that takes over begins after
// them, and so never reuses one that was released within the last minute.
constexpr uint32_t kAddressBlock = 64;

class Network final : public NodeNetwork {
 public:
  Network(std::string dir, const Ranges& ranges, Topology topology, net::Netlink links,
          net::Netlink reaper_links, uint32_t first_address)
      : dir_(std::move(dir)),
        ranges_(ranges),
        topology_(std::move(topology)),
        links_(std::move(links)),
        pool_(ranges, first_address),
        recorded_(first_address),
        cluster_ips_(ranges),
        services_(topology_.node.get(), ranges),
        reaper_(std::in_place, std::move(reaper_links)) {}

  // The rest of open(): what a new node needs before its first pod, or what a dead one wrote down.
  Status begin() {
    if (!topology_.taken_over) return services_.apply(world::World{});
    if (!exists(cluster_ips_file())) return {};
    SP_TRY(std::string text, read_file(cluster_ips_file()));
    if (Status loaded = cluster_ips_.load(text); !loaded)
      return fail_in(cluster_ips_file(), std::move(loaded).error());
    return {};
  }

  int node_netns() const override { return topology_.node.get(); }
  int outside_netns() const override { return topology_.outside.get(); }
  const Ranges& ranges() const override { return ranges_; }

  Result<PodAddresses> allocate(Clock& clock) override {
    std::lock_guard lock(mutex_);
    SP_TRY(PodAddresses addresses, pool_.allocate(clock.now()));
    uint32_t offset = addresses.v4.v4_host_order() - ranges_.pods4.base.v4_host_order();
    // Outside the block that is written down: also after going round the range.
    if (offset >= recorded_ || offset + kAddressBlock < recorded_) {
      uint32_t end = offset + kAddressBlock;
      Status written = write_file_atomic(next_address_file(), std::to_string(end) + "\n");
      if (!written) {
        pool_.release(addresses, clock.now());
        return std::unexpected(std::move(written).error());
      }
      recorded_ = end;
    }
    return addresses;
  }

  Status claim(const PodAddresses& addresses) override {
    std::lock_guard lock(mutex_);
    return pool_.claim(addresses);
  }

  void release(const PodAddresses& addresses, Clock& clock) override {
    std::lock_guard lock(mutex_);
    pool_.release(addresses, clock.now());
  }

  Result<PodLink> prepare(int pod_netns, const std::string& link_name,
                          const PodAddresses& addresses) override {
    std::lock_guard lock(mutex_);
    SP_TRY(PreparedLink made, prepare_pod_link(links_, pod_netns, link_name, addresses));
    pod_ends_.insert_or_assign(made.link.ifindex, std::move(made.end));
    return made.link;
  }

  Status connect(const PodLink& link, const PodAddresses& addresses) override {
    std::lock_guard lock(mutex_);
    auto end = pod_ends_.find(link.ifindex);
    SP_CHECK_OK(
        connect_pod_link(links_, link, addresses, end == pod_ends_.end() ? nullptr : &end->second));
    if (end != pod_ends_.end()) pod_ends_.erase(end);
    return {};
  }

  Status disconnect(const PodLink& link) override {
    std::lock_guard lock(mutex_);
    pod_ends_.erase(link.ifindex);
    SP_TRY(bool doomed, disconnect_pod_link(links_, link));
    if (doomed && reaper_) reaper_->wake();
    return {};
  }

  Result<std::vector<Ip>> assign_cluster_ips(const k8s::Service& service) override {
    std::lock_guard lock(mutex_);
    return cluster_ips_.assign(service);
  }

  Status apply_services(const world::World& world) override {
    std::lock_guard lock(mutex_);
    SP_CHECK_OK(services_.apply(world));
    cluster_ips_.settle(world);
    return record_cluster_ips();
  }

  Status remove() override {
    std::lock_guard lock(mutex_);
    pod_ends_.clear();
    reaper_.reset();
    return remove_all(dir_, topology_);
  }

  static Status remove_all(const std::string& dir, Topology& topology) {
    SP_CHECK_OK(remove_topology(dir, topology));
    ::unlink(next_address_file(dir).c_str());
    ::unlink(cluster_ips_file(dir).c_str());
    if (::rmdir(dir.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + dir);
    return {};
  }

  static std::string next_address_file(const std::string& dir) { return dir + "/next-address"; }
  static std::string cluster_ips_file(const std::string& dir) { return dir + "/cluster-addresses"; }

 private:
  std::string next_address_file() const { return next_address_file(dir_); }
  std::string cluster_ips_file() const { return cluster_ips_file(dir_); }

  Status record_cluster_ips() {
    std::string text = cluster_ips_.to_text();
    if (text == recorded_cluster_ips_) return {};
    SP_CHECK_OK(write_file_atomic(cluster_ips_file(), text));
    recorded_cluster_ips_ = std::move(text);
    return {};
  }

  std::mutex mutex_;
  std::string dir_;
  Ranges ranges_;
  Topology topology_;
  net::Netlink links_;  // in the node's namespace
  AddressPool pool_;
  uint32_t recorded_;  // the end of the block of addresses that is written down
  ClusterIps cluster_ips_;
  std::string recorded_cluster_ips_;
  Services services_;
  std::map<int, PodEnd> pod_ends_;  // by ifindex: prepared and not yet connected
  std::optional<LinkReaper> reaper_;
};

}  // namespace

Status NodeNetwork::discard(const std::string& state_dir) {
  Topology topology = find_topology(state_dir + "/netns");
  return Network::remove_all(state_dir + "/netns", topology);
}

Result<std::unique_ptr<NodeNetwork>> NodeNetwork::open(const std::string& state_dir) {
  Ranges ranges = default_ranges();
  std::string dir = state_dir + "/netns";
  SP_TRY(Topology topology, open_topology(dir, ranges));
  SP_TRY(net::Netlink links, net::Netlink::open(topology.node.get()));
  SP_TRY(net::Netlink reaper_links, net::Netlink::open(topology.node.get()));
  uint32_t first = 1;
  std::string file = Network::next_address_file(dir);
  if (topology.taken_over && exists(file)) {
    SP_TRY(std::string text, read_file(file, 64));
    auto number = parse_number<uint32_t>(trim(text));
    if (!number)
      return fail(Code::kInvalid,
                  file + " holds \"" + std::string(trim(text)) + "\", expected a number");
    first = *number;
  }
  auto network = std::make_unique<Network>(std::move(dir), ranges, std::move(topology),
                                           std::move(links), std::move(reaper_links), first);
  SP_CHECK_OK(network->begin());
  return network;
}

}  // namespace sallyport::node
