/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The connection table: keys, accounts, events, expiry, and what happens to an entry when policy
 * changes under it. */
#ifndef SALLYPORT_GATE_BPF_CONNECTIONS_H
#define SALLYPORT_GATE_BPF_CONNECTIONS_H

#include "expiry.h"
#include "hooks.h"
#include "judge.h"
#include "types.h"

static inline __u64 sp_tag(const struct sp_key* key) {
  __u64 tag = key->address[0].word[0] ^ (key->address[1].word[0] << 1);
  tag ^= key->address[0].word[1] * 0x9e3779b97f4a7c15ULL;
  tag ^= key->address[1].word[1] * 0xc2b2ae3d27d4eb4fULL;
  tag ^= ((__u64)key->port[0] << 48 | (__u64)key->port[1] << 32 | (__u64)key->protocol << 8 |
          key->local) *
         0x165667b19e3779f9ULL;
  return tag;
}

/* The key of a tuple; returns the side that the tuple's source is. Any total order will do. */
static inline __u32 sp_make_key(const struct sp_tuple* t, __u8 local, struct sp_key* key) {
  const struct sp_address *s = &t->source, *d = &t->destination;
  int swap = 0;
  if (s->word[1] != d->word[1])
    swap = s->word[1] > d->word[1];
  else if (s->word[0] != d->word[0])
    swap = s->word[0] > d->word[0];
  else
    swap = t->source_port > t->destination_port;
  key->protocol = t->protocol;
  key->local = local;
  key->unused[0] = 0;
  key->unused[1] = 0;
  if (swap) {
    key->address[0] = *d;
    key->address[1] = *s;
    key->port[0] = t->destination_port;
    key->port[1] = t->source_port;
    return 1;
  }
  key->address[0] = *s;
  key->address[1] = *d;
  key->port[0] = t->source_port;
  key->port[1] = t->destination_port;
  return 0;
}

static inline int sp_allowed(const struct sp_connection* c) {
  return (int)(c->judged & 1);
}

/* The role (0 initiator, 1 responder) of a side of the key. */
static inline __u32 sp_role(const struct sp_connection* c, __u32 side) {
  return side ^ (c->flags & SP_INITIATOR_IS_1);
}

/* Ports of an event: ICMP shows its id as source, type and code as destination. */
static inline void sp_fill_ports(struct sp_event* e, __u16 source, __u16 destination) {
  if (e->protocol == SP_ICMP || e->protocol == SP_ICMP6) {
    if (destination == 0xffff) {
      e->source_port = 0;
      e->destination_port = source;
    } else {
      e->source_port = source;
      e->destination_port = (__u16)((e->protocol == SP_ICMP ? 8 : 128) << 8);
    }
    return;
  }
  e->source_port = source;
  e->destination_port = destination;
}

static inline __u32 sp_tls_state_of(__u32 flags) {
  if (flags & SP_TLS_PLAINTEXT) return SP_TLS_IS_PLAINTEXT;
  if (flags & SP_TLS_ANSWERED) return SP_TLS_IS_TLS;
  return flags & SP_TLS_HELLO ? SP_TLS_IS_HELLO : SP_TLS_IS_UNKNOWN;
}

static __attribute__((noinline)) void sp_report_connection(struct sp_env* env, __u32 kind,
                                                           const struct sp_key* key,
                                                           const struct sp_connection* c,
                                                           __u32 reason) {
  struct sp_event* e = sp_begin_event(env);
  if (!e) return;
  e->kind = (__u8)kind;
  e->protocol = key->protocol;
  e->local = key->local;
  e->reason = (__u8)reason;
  if (c->flags & SP_INITIATOR_IS_1) {
    e->source = key->address[1];
    e->destination = key->address[0];
    sp_fill_ports(e, key->port[1], key->port[0]);
  } else {
    e->source = key->address[0];
    e->destination = key->address[1];
    sp_fill_ports(e, key->port[0], key->port[1]);
  }
  e->time = sp_now(env);
  e->generation = c->judged >> 1;
  e->packets[0] = c->packets[0];
  e->packets[1] = c->packets[1];
  e->bytes[0] = c->bytes[0];
  e->bytes[1] = c->bytes[1];
  e->source_endpoint = c->endpoint[0];
  e->destination_endpoint = c->endpoint[1];
  e->egress_rule = c->egress_rule;
  e->ingress_rule = c->ingress_rule;
  e->repeats = 1;
  e->ifindex = c->ifindex[0];
  e->tls = sp_tls_state_of(c->flags);
  /* One event of a connection names the PeerAuthentication: not its end as well. */
  e->tls_policy = kind == SP_REVOKED && reason >= SP_DENY_PLAINTEXT ? c->tls_policy : 0;
  sp_end_event(env, e);
}

