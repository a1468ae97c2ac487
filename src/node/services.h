// Keeps the node's nftables and connection tracking equal to the world's Services.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "node/ranges.h"
#include "node/services_rules.h"
#include "world/world.h"

namespace sallyport::node {

class Services {
 public:
  Services(int node_netns, const Ranges& ranges) : netns_(node_netns), ranges_(ranges) {}

  // Applies the Services of a world. On an error the rules in the kernel are the old ones, and the
  // next call tries again.
  Status apply(const world::World& world);

 private:
  Status find_installed();
  Status trim_connections(const world::World& world);

  int netns_;
  Ranges ranges_;
  InstalledTables installed_;
  bool installed_known_ = false;  // what an earlier process left has been looked at
  std::string applied_;           // the text in the kernel
  std::set<Translation> translations_;
  bool trim_due_ = true;    // entries may be left of endpoints that are gone
  std::set<Ip> lingering_;  // endpoints no more, but their pods live: TCP connections go on
};

}  // namespace sallyport::node
