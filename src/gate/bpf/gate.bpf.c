/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Gate 1 as a BPF netfilter program: decision.h over the maps of maps.h. One program serves both
 * families at FORWARD and LOCAL_IN; SP_TEST_RUN makes the variant for BPF_PROG_TEST_RUN, which
 * takes the interfaces from a map because a test run has none. */
#define SP_BPF 1
#include "kernel.h"
#include "maps.h"
#include "types.h"

#define EBUSY 16
#define EEXIST 17
#define CLOCK_MONOTONIC 1

#include "decision.h"
#include "reader.h"

struct sp_env {
  __u64 generation;
  __u32 slot;
  __u32 unused;
};

static const __u32 kZero = 0;

/* --- tables ------------------------------------------------------------------------------------
 */

SP_HOOK __u64 sp_generation(struct sp_env* env) {
  return env->generation;
}

/* The inner map of this packet's generation; a missing one answers like an empty one: no
 * endpoint, no program, so nothing is allowed that a table would have to allow. */
#define SP_LOOK_UP(outer, key)                               \
  ({                                                         \
    void* inner = bpf_map_lookup_elem(&(outer), &env->slot); \
    inner ? bpf_map_lookup_elem(inner, key) : (void*)0;      \
  })

SP_HOOK const struct sp_endpoint* sp_find_endpoint(struct sp_env* env,
                                                   const struct sp_address* address) {
  return SP_LOOK_UP(endpoints, address);
}

SP_HOOK const __u32* sp_find_interface(struct sp_env* env, __u32 ifindex) {
  return SP_LOOK_UP(interfaces, &ifindex);
}

SP_HOOK const struct sp_prefix* sp_find_prefix(struct sp_env* env,
                                               const struct sp_address* address) {
  struct sp_prefix_key key;
  key.bits = 128;
  __builtin_memcpy(key.address, address, sizeof(key.address));
  return SP_LOOK_UP(prefixes, &key);
}

SP_HOOK const struct sp_program* sp_find_program(struct sp_env* env, __u32 set, __u32 peer_class) {
  __u64 key = (__u64)set << 32 | peer_class;
  return SP_LOOK_UP(programs, &key);
}

SP_HOOK const struct sp_piece* sp_find_piece(struct sp_env* env, __u32 index) {
  return SP_LOOK_UP(pieces, &index);
}

SP_HOOK const __u32* sp_find_tls(struct sp_env* env, __u64 key) {
  return SP_LOOK_UP(tls, &key);
}

SP_HOOK int sp_node_offers(struct sp_env* env, __u8 protocol, __u16 port) {
  __u32 key = (__u32)protocol << 16 | port;
  return SP_LOOK_UP(offers, &key) != 0;
}

/* --- accounts ----------------------------------------------------------------------------------
 */

SP_HOOK const struct sp_limits* sp_get_limits(struct sp_env* env) {
  return bpf_map_lookup_elem(&limits, &kZero);
}

SP_HOOK struct sp_totals* sp_get_totals(struct sp_env* env) {
  return bpf_map_lookup_elem(&totals, &kZero);
}

SP_HOOK __u64* sp_get_quota(struct sp_env* env, __u32 endpoint) {
  __u64 none = 0, *quota = bpf_map_lookup_elem(&quotas, &endpoint);
  if (quota) return quota;
  bpf_map_update_elem(&quotas, &endpoint, &none, BPF_NOEXIST);
  return bpf_map_lookup_elem(&quotas, &endpoint);
}

SP_GLOBAL int sp_add_to_rule(__u32 rule, __u64 verdicts, __u64 packets, __u64 bytes) {
  struct sp_rule_count* count = bpf_map_lookup_elem(&rules, &rule);
  if (!count) {
    struct sp_rule_count none = {};
    bpf_map_update_elem(&rules, &rule, &none, BPF_NOEXIST);
    count = bpf_map_lookup_elem(&rules, &rule);
    if (!count) return 0;
  }
  count->verdicts += verdicts;
  count->packets += packets;
  count->bytes += bytes;
  return 0;
}

SP_HOOK void sp_count_rule(struct sp_env* env, __u32 rule, __u64 verdicts, __u64 packets,
                           __u64 bytes) {
  sp_add_to_rule(rule, verdicts, packets, bytes);
}

SP_HOOK void sp_count_drop(struct sp_env* env, int reason) {
  __u32 index = (__u32)reason;
  __u64* count = bpf_map_lookup_elem(&drops, &index);
  if (count) *count += 1;
}

/* --- events ------------------------------------------------------------------------------------
 */

SP_HOOK __u64 sp_now(struct sp_env* env) {
  return bpf_ktime_get_ns();
}

SP_HOOK struct sp_event* sp_begin_event(struct sp_env* env) {
  struct sp_event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    struct sp_totals* t = sp_get_totals(env);
    if (t) __sync_fetch_and_add(&t->events_lost, 1);
  }
  return event;
}

