/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the decision needs of its surroundings. The BPF program (gate.bpf.c) answers with maps and
 * helpers, the twin (twin.cc) with containers; both define `struct sp_env` and these functions. A
 * null pointer from a look-up means that there is no such key. */
#ifndef SALLYPORT_GATE_BPF_HOOKS_H
#define SALLYPORT_GATE_BPF_HOOKS_H

#include "types.h"

/* SP_GLOBAL marks functions over plain memory that the verifier checks once, by themselves, instead
 * of on every path that leads to them; it takes none of their pointers for valid, hence the checks
 * for null at their beginnings. */
#ifdef SP_BPF
#define SP_HOOK static __attribute__((always_inline)) inline
#define SP_GLOBAL __attribute__((noinline))
#else
#define SP_HOOK static inline
#define SP_GLOBAL static inline
#endif

struct sp_env;
struct sp_flow;

/* sp_parse() of parse.h, perhaps behind a border for the verifier. */
struct sp_reader;
struct sp_packet;
SP_HOOK int sp_parse_packet(const struct sp_reader* reader, __u32 family, struct sp_packet* p);
/* Bytes of the packet's payload; 0 where it is too short. */
struct sp_record {
  __u8 byte[6];
};
SP_HOOK int sp_peek(const struct sp_reader* reader, __u32 offset, struct sp_record* out);

/* Tables of one generation: the one that the packet read at its start. */
SP_HOOK __u64 sp_generation(struct sp_env* env);
SP_HOOK const struct sp_endpoint* sp_find_endpoint(struct sp_env* env,
                                                   const struct sp_address* address);
SP_HOOK const __u32* sp_find_interface(struct sp_env* env, __u32 ifindex); /* endpoint id */
SP_HOOK const struct sp_prefix* sp_find_prefix(struct sp_env* env,
                                               const struct sp_address* address);
SP_HOOK const struct sp_program* sp_find_program(struct sp_env* env, __u32 set, __u32 peer_class);
SP_HOOK const struct sp_piece* sp_find_piece(struct sp_env* env, __u32 index);
/* Key endpoint << 32 | port, port 0 for all others: the PeerAuthentication that demands TLS, or 0.
 */
SP_HOOK const __u32* sp_find_tls(struct sp_env* env, __u64 key);
SP_HOOK int sp_node_offers(struct sp_env* env, __u8 protocol, __u16 port);

/* Connections, of all generations. */
SP_HOOK struct sp_connection* sp_find_connection(struct sp_env* env, const struct sp_key* key);
SP_HOOK struct sp_connection* sp_new_connection(struct sp_env* env); /* zeroed scratch space */
/* Copies `value` in and starts its ticks. Null: full. *made is 0 where another packet was faster;
 * then its entry is returned. */
SP_HOOK struct sp_connection* sp_insert_connection(struct sp_env* env, const struct sp_key* key,
                                                   struct sp_connection* value, int* made);
SP_HOOK int sp_remove_connection(struct sp_env* env, const struct sp_key* key,
                                 const struct sp_connection* c); /* 1: removed by this call */
SP_HOOK void sp_tick_soon(struct sp_env* env, struct sp_connection* c, __u64 ns);

/* Accounts. */
SP_HOOK const struct sp_limits* sp_get_limits(struct sp_env* env);
SP_HOOK struct sp_totals* sp_get_totals(struct sp_env* env);
SP_HOOK __u64* sp_get_quota(struct sp_env* env, __u32 endpoint); /* entries on its account */
SP_HOOK void sp_count_rule(struct sp_env* env, __u32 rule, __u64 verdicts, __u64 packets,
                           __u64 bytes);
SP_HOOK void sp_count_drop(struct sp_env* env, int reason);

/* Events. sp_begin_event may be null (lost, counted). */
SP_HOOK __u64 sp_now(struct sp_env* env); /* CLOCK_MONOTONIC, ns */
SP_HOOK struct sp_event* sp_begin_event(struct sp_env* env);
SP_HOOK void sp_end_event(struct sp_env* env, struct sp_event* event);
SP_HOOK void sp_report_denied(struct sp_env* env, const struct sp_flow* flow); /* may aggregate */

#endif
