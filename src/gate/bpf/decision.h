/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The decision of gate 1 about one packet, as plain C over hooks, so that the BPF program and the
 * user-space twin (gate/twin.h) are the same code. The includer supplies what parse.h and hooks.h
 * ask for, reads the generation once, fills f->at, and calls sp_decide(). */
#ifndef SALLYPORT_GATE_BPF_DECISION_H
#define SALLYPORT_GATE_BPF_DECISION_H

#include "expiry.h"
#include "hooks.h"
#include "parse.h"
#include "source_guard.h"
#include "types.h"

struct sp_arrival {
  __u32 in;  /* ifindex; 0 unknown */
  __u32 out; /* 0 at LOCAL_IN */
  __u8 family;
  __u8 local; /* LOCAL_IN: to the node itself */
  __u8 reply; /* LOCAL_IN: the kernel tracks it as an answer to the node */
  __u8 unused;
};

struct sp_flow { /* one packet on its way through the decision */
  struct sp_packet packet;
  struct sp_key key;
  struct sp_arrival at;
  struct sp_party source, destination; /* of the packet */
  __u32 side;                          /* of the key that sent it */
  __u32 egress_rule, ingress_rule;
  __u32 reason;
};

struct sp_judgement { /* one connection to judge, from its initiator's view */
  struct sp_party from, to;
  __u32 egress_rule, ingress_rule;
  __u32 reason;
  __u16 port;
  __u8 protocol;
  __u8 local;
};

/* --- who is at an address ------------------------------------------------------------------ */

SP_GLOBAL int sp_resolve(struct sp_env* env, const struct sp_address* address,
                         struct sp_party* party) {
  const struct sp_endpoint* e;
  const struct sp_prefix* prefix;
  if (!env || !address || !party) return 0;
  e = sp_find_endpoint(env, address);
  if (e) {
    party->endpoint = e->id;
    party->ifindex = e->ifindex;
    party->peer_class = e->peer_class;
    party->egress_set = e->egress_set;
    party->ingress_set = e->ingress_set;
    party->ranges = 0;
    return 0;
  }
  prefix = sp_find_prefix(env, address);
  party->endpoint = 0;
  party->ifindex = 0;
  party->peer_class = prefix ? prefix->peer_class : 0;
  party->egress_set = 0;
  party->ingress_set = 0;
  party->ranges = prefix ? prefix->ranges : 0;
  return 0;
}

/* --- policy ---------------------------------------------------------------------------------- */

/* Does `set` allow the peer class on this port? The rule that says so goes to *rule. A set without
 * a program would be a table that contradicts itself: deny. */
SP_GLOBAL int sp_ask_set(struct sp_env* env, __u32 set, __u32 peer_class, struct sp_judgement* j,
                         __u32* rule) {
  const struct sp_program* program;
  const struct sp_piece* piece;
  struct sp_port_range range;
  int i;
  if (!env || !j || !rule) return 0;
  program = sp_find_program(env, set, peer_class);
  if (!program) program = sp_find_program(env, set, SP_DEFAULT_CLASS);
  *rule = 0;
  if (!program) return 0;
  if (j->protocol == SP_TCP) {
    range = program->tcp;
  } else if (j->protocol == SP_UDP) {
    range = program->udp;
  } else if (j->protocol == SP_SCTP) {
    range = program->sctp;
  } else {
    *rule = program->other_rule;
    return program->other_allow != 0;
  }
  /* The last piece that begins at or below the port; at most 65,536 pieces, so 17 halvings. */
  for (i = 0; i < 17; i++) {
    __u32 half = range.count / 2;
    if (range.count <= 1) break;
    piece = sp_find_piece(env, range.first + half);
    if (!piece) return 0;
    if (piece->first_port <= j->port) {
      range.first += half;
      range.count -= half;
    } else {
      range.count = half;
    }
  }
  piece = sp_find_piece(env, range.first);
  if (!piece || range.count == 0) return 0;
  *rule = piece->rule;
  return piece->allow != 0;
}

