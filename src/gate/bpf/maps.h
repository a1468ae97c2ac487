/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The tables as BPF maps. Those of a generation are inner maps in the slot that the generation
 * names; the sizes here are those of the templates, the real inner maps have their own. Inner
 * templates give sizes instead of types: the compiler prunes types that only they mention. */
#ifndef SALLYPORT_GATE_BPF_MAPS_H
#define SALLYPORT_GATE_BPF_MAPS_H

#include "kernel.h"
#include "types.h"

#define SP_F_NO_PREALLOC 1u
#define SP_F_INNER_MAP 0x1000u

/* The generation in force: the one word that a publication switches. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} control SEC(".maps");

struct sp_endpoints_inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(struct sp_address));
  __uint(value_size, sizeof(struct sp_endpoint));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_endpoints_inner);
} endpoints SEC(".maps");

struct sp_interfaces_inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_interfaces_inner);
} interfaces SEC(".maps");

struct sp_prefixes_inner {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, SP_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(struct sp_prefix_key));
  __uint(value_size, sizeof(struct sp_prefix));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_prefixes_inner);
} prefixes SEC(".maps");

struct sp_programs_inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u64));
  __uint(value_size, sizeof(struct sp_program));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_programs_inner);
} programs SEC(".maps");

struct sp_pieces_inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, SP_F_INNER_MAP);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct sp_piece));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_pieces_inner);
} pieces SEC(".maps");

struct sp_offers_inner { /* key protocol << 16 | port */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_offers_inner);
} offers SEC(".maps");

struct sp_tls_inner { /* key endpoint << 32 | port; port 0: all others */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u64));
  __uint(value_size, sizeof(__u32));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, SP_SLOTS);
  __type(key, __u32);
  __array(values, struct sp_tls_inner);
} tls SEC(".maps");

/* Names of the PeerAuthentications. The program does not read them: they are here so that events
 * of connections that outlive the node's process still say who demands TLS. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, SP_F_NO_PREALLOC);
  __uint(max_entries, 4096);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, SP_TLS_NAME);
} tls_names SEC(".maps");

/* Preallocated, at about 256 bytes an entry: room that is promised is there. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 262144);
  __type(key, struct sp_key);
  __type(value, struct sp_connection);
} connections SEC(".maps");

/* Where each connection is, for the sweep, and the slots that were given back. As many slots as
 * connections. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 262144);
  __type(key, __u32);
  __type(value, struct sp_slot);
} slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_STACK);
  __uint(max_entries, 262144);
  __uint(key_size, 0);
  __uint(value_size, sizeof(__u32));
} free_slots SEC(".maps");

/* The one timer of the gate. One for each connection would be simpler, but its memory is allocated
 * in the packet path, where that fails now and then (measured on Linux 6.18). */
struct sp_sweep {
  struct bpf_timer timer;
  __u32 cursor;
  __u32 ticks;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_sweep);
} sweep SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, __u64);
} quotas SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_limits);
} limits SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_totals);
} totals SEC(".maps");

/* The node makes the entries of all rules that the tables name, so that none is allocated here. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(map_flags, SP_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, struct sp_rule_count);
} rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SP_REASONS);
  __type(key, __u32);
  __type(value, __u64);
} drops SEC(".maps");

/* Denied tuples of the last second, so that each makes one event a second. */
struct sp_denial_key {
  struct sp_tuple tuple;
  __u32 local;
  __u32 reason;
};
struct sp_denial {
  __u64 repeats; /* since the last event */
  struct sp_event event;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct sp_denial_key);
  __type(value, struct sp_denial);
} denials SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 2 * 1024 * 1024);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_meta);
} meta SEC(".maps");

/* Room for values that are too large for the stack. Netfilter hooks run with bottom halves off, so
 * no two packets share a CPU's scratch at once. */
struct sp_scratch {
  struct sp_connection connection;
  struct sp_denial denial;
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_scratch);
} scratch SEC(".maps");

#endif
