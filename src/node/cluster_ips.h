// Which Service has which cluster address.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "k8s/objects.h"
#include "node/ranges.h"
#include "world/world.h"

namespace sallyport::node {

class ClusterIps {
 public:
  explicit ClusterIps(const Ranges& ranges) : ranges_(ranges) {}

  // The addresses of a Service: those that it asks for (kInvalid outside the range or where one
  // family comes twice, kConflict where another Service has it), else one of each family, by hash
  // of its name. A Service keeps what it was given. Headless: none.
  //
  // Every Service of a new world is asked for in turn, then settle() is called with that world. A
  // Service that comes a second time begins anew from what was settled last: the world in between
  // was given up. So an address passes from a Service that is gone to one that asks for it in one
  // step, and a world that is refused takes nothing from the one that is in force.
  //
  // Addresses by hash lie above the first 256 of the range, so that those that people write down
  // (kube-dns) are rarely taken.
  Result<std::vector<Ip>> assign(const k8s::Service& service);

  // The world is in force: frees the addresses of Services that are not in it.
  void settle(const world::World& world);

  // What is settled, one line each, "ADDRESS NS/NAME", after a line with the version. Lines that
  // are no such thing are an error.
  [[nodiscard]] std::string to_text() const;
  Status load(std::string_view text);

 private:
  using Owners = std::map<Ip, std::string>;
  Result<std::vector<Ip>> written(const k8s::Service& service, const std::string& key) const;
  Result<std::vector<Ip>> chosen(const std::string& key) const;
  Result<Ip> by_hash(const std::string& key, const Cidr& range) const;

  Ranges ranges_;
  Owners settled_;
  Owners owners_;                // settled_, changed by the Services that came since
  std::set<std::string> asked_;  // the Services that came since
};

}  // namespace sallyport::node