/* The verdict about a connection: fills rules and reason, returns allow. Both directions are asked
 * even where the first denies, so that the event can name both. */
SP_GLOBAL int sp_judge(struct sp_env* env, struct sp_judgement* j) {
  int allow = 1;
  if (!env || !j) return 0;
  j->egress_rule = 0;
  j->ingress_rule = 0;
  if (j->from.endpoint && j->from.endpoint == j->to.endpoint) {
    j->reason = SP_SELF;
    return 1;
  }
  if (j->from.endpoint && j->from.egress_set)
    allow = sp_ask_set(env, j->from.egress_set, j->to.peer_class, j, &j->egress_rule);
  if (j->to.endpoint && j->to.ingress_set && !j->local)
    allow &= sp_ask_set(env, j->to.ingress_set, j->from.peer_class, j, &j->ingress_rule);
  j->reason = allow ? SP_BY_POLICY : SP_DENY_POLICY;
  if (allow && j->local) {
    /* Of the node itself only what it offers is open, whatever the policy allows. */
    if (j->protocol != SP_ICMP && j->protocol != SP_ICMP6 &&
        !sp_node_offers(env, j->protocol, j->port)) {
      j->reason = SP_DENY_NOT_OFFERED;
      return 0;
    }
  }
  return allow;
}

/* --- the connection table -------------------------------------------------------------------- */

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

static __attribute__((noinline)) void sp_report_connection(struct sp_env* env, __u32 kind,
                                                           const struct sp_key* key,
                                                           const struct sp_connection* c) {
  struct sp_event* e = sp_begin_event(env);
  if (!e) return;
  e->kind = (__u8)kind;
  e->protocol = key->protocol;
  e->local = key->local;
  e->reason = (__u8)c->reason;
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
  sp_end_event(env, e);
}