SP_HOOK void sp_end_event(struct sp_env* env, struct sp_event* event) {
  bpf_ringbuf_submit(event, 0);
}

SP_HOOK void sp_report_denied(struct sp_env* env, const struct sp_flow* flow) {
  struct sp_denial_key key = {};
  struct sp_denial* denial;
  struct sp_scratch* room;
  struct sp_event *e, *event;
  key.tuple = flow->packet.tuple;
  key.local = flow->at.local;
  key.reason = flow->reason;
  denial = bpf_map_lookup_elem(&denials, &key);
  if (denial) {
    __sync_fetch_and_add(&denial->repeats, 1);
    return;
  }
  room = bpf_map_lookup_elem(&scratch, &kZero);
  if (!room) return;
  denial = &room->denial;
  __builtin_memset(denial, 0, sizeof(*denial));
  e = &denial->event;
  sp_fill_denied(env, flow, e);
  event = sp_begin_event(env);
  if (event) {
    __builtin_memcpy(event, e, sizeof(*event));
    sp_end_event(env, event);
  }
  bpf_map_update_elem(&denials, &key, denial, BPF_NOEXIST);
}

/* --- connections -------------------------------------------------------------------------------
 */

SP_HOOK struct sp_connection* sp_find_connection(struct sp_env* env, const struct sp_key* key) {
  return bpf_map_lookup_elem(&connections, key);
}

SP_HOOK struct sp_connection* sp_new_connection(struct sp_env* env) {
  struct sp_scratch* room = bpf_map_lookup_elem(&scratch, &kZero);
  if (!room) return 0;
  __builtin_memset(&room->connection, 0, sizeof(room->connection));
  return &room->connection;
}

SP_HOOK void give_slot(__u32 index) {
  struct sp_slot* slot = bpf_map_lookup_elem(&slots, &index);
  if (!slot) return;
  slot->due = 0;
  bpf_map_push_elem(&free_slots, &index, 0);
}

/* A slot that was given back, else one that was never used. Null: none left. */
SP_HOOK struct sp_slot* take_slot(struct sp_env* env, __u32* index) {
  struct sp_totals* t = sp_get_totals(env);
  struct sp_slot* slot;
  if (!t) return 0;
  if (bpf_map_pop_elem(&free_slots, index)) {
    *index = (__u32)__sync_fetch_and_add(&t->slots, 1);
    slot = bpf_map_lookup_elem(&slots, index);
    if (!slot) __sync_fetch_and_add(&t->slots, (__u64)-1);
    return slot;
  }
  return bpf_map_lookup_elem(&slots, index);
}

SP_HOOK int sp_remove_connection(struct sp_env* env, const struct sp_key* key,
                                 const struct sp_connection* c) {
  __u32 slot = c->slot;
  if (bpf_map_delete_elem(&connections, key)) return 0;
  give_slot(slot);
  return 1;
}

SP_HOOK void sp_tick_soon(struct sp_env* env, struct sp_connection* c, __u64 ns) {
  struct sp_slot* slot = bpf_map_lookup_elem(&slots, &c->slot);
  if (slot) slot->due = sp_now(env) + ns;
}

SP_HOOK struct sp_connection* sp_insert_connection(struct sp_env* env, const struct sp_key* key,
                                                   struct sp_connection* value, int* made) {
  struct sp_slot* slot;
  __u32 index = 0;
  long error;
  *made = 0;
  slot = take_slot(env, &index);
  if (!slot) return 0;
  slot->key = *key;
  value->slot = index;
  error = bpf_map_update_elem(&connections, key, value, BPF_NOEXIST);
  if (error) {
    give_slot(index);
    return error == -EEXIST ? bpf_map_lookup_elem(&connections, key) : 0;
  }
  *made = 1;
  slot->due = value->first_seen + SP_FIRST_TICK;
  return bpf_map_lookup_elem(&connections, key);
}

/* --- the sweep ----------------------------------------------------------------------------------
 * Ten times a second a tenth of the slots: every connection is looked at within a second of being
 * due. What is not due costs one read of its slot. */

#define SWEEP_TICKS 10
#define SWEEP_PERIOD (SP_SECOND / SWEEP_TICKS)

struct sweep_round {
  __u64 now;
  __u32 first;
  __u32 end; /* slots that were ever used */
};

static long sweep_slot(__u32 i, struct sweep_round* round) {
  struct sp_env none = {};
  __u32 index = round->first + i;
  struct sp_connection* c;
  struct sp_slot* slot;
  struct sp_key key;
  __u64 next;
  if (index >= round->end) return 1;
  slot = bpf_map_lookup_elem(&slots, &index);
  if (!slot) return 1;
  if (slot->due == 0 || slot->due > round->now) return 0;
  key = slot->key;
  c = bpf_map_lookup_elem(&connections, &key);
  if (!c || c->slot != index) return 0; /* on its way in or out */
  next = sp_tick(&none, &key, c);
  if (next) slot->due = round->now + next;
  return 0;
}