/* Is the table three quarters full, or half used what this endpoint may have? Then idle ones go.
 */
static inline int sp_pressure(struct sp_env* env, __u32 owner) {
  const struct sp_limits* limits = sp_get_limits(env);
  struct sp_totals* totals = sp_get_totals(env);
  __u64 *quota, free, most;
  if (!limits || !totals) return 1;
  if (totals->connections >= limits->connections) return 1;
  free = limits->connections - totals->connections;
  if (free < limits->connections / 4) return 1;
  quota = sp_get_quota(env, owner);
  most = free < limits->per_endpoint ? free : limits->per_endpoint;
  return !quota || *quota > most / 2;
}

/* Takes room for one entry of `owner`; 0 or the reason why there is none. An endpoint may hold no
 * more entries than are free (and no more than its quota): however many greedy ones there are,
 * together they leave a share for the next. */
static inline int sp_take_room(struct sp_env* env, __u32 owner) {
  const struct sp_limits* limits = sp_get_limits(env);
  struct sp_totals* totals = sp_get_totals(env);
  __u64* quota = sp_get_quota(env, owner);
  __u64 all, own, free;
  if (!limits || !totals || !quota) return SP_DENY_TABLE_FULL;
  all = __sync_fetch_and_add(&totals->connections, 1);
  if (all >= limits->connections) {
    __sync_fetch_and_add(&totals->connections, (__u64)-1);
    __sync_fetch_and_add(&totals->overflows, 1);
    return SP_DENY_TABLE_FULL;
  }
  free = limits->connections - all;
  own = __sync_fetch_and_add(quota, 1);
  if (own >= limits->per_endpoint || own >= free) {
    __sync_fetch_and_add(quota, (__u64)-1);
    __sync_fetch_and_add(&totals->connections, (__u64)-1);
    __sync_fetch_and_add(&totals->overflows, 1);
    return SP_DENY_QUOTA;
  }
  return 0;
}

static inline void sp_give_room(struct sp_env* env, __u32 owner) {
  struct sp_totals* totals = sp_get_totals(env);
  __u64* quota = sp_get_quota(env, owner);
  if (totals) __sync_fetch_and_add(&totals->connections, (__u64)-1);
  if (quota) __sync_fetch_and_add(quota, (__u64)-1);
}

/* What was not counted yet goes to the rules. Returns whether there was anything. */
static inline int sp_settle(struct sp_env* env, struct sp_connection* c) {
  __u64 packets = c->packets[0] + c->packets[1];
  __u64 bytes = c->bytes[0] + c->bytes[1];
  __u64 more_packets = packets - c->counted_packets;
  __u64 more_bytes = bytes - c->counted_bytes;
  if (more_packets == 0) return 0;
  c->counted_packets = packets;
  c->counted_bytes = bytes;
  if (c->egress_rule) sp_count_rule(env, c->egress_rule, 0, more_packets, more_bytes);
  if (c->ingress_rule) sp_count_rule(env, c->ingress_rule, 0, more_packets, more_bytes);
  return 1;
}

/* Ends a connection: counts, reports, frees. Only one of several callers at once does it. */
static __attribute__((noinline)) void sp_end_connection(struct sp_env* env,
                                                        const struct sp_key* key,
                                                        struct sp_connection* c) {
  __u32 owner = c->owner;
  if (__sync_fetch_and_or(&c->flags, SP_ENDED) & SP_ENDED) return;
  sp_settle(env, c);
  sp_report_connection(env, SP_CLOSED, key, c, c->reason);
  if (sp_remove_connection(env, key, c)) sp_give_room(env, owner);
}

