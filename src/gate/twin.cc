#include "gate/twin.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "gate/events.h"

// What bpf/parse.h and bpf/hooks.h ask for. The structures belong to this file alone.
struct sp_reader {  // NOLINT(readability-identifier-naming)
  std::span<const uint8_t> packet;
};

#include "gate/bpf/decision.h"

static inline __u32 sp_length(const sp_reader* reader) {
  return static_cast<__u32>(reader->packet.size());
}

// Copies into the (aligned) header: the packet itself may lie anywhere.
template <class Header>
static int read_header(const sp_reader* reader, uint32_t offset, Header* out) {
  const auto packet = reader->packet;
  if (offset > packet.size() || packet.size() - offset < sizeof(Header)) return 0;
  std::memcpy(out, packet.data() + offset, sizeof(Header));
  return 1;
}
static inline int sp_read_ip4(const sp_reader* r, __u32 at, sp_ip4_header* out) {
  return read_header(r, at, out);
}
static inline int sp_read_ip6(const sp_reader* r, __u32 at, sp_ip6_header* out) {
  return read_header(r, at, out);
}
static inline int sp_read_extension(const sp_reader* r, __u32 at, sp_extension_header* out) {
  return read_header(r, at, out);
}
static inline int sp_read_tcp(const sp_reader* r, __u32 at, sp_tcp_header* out) {
  return read_header(r, at, out);
}
static inline int sp_read_ports(const sp_reader* r, __u32 at, sp_port_header* out) {
  return read_header(r, at, out);
}
static inline int sp_peek(const sp_reader* r, __u32 at, sp_record* out) {
  return read_header(r, at, out);
}
static inline int sp_read_icmp(const sp_reader* r, __u32 at, sp_icmp_header* out) {
  return read_header(r, at, out);
}

namespace {

template <class T>
struct BytesHash {
  size_t operator()(const T& value) const {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&value), sizeof(value)});
  }
};
template <class T>
struct BytesEqual {
  bool operator()(const T& a, const T& b) const { return std::memcmp(&a, &b, sizeof(a)) == 0; }
};
template <class K, class V>
using ByBytes = std::unordered_map<K, V, BytesHash<K>, BytesEqual<K>>;

struct Entry {
  sp_connection connection{};
  uint64_t tick_at = 0;
};

}  // namespace

struct sp_env {  // NOLINT(readability-identifier-naming)
  uint64_t generation = 0;
  uint64_t now = 1'000'000'000;
  sp_limits limits{};
  sp_totals totals{};

  ByBytes<sp_address, sp_endpoint> endpoints;
  std::unordered_map<uint32_t, uint32_t> interfaces;
  std::map<uint32_t, ByBytes<sp_address, sp_prefix>, std::greater<>> prefixes;  // by length
  std::unordered_map<uint64_t, sp_program> programs;
  std::vector<sp_piece> pieces;
  std::vector<uint32_t> offers;
  std::unordered_map<uint64_t, uint32_t> tls;

  ByBytes<sp_key, Entry> connections;
  sp_connection scratch{};
  std::unordered_map<uint32_t, uint64_t> quotas;
  std::unordered_map<uint32_t, sallyport::gate::GateStats::RuleCount> rules;
  std::unordered_map<uint8_t, uint64_t> drops;
  sp_event event{};
  std::vector<sp_event> events;
};

static inline int sp_parse_packet(const sp_reader* reader, __u32 family, sp_packet* p) {
  return sp_parse(reader, family, p);
}

static inline __u64 sp_generation(sp_env* env) {
  return env->generation;
}

static inline const sp_endpoint* sp_find_endpoint(sp_env* env, const sp_address* address) {
  const auto at = env->endpoints.find(*address);
  return at == env->endpoints.end() ? nullptr : &at->second;
}

static inline const uint32_t* sp_find_interface(sp_env* env, uint32_t ifindex) {
  const auto at = env->interfaces.find(ifindex);
  return at == env->interfaces.end() ? nullptr : &at->second;
}

