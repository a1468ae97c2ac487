#include "gate/tables.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace sallyport::gate {

namespace {

using Pieces = std::vector<policy::PortPiece>;

// One prefix over the 16 bytes, before classes and ranges are inherited from shorter ones.
struct Prefix {
  std::array<uint8_t, 16> base{};
  uint32_t bits = 0;
  bool has_class = false;
  uint32_t peer_class = 0;
  uint32_t ranges = 0;
};

bool contains(const Prefix& outer, const Prefix& inner) {
  if (outer.bits > inner.bits) return false;
  const size_t whole = outer.bits / 8;
  if (!std::equal(outer.base.begin(), outer.base.begin() + static_cast<long>(whole),
                  inner.base.begin()))
    return false;
  if (outer.bits % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - outer.bits % 8));
  return (outer.base[whole] & mask) == (inner.base[whole] & mask);
}

Prefix prefix_of(const Cidr& cidr) {
  Prefix prefix;
  prefix.base = cidr.base.bytes;
  prefix.bits = static_cast<uint32_t>(cidr.mapped_bits());
  return prefix;
}

// The border of IPv4 within the mapped space: an IPv6 prefix such as ::/0 must not reach it.
Prefix v4_border() {
  Prefix border;
  border.base[10] = 0xff;
  border.base[11] = 0xff;
  border.bits = 96;
  border.has_class = true;
  return border;
}

// In a longest-prefix trie only the longest match answers, so each prefix carries the class and
// the ranges of everything that holds it.
std::vector<std::pair<sp_prefix_key, sp_prefix>> build_prefixes(const policy::Compiled& compiled,
                                                                const GateConfig& config) {
  std::map<std::pair<std::array<uint8_t, 16>, uint32_t>, Prefix> all;
  const auto add = [&all](const Prefix& prefix) {
    auto& known = all.try_emplace({prefix.base, prefix.bits}, prefix).first->second;
    if (prefix.has_class) {
      known.has_class = true;
      known.peer_class = prefix.peer_class;
    }
    known.ranges |= prefix.ranges;
  };
  add(v4_border());
  for (const auto& entry : compiled.cidrs) {
    Prefix prefix = prefix_of(entry.cidr);
    prefix.has_class = true;
    prefix.peer_class = entry.peer_class;
    add(prefix);
  }
  const auto add_range = [&add](const Cidr& cidr, uint32_t range) {
    Prefix prefix = prefix_of(cidr);
    prefix.ranges = range;
    add(prefix);
  };
  for (const auto& cidr : config.pod_ranges) add_range(cidr, SP_RANGE_POD);
  for (const auto& cidr : config.node_ranges) add_range(cidr, SP_RANGE_SERVICE);
  for (const auto& ip : config.node_addresses)
    add_range(Cidr{ip, ip.family() == Family::kV4 ? 32 : 128}, SP_RANGE_NODE);

  // In this order every prefix comes after those that hold it.
  std::vector<std::pair<sp_prefix_key, sp_prefix>> out;
  std::vector<Prefix> holders;
  for (auto& [key, prefix] : all) {
    while (!holders.empty() && !contains(holders.back(), prefix)) holders.pop_back();
    if (!holders.empty()) {
      if (!prefix.has_class) prefix.peer_class = holders.back().peer_class;
      if (prefix.bits != 96 || prefix.base != v4_border().base)
        prefix.ranges |= holders.back().ranges;
    }
    holders.push_back(prefix);
    sp_prefix_key k{};
    k.bits = prefix.bits;
    std::memcpy(k.address, prefix.base.data(), sizeof(k.address));
    out.emplace_back(k, sp_prefix{prefix.peer_class, prefix.ranges});
  }
  return out;
}

// Piece lists, each distinct one stored once.
class PieceStore {
 public:
  explicit PieceStore(std::vector<sp_piece>& out) : out_(out) {}

