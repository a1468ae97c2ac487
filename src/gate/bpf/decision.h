/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The decision of gate 1 about one packet, as plain C over hooks, so that the BPF program and the
 * user-space twin (gate/twin.h) are the same code. The includer supplies what parse.h and hooks.h
 * ask for, reads the generation once, fills f->at, and calls sp_decide(). */
#ifndef SALLYPORT_GATE_BPF_DECISION_H
#define SALLYPORT_GATE_BPF_DECISION_H

#include "connections.h"
#include "flow.h"
#include "hooks.h"
#include "judge.h"
#include "parse.h"
#include "source_guard.h"
#include "tls.h"
#include "types.h"

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
  if (f->reason == SP_DENY_SYN_UNSEEN)
    e->tls_policy = sp_demand(env, &f->destination, p->tuple.destination_port);
  e->repeats = 1;
  e->ifindex = f->at.in;
}

SP_GLOBAL int sp_drop(struct sp_env* env, struct sp_flow* f, __u32 reason) {
  if (!env || !f) return 0;
  f->reason = reason;
  sp_count_drop(env, (int)reason);
  if (f->egress_rule) sp_count_rule(env, f->egress_rule, 1, 1, f->packet.length);
  if (f->ingress_rule) sp_count_rule(env, f->ingress_rule, 1, 1, f->packet.length);
  sp_report_denied(env, f);
  return 0;
}

/* What the beginning of this connection has to say about this packet. */
static inline __attribute__((always_inline)) int sp_by_tls(struct sp_env* env,
                                                           const struct sp_reader* reader,
                                                           struct sp_flow* f,
                                                           struct sp_connection* c, __u32 role) {
  int reason;
  if (f->key.protocol != SP_TCP || !sp_must_inspect(&f->packet, c)) return 1;
  reason = sp_inspect(env, reader, f, c, role);
  if (!reason) return 1;
  f->reason = (__u32)reason;
  sp_count_drop(env, reason);
  return 0;
}

