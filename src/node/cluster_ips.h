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
  // Addresses by hash lie above the first 256 of the range, so that those that people write down
  // (kube-dns) are rarely taken.
  Result<std::vector<Ip>> assign(const k8s::Service& service);

  // Frees the addresses of Services that were in an earlier world and are not in this one.
  void settle(const world::World& world);

  // One line each, "ADDRESS NS/NAME", after a line with the version. Lines that are no such thing
  // are an error.
  [[nodiscard]] std::string to_text() const;
  Status load(std::string_view text);

 private:
  Result<Ip> by_hash(const std::string& key, const Cidr& range) const;

  Ranges ranges_;
  std::map<Ip, std::string> owners_;
  std::set<std::string> seen_;  // in a world
};

}  // namespace sallyport::node