/* A second after its last event: what was denied of this tuple since, or the end of the entry. */
static long sweep_denial(void* map, struct sp_denial_key* key, struct sp_denial* denial,
                         struct sweep_round* round) {
  struct sp_env none = {};
  __u64 repeats = denial->repeats;
  struct sp_event* event;
  if (round->now - denial->event.time < SP_SECOND) return 0;
  if (repeats == 0) {
    bpf_map_delete_elem(&denials, key);
    return 0;
  }
  __sync_fetch_and_add(&denial->repeats, -repeats);
  denial->event.time = round->now;
  event = sp_begin_event(&none);
  if (!event) return 0;
  __builtin_memcpy(event, &denial->event, sizeof(*event));
  event->repeats = repeats > 0xffffffff ? 0xffffffff : (__u32)repeats;
  event->packets[0] = repeats;
  event->bytes[0] = repeats * denial->event.bytes[0];
  sp_end_event(&none, event);
  return 0;
}

static int sweep_tick(void* map, __u32* key, struct sp_sweep* s) {
  struct sp_env none = {};
  struct sp_totals* t = sp_get_totals(&none);
  struct sweep_round round = {.now = bpf_ktime_get_ns()};
  if (t) {
    __u32 share;
    round.end = (__u32)t->slots;
    share = round.end / SWEEP_TICKS + 1;
    round.first = s->cursor < round.end ? s->cursor : 0;
    bpf_loop(share, sweep_slot, &round, 0);
    s->cursor = round.first + share;
  }
  if (s->ticks++ % 2 == 0) bpf_for_each_map_elem(&denials, sweep_denial, &round, 0);
  bpf_timer_start(&s->timer, SWEEP_PERIOD, 0);
  return 0;
}

/* --- programs ----------------------------------------------------------------------------------
 */

#ifdef SP_TEST_RUN
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sp_test_arrival);
} test_arrival SEC(".maps");
#endif

SEC("netfilter")
int sallyport_gate(struct bpf_nf_ctx* ctx) {
  const struct nf_hook_state* state = ctx->state;
  struct sp_env env;
  struct sp_flow flow;
  __u64* generation = bpf_map_lookup_elem(&control, &kZero);
  if (!generation) return 0;
  env.generation = *(volatile __u64*)generation;
  env.slot = (__u32)env.generation % SP_SLOTS;
  flow.at.family = state->pf == SP_NFPROTO_IPV6 ? SP_V6 : SP_V4;
#ifdef SP_TEST_RUN
  {
    struct sp_test_arrival* arrival = bpf_map_lookup_elem(&test_arrival, &kZero);
    if (!arrival) return 0;
    flow.at.family = arrival->family;
    flow.at.in = arrival->in;
    flow.at.out = arrival->out;
    flow.at.local = arrival->local;
    flow.at.reply = arrival->reply;
  }
#else
  flow.at.in = state->in ? (__u32)state->in->ifindex : 0;
  flow.at.local = state->hook == SP_NF_LOCAL_IN;
  flow.at.out = 0;
  flow.at.reply = 0;
  if (flow.at.local) {
    __u32 info = (__u32)ctx->skb->_nfct & SP_CT_INFO_MASK;
    flow.at.reply = info == SP_CT_ESTABLISHED_REPLY || info == SP_CT_RELATED_REPLY;
  } else {
    flow.at.out = state->out ? (__u32)state->out->ifindex : 0;
  }
#endif
  return sp_decide(&env, sp_as_reader(ctx), &flow);
}

/* Run by the node through BPF_PROG_TEST_RUN. The sweep lives as long as its map is pinned. */
SEC("syscall")
int sallyport_start(void* context) {
  struct sp_sweep* s = bpf_map_lookup_elem(&sweep, &kZero);
  long error;
  if (!s) return 1;
  error = bpf_timer_init(&s->timer, &sweep, CLOCK_MONOTONIC);
  if (error && error != -EBUSY)
    return 2; /* -EBUSY: it runs already, perhaps with an older program */
  if (bpf_timer_set_callback(&s->timer, sweep_tick)) return 3;
  return bpf_timer_start(&s->timer, SWEEP_PERIOD, 0) ? 4 : 0;
}

/* Ends every connection of one endpoint. */
struct sp_forget {
  __u32 endpoint;
};

static long forget_one(void* map, struct sp_key* key, struct sp_connection* c,
                       struct sp_forget* forget) {
  if (c->endpoint[0] == forget->endpoint || c->endpoint[1] == forget->endpoint) {
    struct sp_env none = {};
    struct sp_key copy = *key;
    sp_end_connection(&none, &copy, c);
  }
  return 0;
}

SEC("syscall")
int sallyport_forget(struct sp_forget* context) {
  struct sp_forget forget = {.endpoint = context->endpoint};
  bpf_for_each_map_elem(&connections, forget_one, &forget, 0);
  return 0;
}

char sp_license[] SEC("license") = "GPL";
