#include "gate/accounts.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cstring>

#include "gate/events.h"

namespace sallyport::gate {

namespace {

constexpr uint32_t kZero = 0;
constexpr size_t kRuleCounters = 65536;  // of map `rules`

// Every key of a map with 4-byte keys. A map that changes meanwhile may be walked twice in parts;
// the bound keeps that finite.
std::vector<uint32_t> keys_of(int map, size_t most) {
  std::vector<uint32_t> keys;
  uint32_t key = 0;
  int more = ::bpf_map_get_next_key(map, nullptr, &key);
  while (more == 0 && keys.size() < most) {
    keys.push_back(key);
    uint32_t next = 0;
    more = ::bpf_map_get_next_key(map, &key, &next);
    key = next;
  }
  return keys;
}

std::unordered_set<uint32_t> rules_of(const Tables& tables) {
  std::unordered_set<uint32_t> rules;
  for (const auto& piece : tables.pieces) rules.insert(piece.rule);
  for (const auto& [key, program] : tables.programs) rules.insert(program.other_rule);
  rules.erase(0);
  return rules;
}

}  // namespace

void open_accounts(const MapSet& maps, const Tables& tables, std::unordered_set<uint32_t>& known) {
  const int rules = maps.at("rules").get();
  const int cpus = ::libbpf_num_possible_cpus();
  if (cpus <= 0) return;
  const std::vector<sp_rule_count> none(static_cast<size_t>(cpus));
  for (const uint32_t rule : rules_of(tables)) {
    if (!known.insert(rule).second) continue;
    for (int attempt = 0; attempt < 10; ++attempt)
      if (::bpf_map_update_elem(rules, &rule, none.data(), BPF_NOEXIST) == 0 || errno != ENOMEM)
        break;
  }
}

Status read_accounts(const MapSet& maps, GateStats& stats) {
  sp_totals totals{};
  sp_limits limits{};
  if (::bpf_map_lookup_elem(maps.at("totals").get(), &kZero, &totals) != 0 ||
      ::bpf_map_lookup_elem(maps.at("limits").get(), &kZero, &limits) != 0)
    return fail_errno("reading the gate's totals");
  stats.connections = totals.connections;
  stats.connections_limit = limits.connections;
  stats.connection_overflows = totals.overflows;
  stats.events_lost = totals.events_lost;

  const int cpus = ::libbpf_num_possible_cpus();
  if (cpus <= 0) return fail_errno("asking for the number of processors", -cpus);
  const int quotas = maps.at("quotas").get();
  for (const uint32_t endpoint : keys_of(quotas, size_t{1} << 20)) {
    uint64_t entries = 0;
    if (::bpf_map_lookup_elem(quotas, &endpoint, &entries) == 0 && entries != 0)
      stats.connections_of[endpoint] = entries;
  }
  const int rules = maps.at("rules").get();
  std::vector<sp_rule_count> shares(static_cast<size_t>(cpus));
  for (const uint32_t rule : keys_of(rules, 2 * kRuleCounters)) {
    if (::bpf_map_lookup_elem(rules, &rule, shares.data()) != 0) continue;
    auto& count = stats.rules[rule];
    count = {};
    for (const auto& share : shares) {
      count.verdicts += share.verdicts;
      count.packets += share.packets;
      count.bytes += share.bytes;
    }
  }
  std::vector<uint64_t> drops(static_cast<size_t>(cpus));
  for (uint32_t reason = 0; reason < SP_REASONS; ++reason) {
    if (::bpf_map_lookup_elem(maps.at("drops").get(), &reason, drops.data()) != 0) continue;
    uint64_t sum = 0;
    for (const uint64_t share : drops) sum += share;
    if (sum != 0) stats.drops[static_cast<uint8_t>(reason)] = sum;
  }
  return {};
}

Result<std::vector<Connection>> read_connections(const MapSet& maps, size_t most,
                                                 const TlsNames& names) {
  const int map = maps.at("connections").get();
  std::vector<Connection> rows;
  sp_key key{};
  bool first = true;
  while (rows.size() < most) {
    sp_key next{};
    if (::bpf_map_get_next_key(map, first ? nullptr : &key, &next) != 0) {
      if (errno == ENOENT) break;
      return fail_errno("reading the connection table");
    }
    sp_connection value{};
    if (::bpf_map_lookup_elem(map, &next, &value) == 0)
      rows.push_back(to_connection(next, value, names));
    key = next;
    first = false;
  }
  return rows;
}

void read_names(const MapSet& maps, TlsNames& names) {
  const int map = maps.at("tls_names").get();
  std::array<char, SP_TLS_NAME> name{};
  for (const uint32_t id : keys_of(map, 2 * TlsNames::kMost)) {
    if (::bpf_map_lookup_elem(map, &id, name.data()) != 0) continue;
    names.restore(id, std::string(name.data(), ::strnlen(name.data(), name.size())));
  }
}

Status write_names(const MapSet& maps, const Tables& tables, TlsNames& names) {
  const int map = maps.at("tls_names").get();
  if (tables.tls_names.size() > TlsNames::kMost)
    return fail(Code::kExhausted, std::to_string(tables.tls_names.size()) +
                                      " PeerAuthentications demand TLS, the gate holds " +
                                      std::to_string(TlsNames::kMost));
  if (names.all().size() > TlsNames::kMost) {
    std::unordered_set<uint32_t> used;
    for (const auto& [id, name] : tables.tls_names) used.insert(id);
    names.keep(used);
    for (const uint32_t id : keys_of(map, 2 * TlsNames::kMost))
      if (!used.contains(id)) ::bpf_map_delete_elem(map, &id);
  }
  for (const auto& [id, name] : tables.tls_names) {
    std::array<char, SP_TLS_NAME> value{};
    name.copy(value.data(), value.size() - 1);
    if (::bpf_map_update_elem(map, &id, value.data(), BPF_ANY) != 0)
      return fail_errno("writing the name of PeerAuthentication " + name);
  }
  return {};
}

void close_account(const MapSet& maps, uint32_t endpoint_id) {
  const int quotas = maps.at("quotas").get();
  uint64_t entries = 0;
  if (::bpf_map_lookup_elem(quotas, &endpoint_id, &entries) == 0 && entries == 0)
    ::bpf_map_delete_elem(quotas, &endpoint_id);
}

void tidy_accounts(const MapSet& maps, const Tables& tables, std::unordered_set<uint32_t>& known) {
  std::unordered_set<uint32_t> live;
  for (const auto& [address, endpoint] : tables.endpoints) live.insert(endpoint.id);
  for (const uint32_t endpoint : keys_of(maps.at("quotas").get(), size_t{1} << 20))
    if (!live.contains(endpoint)) close_account(maps, endpoint);

  const int rules = maps.at("rules").get();
  const auto counted = keys_of(rules, 2 * kRuleCounters);
  if (counted.size() < kRuleCounters / 2) return;
  const auto named = rules_of(tables);
  for (const uint32_t rule : counted) {
    if (named.contains(rule)) continue;
    ::bpf_map_delete_elem(rules, &rule);
    known.erase(rule);
  }
}

}  // namespace sallyport::gate