  Result<sp_port_range> place(const Pieces& pieces) {
    if (pieces.empty() || pieces.front().first_port != 0)
      return fail(Code::kInternal, "a port program does not begin at port 0");
    std::string bytes;
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (i > 0 && pieces[i].first_port <= pieces[i - 1].first_port)
        return fail(Code::kInternal, "the pieces of a port program are not in order");
      sp_piece piece{};
      piece.first_port = pieces[i].first_port;
      piece.allow = pieces[i].action == policy::Action::kAllow;
      piece.rule = pieces[i].rule;
      bytes.append(reinterpret_cast<const char*>(&piece), sizeof(piece));
    }
    const auto [found, fresh] = at_.try_emplace(bytes, static_cast<uint32_t>(out_.size()));
    if (fresh) {
      const size_t first = out_.size();
      out_.resize(first + pieces.size());
      std::memcpy(&out_[first], bytes.data(), bytes.size());
    }
    return sp_port_range{found->second, static_cast<uint32_t>(pieces.size())};
  }

 private:
  std::vector<sp_piece>& out_;
  std::unordered_map<std::string, uint32_t> at_;
};

Status build_programs(const policy::Compiled& compiled, Tables& tables) {
  PieceStore store(tables.pieces);
  std::vector<sp_program> programs;
  programs.reserve(compiled.programs.size());
  for (const auto& program : compiled.programs) {
    sp_program p{};
    SP_TRY(p.tcp, store.place(program.tcp));
    SP_TRY(p.udp, store.place(program.udp));
    SP_TRY(p.sctp, store.place(program.sctp));
    p.other_rule = program.other.rule;
    p.other_allow = program.other.action == policy::Action::kAllow;
    programs.push_back(p);
  }
  const auto add = [&](policy::SetId set, policy::ClassId peer, policy::ProgramId id) -> Status {
    if (id >= programs.size())
      return fail(Code::kInternal, "rule set " + std::to_string(set) + " names port program " +
                                       std::to_string(id) + ", which does not exist");
    tables.programs.emplace_back(policy::Compiled::key(set, peer), programs[id]);
    return {};
  };
  for (const auto& set : compiled.sets)
    SP_CHECK_OK(add(set.id, SP_DEFAULT_CLASS, set.default_program));
  for (const auto& [key, id] : compiled.programs_of)
    SP_CHECK_OK(add(static_cast<policy::SetId>(key >> 32), static_cast<policy::ClassId>(key), id));
  return {};
}

// Sorted rows, of endpoints that there are. Only an endpoint with demands is looked up at all.
Status build_tls(const std::vector<TlsDemand>& demands, TlsNames& names, Tables& tables) {
  std::unordered_set<uint32_t> known, demanding;
  for (const auto& [address, endpoint] : tables.endpoints) known.insert(endpoint.id);
  for (const auto& demand : demands) {
    const auto what = [&] {
      return "demand of TLS for endpoint " + std::to_string(demand.endpoint_id) + ", port " +
             std::to_string(demand.port);
    };
    if (demand.endpoint_id == 0) return fail(Code::kInvalid, what() + ": ids begin at 1");
    if (demand.demanded && (demand.policy.empty() || demand.policy.size() > TlsNames::kMostBytes))
      return fail(Code::kInvalid, what() + ": its PeerAuthentication has a name of " +
                                      std::to_string(demand.policy.size()) +
                                      " bytes, expected 1 to " +
                                      std::to_string(TlsNames::kMostBytes));
    if (!known.contains(demand.endpoint_id)) continue;
    uint32_t policy = 0;
    if (demand.demanded) {
      policy = names.id_of(demand.policy);
      tables.tls_names[policy] = demand.policy;
      demanding.insert(demand.endpoint_id);
    }
    tables.tls.emplace_back(uint64_t{demand.endpoint_id} << 32 | demand.port, policy);
  }
  std::sort(tables.tls.begin(), tables.tls.end());
  for (size_t i = 1; i < tables.tls.size(); ++i)
    if (tables.tls[i].first == tables.tls[i - 1].first)
      return fail(Code::kInvalid, "two demands of TLS for endpoint " +
                                      std::to_string(tables.tls[i].first >> 32) + ", port " +
                                      std::to_string(tables.tls[i].first & 0xffff));
  for (auto& [address, endpoint] : tables.endpoints)
    endpoint.tls = demanding.contains(endpoint.id) ? 1 : 0;
  return {};
}

