#include "gate/kernel_tables.h"

#include <bpf/bpf.h>

#include <array>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace sallyport::gate {

namespace {

constexpr uint32_t kInnerArray = 0x1000;  // BPF_F_INNER_MAP: arrays of any size in one outer map

struct InnerKind {
  const char* outer;
  bpf_map_type type;
  uint32_t key_size, value_size, flags;
};

std::unexpected<Error> no_room(const InnerKind& kind, size_t entries, int err) {
  std::string what = "table " + std::string(kind.outer) + " with " + std::to_string(entries) +
                     (entries == 1 ? " entry" : " entries");
  if (err == ENOMEM || err == E2BIG || err == ENOSPC || err == EPERM)
    return fail(Code::kExhausted,
                what +
                    ": the kernel has no room for it: give the machine or the memory cgroup "
                    "of this process more memory, or raise its limit of locked memory "
                    "(ulimit -l); the generation before stays in force");
  return fail_errno(what, err);
}

Result<Fd> build_inner(const InnerKind& kind, const void* keys, const void* values,
                       size_t entries) {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = kind.flags;
  const auto most = static_cast<uint32_t>(entries == 0 ? 1 : entries);
  Fd map(::bpf_map_create(kind.type, "sp_inner", kind.key_size, kind.value_size, most, &options));
  if (!map) return no_room(kind, entries, errno);
  if (entries == 0) return map;
  bpf_map_batch_opts batch{};
  batch.sz = sizeof(batch);
  auto count = static_cast<uint32_t>(entries);
  if (::bpf_map_update_batch(map.get(), keys, values, &count, &batch) == 0) return map;
  if (errno != EOPNOTSUPP && errno != EINVAL && errno != 524 /* ENOTSUPP */)
    return no_room(kind, entries, errno);
  for (size_t i = 0; i < entries; ++i) {  // an older kernel without batches for this type
    if (::bpf_map_update_elem(map.get(), static_cast<const char*>(keys) + i * kind.key_size,
                              static_cast<const char*>(values) + i * kind.value_size, 0) != 0)
      return no_room(kind, entries, errno);
  }
  return map;
}

template <class K, class V>
Result<Fd> build_from(const InnerKind& kind, const std::vector<std::pair<K, V>>& rows) {
  std::vector<K> keys;
  std::vector<V> values;
  keys.reserve(rows.size());
  values.reserve(rows.size());
  for (const auto& [key, value] : rows) {
    keys.push_back(key);
    values.push_back(value);
  }
  return build_inner(kind, keys.data(), values.data(), rows.size());
}

struct Installation {
  const char* outer = nullptr;
  Fd inner;
  int err = 0;
};

}  // namespace

Status install_tables(const MapSet& maps, uint64_t generation, const Tables& tables) {
  std::array<Installation, 7> work;
  size_t n = 0;
  const auto add = [&](const InnerKind& kind, Result<Fd> inner) -> Status {
    if (!inner) return std::unexpected(std::move(inner).error());
    work[n].outer = kind.outer;
    work[n].inner = std::move(*inner);
    ++n;
    return {};
  };
  const InnerKind endpoints{"endpoints", BPF_MAP_TYPE_HASH, sizeof(sp_address), sizeof(sp_endpoint),
                            0};
  const InnerKind interfaces{"interfaces", BPF_MAP_TYPE_HASH, 4, 4, 0};
  const InnerKind prefixes{"prefixes", BPF_MAP_TYPE_LPM_TRIE, sizeof(sp_prefix_key),
                           sizeof(sp_prefix), BPF_F_NO_PREALLOC};
  const InnerKind programs{"programs", BPF_MAP_TYPE_HASH, 8, sizeof(sp_program), 0};
  const InnerKind pieces{"pieces", BPF_MAP_TYPE_ARRAY, 4, sizeof(sp_piece), kInnerArray};
  const InnerKind offers{"offers", BPF_MAP_TYPE_HASH, 4, 4, 0};
  const InnerKind tls{"tls", BPF_MAP_TYPE_HASH, 8, 4, 0};
  SP_CHECK_OK(add(endpoints, build_from(endpoints, tables.endpoints)));
  SP_CHECK_OK(add(interfaces, build_from(interfaces, tables.interfaces)));
  SP_CHECK_OK(add(prefixes, build_from(prefixes, tables.prefixes)));
  SP_CHECK_OK(add(programs, build_from(programs, tables.programs)));
  SP_CHECK_OK(add(tls, build_from(tls, tables.tls)));
  std::vector<uint32_t> indexes(tables.pieces.size());
  for (size_t i = 0; i < indexes.size(); ++i) indexes[i] = static_cast<uint32_t>(i);
  SP_CHECK_OK(
      add(pieces, build_inner(pieces, indexes.data(), tables.pieces.data(), tables.pieces.size())));
  SP_CHECK_OK(add(offers, build_inner(offers, tables.offers.data(), tables.offers.data(),
                                      tables.offers.size())));

  // Each update waits for a grace period of its own (about 10 ms); side by side they share it.
  const auto slot = static_cast<uint32_t>(generation % SP_SLOTS);
  std::vector<std::thread> threads;
  threads.reserve(n);
  for (auto& one : work) {
    const int outer = maps.at(one.outer).get();
    threads.emplace_back([&one, outer, slot] {
      const int inner = one.inner.get();
      if (::bpf_map_update_elem(outer, &slot, &inner, 0) != 0) one.err = errno;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& one : work) {
    if (one.err != 0)
      return fail_errno("installing table " + std::string(one.outer) + " of generation " +
                            std::to_string(generation),
                        one.err);
  }
  return {};
}

Result<uint64_t> read_generation(const MapSet& maps) {
  const uint32_t zero = 0;
  uint64_t generation = 0;
  if (::bpf_map_lookup_elem(maps.at("control").get(), &zero, &generation) != 0)
    return fail_errno("reading the generation in force");
  return generation;
}

Status switch_generation(const MapSet& maps, uint64_t generation) {
  const uint32_t zero = 0;
  if (::bpf_map_update_elem(maps.at("control").get(), &zero, &generation, 0) != 0)
    return fail_errno("switching to generation " + std::to_string(generation));
  return {};
}

}  // namespace sallyport::gate