static inline const sp_prefix* sp_find_prefix(sp_env* env, const sp_address* address) {
  for (const auto& [bits, table] : env->prefixes) {
    sp_address base = *address;
    auto* bytes = reinterpret_cast<uint8_t*>(&base);
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t first = i * 8;
      if (first >= bits)
        bytes[i] = 0;
      else if (first + 8 > bits)
        bytes[i] &= static_cast<uint8_t>(0xff << (first + 8 - bits));
    }
    if (const auto at = table.find(base); at != table.end()) return &at->second;
  }
  return nullptr;
}

static inline const sp_program* sp_find_program(sp_env* env, uint32_t set, uint32_t peer_class) {
  const auto at = env->programs.find(uint64_t{set} << 32 | peer_class);
  return at == env->programs.end() ? nullptr : &at->second;
}

static inline const sp_piece* sp_find_piece(sp_env* env, uint32_t index) {
  return index < env->pieces.size() ? &env->pieces[index] : nullptr;
}

static inline const uint32_t* sp_find_tls(sp_env* env, __u64 key) {
  const auto at = env->tls.find(key);
  return at == env->tls.end() ? nullptr : &at->second;
}

static inline int sp_node_offers(sp_env* env, uint8_t protocol, uint16_t port) {
  const uint32_t key = uint32_t{protocol} << 16 | port;
  return std::binary_search(env->offers.begin(), env->offers.end(), key) ? 1 : 0;
}

static inline sp_connection* sp_find_connection(sp_env* env, const sp_key* key) {
  const auto at = env->connections.find(*key);
  return at == env->connections.end() ? nullptr : &at->second.connection;
}

static inline sp_connection* sp_new_connection(sp_env* env) {
  env->scratch = {};
  return &env->scratch;
}

static inline sp_connection* sp_insert_connection(sp_env* env, const sp_key* key,
                                                  sp_connection* value, int* made) {
  const auto [at, fresh] =
      env->connections.try_emplace(*key, Entry{*value, env->now + SP_FIRST_TICK});
  *made = fresh ? 1 : 0;
  return &at->second.connection;
}

static inline int sp_remove_connection(sp_env* env, const sp_key* key, const sp_connection*) {
  return env->connections.erase(*key) == 1 ? 1 : 0;
}

static inline void sp_tick_soon(sp_env* env, sp_connection* c, __u64 ns) {
  // The connection is the first member of its entry.
  reinterpret_cast<Entry*>(c)->tick_at = env->now + ns;
}

static inline const sp_limits* sp_get_limits(sp_env* env) {
  return &env->limits;
}
static inline sp_totals* sp_get_totals(sp_env* env) {
  return &env->totals;
}
static inline __u64* sp_get_quota(sp_env* env, uint32_t endpoint) {
  static_assert(sizeof(__u64) == sizeof(uint64_t));
  return reinterpret_cast<__u64*>(&env->quotas[endpoint]);
}

static inline void sp_count_rule(sp_env* env, uint32_t rule, __u64 verdicts, __u64 packets,
                                 __u64 bytes) {
  auto& count = env->rules[rule];
  count.verdicts += verdicts;
  count.packets += packets;
  count.bytes += bytes;
}

static inline void sp_count_drop(sp_env* env, int reason) {
  ++env->drops[static_cast<uint8_t>(reason)];
}

static inline __u64 sp_now(sp_env* env) {
  return env->now;
}

static inline sp_event* sp_begin_event(sp_env* env) {
  env->event = {};
  return &env->event;
}

static inline void sp_end_event(sp_env* env, sp_event* event) {
  env->events.push_back(*event);
}

// Every denied packet is an event of its own here; the program aggregates them.
static inline void sp_report_denied(sp_env* env, const sp_flow* flow) {
  sp_event e{};
  sp_fill_denied(env, flow, &e);
  env->events.push_back(e);
}