bool in_any(const std::vector<Cidr>& ranges, const Ip& ip) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Cidr& cidr) { return cidr.contains(ip); });
}

}  // namespace

sp_address to_kernel(const Ip& ip) {
  sp_address address;
  static_assert(sizeof(address) == sizeof(ip.bytes));
  std::memcpy(&address, ip.bytes.data(), sizeof(address));
  return address;
}

Ip from_kernel(const sp_address& address) {
  Ip ip;
  std::memcpy(ip.bytes.data(), &address, sizeof(address));
  return ip;
}

Result<Tables> build_tables(const policy::Compiled& compiled,
                            const std::vector<EndpointPort>& ports, const GateConfig& config) {
  TlsNames none;
  return build_tables(compiled, ports, config, {}, none);
}

Result<Tables> build_tables(const policy::Compiled& compiled,
                            const std::vector<EndpointPort>& ports, const GateConfig& config,
                            const std::vector<TlsDemand>& tls, TlsNames& names) {
  if (compiled.endpoints.size() > config.max_endpoints)
    return fail(Code::kExhausted,
                std::to_string(compiled.endpoints.size()) + " endpoint addresses, the gate holds " +
                    std::to_string(config.max_endpoints) + ": raise max_endpoints");
  Tables tables;
  std::unordered_map<uint32_t, uint32_t> wired;
  std::unordered_map<uint32_t, uint32_t> behind;
  for (const auto& port : ports) {
    if (port.endpoint_id == 0 || port.ifindex <= 0)
      return fail(Code::kInvalid, "endpoint " + std::to_string(port.endpoint_id) +
                                      " at interface " + std::to_string(port.ifindex) +
                                      ": both numbers begin at 1");
    const auto ifindex = static_cast<uint32_t>(port.ifindex);
    if (!wired.try_emplace(port.endpoint_id, ifindex).second ||
        !behind.try_emplace(ifindex, port.endpoint_id).second)
      return fail(Code::kInvalid, "endpoint " + std::to_string(port.endpoint_id) +
                                      " at interface " + std::to_string(port.ifindex) +
                                      ": one of them is wired twice");
  }
  tables.interfaces.assign(behind.begin(), behind.end());

  for (size_t i = 0; i < compiled.endpoints.size(); ++i) {
    const auto& entry = compiled.endpoints[i];
    if (i > 0 && !(compiled.endpoints[i - 1].address < entry.address))
      return fail(Code::kInternal,
                  "endpoint addresses are not in order at " + entry.address.to_string());
    if (entry.endpoint_id == 0 || entry.egress_set > compiled.sets.size() ||
        entry.ingress_set > compiled.sets.size())
      return fail(Code::kInternal, "endpoint " + entry.address.to_string() +
                                       " has no id or names a rule set that does not exist");
    const auto at = wired.find(entry.endpoint_id);
    const uint32_t ifindex = at == wired.end() ? 0 : at->second;
    if (ifindex == 0 && in_any(config.pod_ranges, entry.address)) continue;
    tables.endpoints.emplace_back(to_kernel(entry.address),
                                  sp_endpoint{entry.endpoint_id, ifindex, entry.peer_class,
                                              entry.egress_set, entry.ingress_set, 0});
  }
  tables.prefixes = build_prefixes(compiled, config);
  SP_CHECK_OK(build_programs(compiled, tables));
  SP_CHECK_OK(build_tls(tls, names, tables));
  for (const auto& port : config.node_ports)
    tables.offers.push_back(uint32_t{port.protocol} << 16 | port.port);
  std::sort(tables.offers.begin(), tables.offers.end());
  tables.offers.erase(std::unique(tables.offers.begin(), tables.offers.end()), tables.offers.end());
  return tables;
}

}  // namespace sallyport::gate
