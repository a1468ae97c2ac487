/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What policy says about one connection, by the tables of one generation. */
#ifndef SALLYPORT_GATE_BPF_JUDGE_H
#define SALLYPORT_GATE_BPF_JUDGE_H

#include "hooks.h"
#include "parse.h"
#include "source_guard.h"
#include "types.h"

struct sp_judgement { /* one connection to judge, from its initiator's view */
  __u32 egress_rule, ingress_rule;
  __u32 tls_policy; /* demands TLS; 0: nobody does */
  __u32 reason;
  __u16 port;
  __u8 protocol;
  __u8 local;
};

/* Who is at an address. */
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
    party->ranges = e->tls ? SP_DEMANDS_TLS : 0;
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

/* The PeerAuthentication that demands TLS of connections to this port of the party, or 0. */
SP_GLOBAL __u32 sp_demand(struct sp_env* env, const struct sp_party* to, __u32 port) {
  const __u32* policy;
  __u64 key;
  if (!env || !to || !to->endpoint || !(to->ranges & SP_DEMANDS_TLS)) return 0;
  key = (__u64)to->endpoint << 32;
  policy = sp_find_tls(env, key | (port & 0xffff));
  if (!policy) policy = sp_find_tls(env, key);
  return policy ? *policy : 0;
}

/* The verdict about a connection: fills rules and reason, returns allow. Both directions are asked
 * even where the first denies, so that the event can name both. */
SP_GLOBAL int sp_judge(struct sp_env* env, const struct sp_party* from, const struct sp_party* to,
                       struct sp_judgement* j) {
  int allow = 1;
  if (!env || !from || !to || !j) return 0;
  j->egress_rule = 0;
  j->ingress_rule = 0;
  j->tls_policy = j->protocol == SP_TCP && !j->local ? sp_demand(env, to, j->port) : 0;
  if (from->endpoint && from->endpoint == to->endpoint) {
    j->reason = SP_SELF;
    return 1;
  }
  if (from->endpoint && from->egress_set)
    allow = sp_ask_set(env, from->egress_set, to->peer_class, j, &j->egress_rule);
  if (to->endpoint && to->ingress_set && !j->local)
    allow &= sp_ask_set(env, to->ingress_set, from->peer_class, j, &j->ingress_rule);
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

#endif