namespace sallyport::gate {

struct Twin::State : sp_env {
  TlsNames names;
};

Twin::Twin(uint64_t max_connections, uint64_t max_per_endpoint)
    : state_(std::make_unique<State>()) {
  state_->limits = {max_connections, max_per_endpoint};
}

Twin::~Twin() = default;

uint64_t Twin::publish(Tables tables) {
  State& s = *state_;
  s.endpoints.clear();
  for (const auto& [address, endpoint] : tables.endpoints) s.endpoints[address] = endpoint;
  s.interfaces.clear();
  for (const auto& [ifindex, endpoint] : tables.interfaces) s.interfaces[ifindex] = endpoint;
  s.prefixes.clear();
  for (const auto& [key, prefix] : tables.prefixes) {
    sp_address base;
    std::memcpy(&base, key.address, sizeof(base));
    s.prefixes[key.bits][base] = prefix;
  }
  s.programs.clear();
  for (const auto& [key, program] : tables.programs) s.programs[key] = program;
  s.pieces = std::move(tables.pieces);
  s.offers = std::move(tables.offers);
  s.tls.clear();
  s.tls.insert(tables.tls.begin(), tables.tls.end());
  for (auto& [id, name] : tables.tls_names) s.names.restore(id, std::move(name));
  return ++s.generation;
}

Twin::Verdict Twin::decide(std::span<const uint8_t> packet, const Arrival& arrival) {
  const sp_reader reader{packet};
  sp_flow flow{};
  flow.at.in = arrival.in;
  flow.at.out = arrival.out;
  flow.at.family = arrival.family == Family::kV4 ? SP_V4 : SP_V6;
  flow.at.local = arrival.local ? 1 : 0;
  flow.at.reply = arrival.reply ? 1 : 0;
  Verdict verdict;
  verdict.accept = sp_decide(state_.get(), &reader, &flow) == 1;
  verdict.reason = static_cast<uint8_t>(flow.reason);
  verdict.egress_rule = flow.egress_rule;
  verdict.ingress_rule = flow.ingress_rule;
  return verdict;
}

void Twin::advance(uint64_t nanoseconds) {
  State& s = *state_;
  const uint64_t end = s.now + nanoseconds;
  while (true) {
    const auto next = std::min_element(
        s.connections.begin(), s.connections.end(),
        [](const auto& a, const auto& b) { return a.second.tick_at < b.second.tick_at; });
    if (next == s.connections.end() || next->second.tick_at > end) break;
    s.now = std::max(s.now, next->second.tick_at);
    const sp_key key = next->first;
    const uint64_t wait = sp_tick(&s, &key, &next->second.connection);
    if (wait != 0) next->second.tick_at = s.now + wait;
  }
  s.now = end;
}

void Twin::forget_endpoint(uint32_t endpoint_id) {
  State& s = *state_;
  std::vector<sp_key> keys;
  for (const auto& [key, entry] : s.connections)
    if (entry.connection.endpoint[0] == endpoint_id || entry.connection.endpoint[1] == endpoint_id)
      keys.push_back(key);
  for (const auto& key : keys) sp_end_connection(&s, &key, sp_find_connection(&s, &key));
}

std::vector<FlowEvent> Twin::take_events() {
  std::vector<FlowEvent> out;
  for (const auto& event : state_->events) out.push_back(to_flow_event(event, state_->names));
  state_->events.clear();
  return out;
}

std::vector<Connection> Twin::connections() const {
  std::vector<Connection> out;
  for (const auto& [key, entry] : state_->connections)
    out.push_back(to_connection(key, entry.connection, state_->names));
  return out;
}

size_t Twin::connection_count() const {
  return state_->connections.size();
}

uint64_t Twin::entries_of(uint32_t endpoint_id) const {
  const auto at = state_->quotas.find(endpoint_id);
  return at == state_->quotas.end() ? 0 : at->second;
}

uint64_t Twin::overflows() const {
  return state_->totals.overflows;
}

const std::unordered_map<uint8_t, uint64_t>& Twin::drops() const {
  return state_->drops;
}

const std::unordered_map<policy::RuleId, GateStats::RuleCount>& Twin::rules() const {
  return state_->rules;
}

}  // namespace sallyport::gate