/* The event about a denied packet. */
static inline void sp_fill_denied(struct sp_env* env, const struct sp_flow* f, struct sp_event* e) {
  const struct sp_packet* p = &f->packet;
  e->kind = SP_DENIED;
  e->reason = (__u8)f->reason;
  e->protocol = p->tuple.protocol;
  e->local = f->at.local;
  e->source = p->tuple.source;
  e->destination = p->tuple.destination;
  e->source_port = p->tuple.source_port;
  e->destination_port = p->tuple.destination_port;
  if (e->protocol == SP_ICMP || e->protocol == SP_ICMP6) {
    /* The id of a query or its answer; other messages have none. */
    if (p->kind != SP_KIND_FLOW || p->tuple.destination_port == 0xffff)
      e->source_port = 0;
    else if (!p->opener)
      e->source_port = p->tuple.destination_port;
    e->destination_port = (__u16)(p->icmp_type << 8 | p->icmp_code);
  }
  e->time = sp_now(env);
  e->generation = sp_generation(env);
  e->packets[0] = 1;
  e->bytes[0] = p->length;
  e->source_endpoint = f->source.endpoint;
  e->destination_endpoint = f->destination.endpoint;
  e->egress_rule = f->egress_rule;
  e->ingress_rule = f->ingress_rule;
  e->repeats = 1;
  e->ifindex = f->at.in;
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
  sp_report_connection(env, SP_CLOSED, key, c);
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
  struct sp_judgement j;
  __u64 before = c->judged;
  int allow;
  if (c->flags & SP_INITIATOR_IS_1) {
    sp_resolve(env, &key->address[1], &j.from);
    sp_resolve(env, &key->address[0], &j.to);
    j.port = key->port[0];
  } else {
    sp_resolve(env, &key->address[0], &j.from);
    sp_resolve(env, &key->address[1], &j.to);
    j.port = key->port[1];
  }
  if (j.from.endpoint != c->endpoint[0] || j.to.endpoint != c->endpoint[1]) return 0;
  j.protocol = key->protocol;
  j.local = key->local;
  allow = sp_judge(env, &j);
  sp_settle(env, c); /* what passed so far belongs to the rules of then */
  c->egress_rule = j.egress_rule;
  c->ingress_rule = j.ingress_rule;
  c->reason = j.reason;
  c->judged = sp_generation(env) << 1 | (__u64)allow;
  if (allow != (int)(before & 1)) {
    if (j.egress_rule) sp_count_rule(env, j.egress_rule, 1, 0, 0);
    if (j.ingress_rule) sp_count_rule(env, j.ingress_rule, 1, 0, 0);
    sp_report_connection(env, allow ? SP_NEW : SP_REVOKED, key, c);
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

/* --- the packet --------------------------------------------------------------------------------
 */

SP_GLOBAL int sp_drop(struct sp_env* env, struct sp_flow* f, __u32 reason) {
  if (!env || !f) return 0;
  f->reason = reason;
  sp_count_drop(env, (int)reason);
  if (f->egress_rule) sp_count_rule(env, f->egress_rule, 1, 1, f->packet.length);
  if (f->ingress_rule) sp_count_rule(env, f->ingress_rule, 1, 1, f->packet.length);
  sp_report_denied(env, f);
  return 0;
}

/* Verdict by an entry that was judged in this generation. */
static inline int sp_by_entry(struct sp_env* env, const struct sp_flow* f, struct sp_connection* c,
                              __u32 role, __u64 judged) {
  /* Two increments instead of one with a variable index: the verifier and the cache like it. */
  if (role) {
    __sync_fetch_and_add(&c->packets[1], 1);
    __sync_fetch_and_add(&c->bytes[1], f->packet.length);
  } else {
    __sync_fetch_and_add(&c->packets[0], 1);
    __sync_fetch_and_add(&c->bytes[0], f->packet.length);
  }
  if (!(judged & 1)) {
    sp_count_drop(env, c->reason < SP_REASONS ? (int)c->reason : SP_DENY_POLICY);
    return 0;
  }
  if (f->key.protocol == SP_TCP &&
      ((f->packet.tcp_flags & (SP_TCP_FIN | SP_TCP_SYN | SP_TCP_RST)) ||
       !(c->flags & SP_ESTABLISHED) || (c->flags & (SP_RST_0 | SP_RST_1))))
    sp_follow_tcp(env, c, f->packet.tcp_flags, role);
  return 1;
}

/* Who sent it, where does it go: everything about a packet that no connection answers yet.
 * Returns 0, a reason to deny, or a reason to accept at once. */
SP_GLOBAL int sp_place(struct sp_env* env, struct sp_flow* f) {
  const __u32* wired;
  __u32 in_endpoint;
  int reason;
  if (!env || !f) return SP_DENY_NOT_PROGRAMMED;
  wired = sp_find_interface(env, f->at.in);
  in_endpoint = wired ? *wired : 0;
  sp_resolve(env, &f->packet.tuple.source, &f->source);
  sp_resolve(env, &f->packet.tuple.destination, &f->destination);
  reason = sp_guard_source(in_endpoint, &f->source, &f->packet, f->at.local);
  if (reason) return reason;

  if (f->packet.kind == SP_KIND_NEIGHBOUR) {
    if (!f->at.local) return SP_DENY_NEIGHBOUR;
    /* A pod is no router: it neither advertises itself as one nor redirects the node. */
    if (in_endpoint && (f->packet.icmp_type == 134 || f->packet.icmp_type == 137))
      return SP_DENY_NEIGHBOUR;
    if (f->packet.icmp_type >= 133 && f->packet.hop_limit != 255 && f->packet.icmp_type != 143)
      return SP_DENY_NEIGHBOUR;
    return SP_NEIGHBOUR;
  }
  if (f->at.local) {
    if (f->at.reply) return SP_NODE;
    if (f->packet.kind == SP_KIND_ERROR) return 0;
    if (f->source.endpoint && f->source.ifindex) return 0;
    /* Not one of this node's pods: no policy speaks about it, the node's offer does. */
    if (f->packet.tuple.protocol == SP_ICMP || f->packet.tuple.protocol == SP_ICMP6)
      return f->packet.icmp_type == 8 || f->packet.icmp_type == 128 ? SP_NODE : SP_DENY_NOT_OFFERED;
    if (sp_node_offers(env, f->packet.tuple.protocol, f->packet.tuple.destination_port))
      return SP_NODE;
    return SP_DENY_NOT_OFFERED;
  }
  if (!f->destination.endpoint) {
    if (f->destination.ranges & SP_RANGE_POD) return SP_DENY_UNKNOWN_POD;
    if (f->destination.ranges & SP_RANGE_SERVICE) return SP_DENY_NO_SERVICE;
    if (!f->source.endpoint) return SP_NOT_POD;
  } else if (f->destination.ifindex && f->destination.ifindex != f->at.out) {
    return SP_DENY_MISROUTED;
  }
  return 0;
}

/* An ICMP error passes where it is about a live, allowed connection, goes to the side that sent
 * the packet in question, and, from a pod, is about a packet that went to that pod. */
static __attribute__((noinline)) int sp_related(struct sp_env* env, struct sp_flow* f) {
  const struct sp_tuple* inner = &f->packet.inner;
  struct sp_connection* c;
  if (!f->packet.inner_ok) return SP_DENY_UNRELATED;
  if (inner->source.word[0] != f->packet.tuple.destination.word[0] ||
      inner->source.word[1] != f->packet.tuple.destination.word[1])
    return SP_DENY_UNRELATED;
  if (f->source.endpoint && (inner->destination.word[0] != f->packet.tuple.source.word[0] ||
                             inner->destination.word[1] != f->packet.tuple.source.word[1]))
    return SP_DENY_UNRELATED;
  sp_make_key(inner, f->at.local, &f->key);
  c = sp_find_connection(env, &f->key);
  if (!c) return SP_DENY_UNRELATED;
  if (c->judged >> 1 != sp_generation(env) && !sp_judge_again(env, &f->key, c))
    return SP_DENY_UNRELATED;
  if (!sp_allowed(c)) return SP_DENY_POLICY;
  return SP_RELATED;
}

static __attribute__((noinline)) int sp_begin(struct sp_env* env, struct sp_flow* f,
                                              struct sp_connection* old) {
  struct sp_judgement j;
  struct sp_connection *c, *n;
  int reason, made = 0;
  if (!f->packet.opener) return sp_drop(env, f, SP_DENY_NO_CONNECTION);
  j.from = f->source;
  j.to = f->destination;
  j.protocol = f->packet.tuple.protocol;
  j.port = f->packet.tuple.destination_port;
  j.local = f->at.local;
  if (!sp_judge(env, &j)) {
    f->egress_rule = j.egress_rule;
    f->ingress_rule = j.ingress_rule;
    return sp_drop(env, f, j.reason);
  }
  if (old) sp_end_connection(env, &f->key, old);
  n = sp_new_connection(env);
  if (!n) return sp_drop(env, f, SP_DENY_TABLE_FULL);
  n->owner = f->source.endpoint ? f->source.endpoint : f->destination.endpoint;
  reason = sp_take_room(env, n->owner);
  if (reason) return sp_drop(env, f, (__u32)reason);
  n->tag = sp_tag(&f->key);
  n->judged = sp_generation(env) << 1 | 1;
  n->flags = (f->side ? SP_INITIATOR_IS_1 : 0) | (f->at.local ? SP_LOCAL : 0);
  n->ifindex[0] = f->at.in;
  n->ifindex[1] = f->at.out;
  n->packets[0] = 1;
  n->bytes[0] = f->packet.length;
  n->counted_packets = 1; /* below */
  n->counted_bytes = f->packet.length;
  n->first_seen = sp_now(env);
  n->last_seen = n->first_seen;
  n->endpoint[0] = f->source.endpoint;
  n->endpoint[1] = f->destination.endpoint;
  n->egress_rule = j.egress_rule;
  n->ingress_rule = j.ingress_rule;
  n->reason = j.reason;
  c = sp_insert_connection(env, &f->key, n, &made);
  if (!c) {
    struct sp_totals* totals = sp_get_totals(env);
    sp_give_room(env, n->owner);
    if (totals) __sync_fetch_and_add(&totals->overflows, 1);
    return sp_drop(env, f, SP_DENY_TABLE_FULL);
  }
  f->reason = j.reason;
  if (!made) {
    sp_give_room(env, n->owner);
    return 1;
  }
  if (j.egress_rule) sp_count_rule(env, j.egress_rule, 1, 1, f->packet.length);
  if (j.ingress_rule) sp_count_rule(env, j.ingress_rule, 1, 1, f->packet.length);
  sp_report_connection(env, SP_NEW, &f->key, c);
  return 1;
}

static __attribute__((noinline)) int sp_decide_slowly(struct sp_env* env, struct sp_flow* f,
                                                      struct sp_connection* c) {
  int reason = sp_place(env, f);
  __u32 role;
  if (reason >= SP_DENY_POLICY) return sp_drop(env, f, (__u32)reason);
  if (reason) {
    f->reason = (__u32)reason;
    return 1;
  }
  if (f->packet.kind == SP_KIND_ERROR) {
    reason = sp_related(env, f);
    if (reason != SP_RELATED) return sp_drop(env, f, (__u32)reason);
    f->reason = SP_RELATED;
    return 1;
  }
  if (!c) return sp_begin(env, f, 0);
  role = sp_role(c, f->side);
  /* A SYN of the other side, or after the end: another connection with the same tuple. */
  if (f->packet.tcp_flags == SP_TCP_SYN && (role || sp_is_closing(c->flags)))
    return sp_begin(env, f, c);
  if (c->judged >> 1 != sp_generation(env)) {
    if (!sp_judge_again(env, &f->key, c)) {
      sp_end_connection(env, &f->key, c);
      return sp_begin(env, f, 0);
    }
  }
  if (role) {
    c->ifindex[1] = f->at.in;
    c->ifindex[0] = f->at.out;
  } else {
    c->ifindex[0] = f->at.in;
    c->ifindex[1] = f->at.out;
  }
  f->reason = c->reason;
  return sp_by_entry(env, f, c, role, c->judged);
}

/* 1: accept, 0: drop. The way of a packet of a known connection: parse, one look-up, counters. */
static inline int sp_decide(struct sp_env* env, const struct sp_reader* reader, struct sp_flow* f) {
  struct sp_connection* c = 0;
  int reason;
  f->egress_rule = 0;
  f->ingress_rule = 0;
  f->source.endpoint = 0;
  f->destination.endpoint = 0;
  if (f->at.local && f->at.in == SP_LOOPBACK) { /* the node to itself */
    f->reason = SP_NODE;
    return 1;
  }
  reason = sp_parse_packet(reader, f->at.family, &f->packet);
  if (reason) return sp_drop(env, f, (__u32)reason);
  if (sp_generation(env) == 0) return sp_drop(env, f, SP_DENY_NOT_PROGRAMMED);
  if (f->packet.kind == SP_KIND_FLOW) {
    f->side = sp_make_key(&f->packet.tuple, f->at.local, &f->key);
    c = sp_find_connection(env, &f->key);
    if (c) {
      __u32 role = sp_role(c, f->side);
      __u32 in = role ? c->ifindex[1] : c->ifindex[0];
      __u32 out = role ? c->ifindex[0] : c->ifindex[1];
      __u64 judged = *(volatile __u64*)&c->judged;
      if (*(volatile __u64*)&c->tag != sp_tag(&f->key)) {
        c = 0; /* given to another connection just now */
      } else if (judged >> 1 == sp_generation(env) && in == f->at.in && out == f->at.out &&
                 !(f->packet.tcp_flags == SP_TCP_SYN && (role || sp_is_closing(c->flags)))) {
        f->reason = c->reason;
        return sp_by_entry(env, f, c, role, judged);
      }
    }
  }
  return sp_decide_slowly(env, f, c);
}

#endif