/* A connection that is due. Returns the ns until the next tick, or 0: it has ended. */
static inline __u64 sp_tick(struct sp_env* env, const struct sp_key* key, struct sp_connection* c) {
  __u64 now = sp_now(env), idle, limit, next = SP_TICK;
  if (sp_settle(env, c)) c->last_seen = now;
  idle = now - c->last_seen;
  limit = sp_idle_limit(key->protocol, c->flags, sp_allowed(c), c->packets[1] != 0,
                        sp_pressure(env, c->owner));
  if (idle >= limit) {
    sp_end_connection(env, key, c);
    return 0;
  }
  if (sp_is_closing(c->flags)) next = SP_CLOSING_TICK;
  return limit - idle < next ? limit - idle : next;
}

/* Judges a live connection again by the tables of this packet's generation. Returns 0 where the
 * entry is void: another endpoint is behind one of its addresses now. */
static __attribute__((noinline)) int sp_judge_again(struct sp_env* env, const struct sp_key* key,
                                                    struct sp_connection* c) {
  struct sp_party from, to;
  struct sp_judgement j;
  __u64 before = c->judged;
  int allow;
  if (c->flags & SP_INITIATOR_IS_1) {
    sp_resolve(env, &key->address[1], &from);
    sp_resolve(env, &key->address[0], &to);
    j.port = key->port[0];
  } else {
    sp_resolve(env, &key->address[0], &from);
    sp_resolve(env, &key->address[1], &to);
    j.port = key->port[1];
  }
  if (from.endpoint != c->endpoint[0] || to.endpoint != c->endpoint[1]) return 0;
  j.protocol = key->protocol;
  j.local = key->local;
  allow = sp_judge(env, &from, &to, &j);
  sp_settle(env, c); /* what passed so far belongs to the rules of then */
  c->egress_rule = j.egress_rule;
  c->ingress_rule = j.ingress_rule;
  c->tls_policy = j.tls_policy;
  c->reason = j.reason;
  /* A full barrier, and the flags after it: see sp_plaintext() in tls.h, which does it the other
   * way round, so that at least one of the two sees the other. */
  __sync_lock_test_and_set(&c->judged, sp_generation(env) << 1 | (__u64)allow);
  if (allow && j.tls_policy && (*(volatile __u32*)&c->flags & SP_TLS_PLAINTEXT)) {
    allow = 0;
    c->reason = SP_DENY_PLAINTEXT;
    c->judged = sp_generation(env) << 1;
  }
  if (allow != (int)(before & 1)) {
    if (j.egress_rule) sp_count_rule(env, j.egress_rule, 1, 0, 0);
    if (j.ingress_rule) sp_count_rule(env, j.ingress_rule, 1, 0, 0);
    if (allow)
      __sync_fetch_and_and(&c->flags, ~(__u32)SP_TLS_TOLD);
    else
      __sync_fetch_and_or(&c->flags, SP_TLS_TOLD);
    sp_report_connection(env, allow ? SP_NEW : SP_REVOKED, key, c, c->reason);
  }
  return 1;
}

/* Follows TCP: only packets that change something come here. */
static inline void sp_follow_tcp(struct sp_env* env, struct sp_connection* c, __u8 tcp_flags,
                                 __u32 role) {
  __u32 before = c->flags, set = 0;
  __u32 rst = role ? SP_RST_1 : SP_RST_0;
  if (tcp_flags & SP_TCP_RST) {
    set = rst;
  } else {
    /* Who has really reset never speaks again: that was a forged or stale one. */
    if (before & rst) __sync_fetch_and_and(&c->flags, ~rst);
    if (tcp_flags & SP_TCP_FIN) set = role ? SP_FIN_1 : SP_FIN_0;
  }
  /* Established: the initiator acknowledges after the responder has spoken; towards the node only
   * the initiator is seen. */
  if (role == 0 && (tcp_flags & (SP_TCP_ACK | SP_TCP_SYN | SP_TCP_RST)) == SP_TCP_ACK &&
      (c->packets[1] || (before & SP_LOCAL)))
    set |= SP_ESTABLISHED;
  if ((before & set) == set) return;
  __sync_fetch_and_or(&c->flags, set);
  if (!sp_is_closing(before) && sp_is_closing(before | set)) sp_tick_soon(env, c, SP_CLOSING_TICK);
}

#endif
