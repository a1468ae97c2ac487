#include "node/services.h"

#include <netinet/in.h>

#include <algorithm>

#include "net/conntrack.h"
#include "net/nft.h"

namespace sallyport::node {
namespace {

// The addresses that pods of this world still answer on, be it only to end what they had begun.
std::set<Ip> living(const world::World& world) {
  std::set<Ip> ips;
  for (const world::Endpoint& pod : world.endpoints)
    if (!pod.terminated) ips.insert(pod.ips.begin(), pod.ips.end());
  return ips;
}

}  // namespace

Status Services::find_installed() {
  InstalledTables found;
  for (Family family : {Family::kV4, Family::kV6}) {
    bool v4 = family == Family::kV4;
    auto listing =
        net::query_nft(netns_, std::string("list table ") + (v4 ? "ip" : "ip6") + " sallyport");
    if (!listing) {
      if (listing.error().code == Code::kNotFound) continue;
      return std::unexpected(std::move(listing).error());
    }
    (v4 ? found.v4_present : found.v6_present) = true;
    (v4 ? found.v4 : found.v6) = read_table(*listing);
  }
  installed_ = std::move(found);
  installed_known_ = true;
  return {};
}

// UDP has no end that anybody announces: a flow goes on to where its entry says as long as packets
// come, so entries of a translation that is no more are deleted. TCP to a pod that merely is not
// ready any more goes on, as with kube-proxy; where the pod is gone, its connections are, too: the
// client's next packet is translated anew and reset.
Status Services::trim_connections(const world::World& world) {
  std::set<Ip> alive = living(world);
  std::set<Ip> lingering;
  SP_TRY(net::Conntrack tracked, net::Conntrack::open(netns_));
  for (Family family : {Family::kV4, Family::kV6}) {
    const Cidr& range = family == Family::kV4 ? ranges_.services4 : ranges_.services6;
    auto stale = [&](const net::ConntrackEntry& entry) {
      bool known = entry.protocol == IPPROTO_TCP || entry.protocol == IPPROTO_UDP ||
                   entry.protocol == IPPROTO_SCTP;
      if (!known || !range.contains(entry.original.destination)) return false;
      Translation way{entry.original.destination, entry.original.destination_port, entry.protocol,
                      entry.reply.source, entry.reply.source_port};
      if (translations_.contains(way)) return false;
      if (entry.protocol == IPPROTO_UDP || !alive.contains(way.endpoint)) return true;
      lingering.insert(way.endpoint);
      return false;
    };
    // A table in use may change while it is listed; what was seen is deleted, then the rest.
    for (int tries = 0;; ++tries) {
      auto removed = tracked.remove_if(family, stale);
      if (removed) break;
      if (removed.error().code != Code::kUnavailable || tries == 4)
        return std::unexpected(std::move(removed).error());
    }
  }
  lingering_ = std::move(lingering);
  return {};
}

Status Services::apply(const world::World& world) {
  if (!installed_known_) SP_CHECK_OK(find_installed());
  ServiceRules rules = render_services(world, ranges_);
  if (rules.text != applied_) {
    SP_CHECK_OK(net::apply_nft(netns_, replacement(rules, installed_)));
    applied_ = std::move(rules.text);
    installed_ = InstalledTables{true, true, std::move(rules.v4), std::move(rules.v6)};
    // Only a way that is no more can leave entries behind.
    trim_due_ = trim_due_ || !std::includes(rules.translations.begin(), rules.translations.end(),
                                            translations_.begin(), translations_.end());
    translations_ = std::move(rules.translations);
  }
  if (!trim_due_ && !lingering_.empty()) {
    std::set<Ip> alive = living(world);
    trim_due_ = !std::includes(alive.begin(), alive.end(), lingering_.begin(), lingering_.end());
  }
  if (trim_due_) {
    SP_CHECK_OK(trim_connections(world));
    trim_due_ = false;
  }
  return {};
}

}  // namespace sallyport::node
