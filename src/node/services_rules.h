// Services as an nftables ruleset: a pure function of the world. What it does in the kernel:
//
// - prerouting and output translate (address, protocol, port) of a Service to an endpoint, chosen
//   at random, or the one that the client had before (sessionAffinity);
// - what is still meant for a Service address afterwards has no endpoint: refused, with a TCP reset
//   or an ICMP error, ahead of the gate's hook as kube-proxy does it;
// - a pod that reaches itself through a Service gets the node's address as source, for otherwise it
//   would answer itself without the translation being undone.
//
// Packets with a forged source (the way back does not lead through the link they came from) are
// neither translated nor answered: they go on to the gate, which drops and reports them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "node/ranges.h"
#include "world/world.h"

namespace sallyport::node {

// One way that a connection can be translated.
struct Translation {
  Ip service;
  uint16_t service_port = 0;
  uint8_t protocol = 0;
  Ip endpoint;
  uint16_t endpoint_port = 0;
  auto operator<=>(const Translation&) const = default;
};

// The objects of one family's table that depend on the world.
struct TableObjects {
  std::set<std::string> chains;         // of Services and endpoints
  std::set<std::string> affinity_sets;  // they keep their elements over a replacement
};

struct ServiceRules {
  std::string text;  // both tables, in full
  TableObjects v4, v6;
  std::set<Translation> translations;
};

ServiceRules render_services(const world::World& world, const Ranges& ranges);

// What is in the kernel: no table, or these objects in it.
struct InstalledTables {
  bool v4_present = false, v6_present = false;
  TableObjects v4, v6;
};

// One nft script that turns `installed` into `rules`, to be applied as one transaction. Affinity
// sets that both have keep their elements.
std::string replacement(const ServiceRules& rules, const InstalledTables& installed);

// Reads the objects out of what `nft list table` printed.
TableObjects read_table(std::string_view listing);

}  // namespace sallyport::node