/* Verdict by an entry that was judged in this generation. */
static inline __attribute__((always_inline)) int sp_by_entry(struct sp_env* env,
                                                             const struct sp_reader* reader,
                                                             struct sp_flow* f,
                                                             struct sp_connection* c, __u32 role,
                                                             __u64 judged) {
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
  if (f->key.protocol != SP_TCP) return 1;
  if (!sp_by_tls(env, reader, f, c, role)) return 0;
  if (((f->packet.tcp_flags & (SP_TCP_FIN | SP_TCP_SYN | SP_TCP_RST)) ||
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
static inline __attribute__((always_inline)) int sp_related(struct sp_env* env, struct sp_flow* f) {
  const struct sp_tuple* inner = &f->packet.of.inner;
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

/* A new connection, in the place of `old`. Returns 0, or the reason to drop the packet. */
static __attribute__((noinline)) int sp_begin(struct sp_env* env, struct sp_flow* f,
                                              struct sp_connection* old) {
  struct sp_judgement j;
  struct sp_connection *c, *n;
  int reason, made = 0;
  if (!f->packet.opener) {
    if (f->packet.tuple.protocol == SP_TCP &&
        sp_demand(env, &f->destination, f->packet.tuple.destination_port))
      return SP_DENY_SYN_UNSEEN;
    return SP_DENY_NO_CONNECTION;
  }
  j.protocol = f->packet.tuple.protocol;
  j.port = f->packet.tuple.destination_port;
  j.local = f->at.local;
  if (!sp_judge(env, &f->source, &f->destination, &j)) {
    f->egress_rule = j.egress_rule;
    f->ingress_rule = j.ingress_rule;
    return (int)j.reason;
  }
  if (old) sp_end_connection(env, &f->key, old);
  n = sp_new_connection(env);
  if (!n) return SP_DENY_TABLE_FULL;
  n->owner = f->source.endpoint ? f->source.endpoint : f->destination.endpoint;
  reason = sp_take_room(env, n->owner);
  if (reason) return reason;
  n->tag = sp_tag(&f->key);
  n->judged = sp_generation(env) << 1 | 1;
  n->first_seen = sp_now(env);
  n->last_seen = n->first_seen;
  n->flags = (f->side ? SP_INITIATOR_IS_1 : 0) | (f->at.local ? SP_LOCAL : 0) |
             (__u32)n->first_seen << SP_NONCE_SHIFT;
  n->ifindex[0] = f->at.in;
  n->ifindex[1] = f->at.out;
  n->packets[0] = 1;
  n->bytes[0] = f->packet.length;
  n->counted_packets = 1; /* below */
  n->counted_bytes = f->packet.length;
  n->endpoint[0] = f->source.endpoint;
  n->endpoint[1] = f->destination.endpoint;
  n->egress_rule = j.egress_rule;
  n->ingress_rule = j.ingress_rule;
  n->reason = j.reason;
  n->tls_policy = j.tls_policy;
  if (f->key.protocol == SP_TCP) n->first[0] = f->packet.of.tcp.sequence + 1;
  c = sp_insert_connection(env, &f->key, n, &made);
  if (!c) {
    struct sp_totals* totals = sp_get_totals(env);
    sp_give_room(env, n->owner);
    if (totals) __sync_fetch_and_add(&totals->overflows, 1);
    return SP_DENY_TABLE_FULL;
  }
  f->reason = j.reason;
  if (!made) {
    sp_give_room(env, n->owner);
    /* Whoever was faster may have begun differently: a SYN like that comes again. */
    if (f->key.protocol == SP_TCP && (f->packet.payload || c->first[0] != n->first[0]))
      return SP_DENY_SYN;
    return 0;
  }
  if (j.egress_rule) sp_count_rule(env, j.egress_rule, 1, 1, f->packet.length);
  if (j.ingress_rule) sp_count_rule(env, j.ingress_rule, 1, 1, f->packet.length);
  sp_report_connection(env, SP_NEW, &f->key, c, j.reason);
  return 0;
}

/* A SYN that does not belong to this connection's beginning. */
static inline __attribute__((always_inline)) int sp_is_other_syn(const struct sp_flow* f,
                                                                 const struct sp_connection* c,
                                                                 __u32 role) {
  return f->packet.tcp_flags == SP_TCP_SYN &&
         (role || (c->flags & SP_ESTABLISHED) || sp_is_closing(c->flags) ||
          c->first[0] != f->packet.of.tcp.sequence + 1);
}

static __attribute__((noinline)) int sp_decide_slowly(struct sp_env* env,
                                                      const struct sp_reader* reader,
                                                      struct sp_flow* f, struct sp_connection* c) {
  int reason = sp_place(env, f), other_syn;
  __u32 role = 0;
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
  other_syn = 0;
  if (c) {
    role = sp_role(c, f->side);
    other_syn = sp_is_other_syn(f, c, role);
    /* Simultaneous open: nobody could say who began. And a SYN that repeats the beginning of an
     * established connection is either late or wants that what was found out about this connection
     * counts for another one. */
    if (other_syn && !sp_is_closing(c->flags) &&
        (role ? !(c->flags & SP_ESTABLISHED) : c->first[0] == f->packet.of.tcp.sequence + 1))
      return sp_drop(env, f, SP_DENY_SYN);
    if (!other_syn && c->judged >> 1 != sp_generation(env) && !sp_judge_again(env, &f->key, c)) {
      sp_end_connection(env, &f->key, c);
      c = 0;
    }
  }
  /* None yet; or a SYN of the other side, after the end, or elsewhere in sequence: another one with
   * the same tuple. */
  if (!c || other_syn) {
    reason = sp_begin(env, f, c);
    if (reason) return sp_drop(env, f, (__u32)reason);
    if (!f->packet.payload && !f->packet.urgent) return 1;
    c = sp_find_connection(env, &f->key);
    return c ? sp_by_tls(env, reader, f, c, sp_role(c, f->side)) : 0;
  }
  if (role) {
    c->ifindex[1] = f->at.in;
    c->ifindex[0] = f->at.out;
  } else {
    c->ifindex[0] = f->at.in;
    c->ifindex[1] = f->at.out;
  }
  f->reason = c->reason;
  return sp_by_entry(env, reader, f, c, role, c->judged);
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
                 !sp_is_other_syn(f, c, role)) {
        f->reason = c->reason;
        return sp_by_entry(env, reader, f, c, role, judged);
      }
    }
  }
  return sp_decide_slowly(env, reader, f, c);
}

#endif
