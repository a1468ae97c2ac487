/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* How TCP connections begin: as TLS or not. Every connection is watched until both sides have said
 * their first bytes, whether somebody demands TLS or not, so that a demand that comes later cuts
 * plaintext and spares TLS. Where it is demanded (c->tls_policy), what is no TLS is dropped here.
 *
 * What makes it safe against an initiator with a TCP stack of its own:
 *  - The first sequence number is the one that the responder has acknowledged with its SYN-ACK, not
 *    the one that a SYN merely claims.
 *  - That a segment passed here does not mean that the responder took it (a wrong checksum is
 *    enough). So until the responder has answered as TLS, every segment that touches the first six
 *    bytes must carry all of them and they must be a ClientHello: whichever of them the responder
 *    takes, its stream begins as TLS.
 *  - Payload in a SYN that the responder takes (TCP fast open) is acknowledged by a number that
 *    says less; what follows such a SYN waits for the answer.
 *  - An urgent pointer takes bytes out of the stream, so before the answer it is no TLS.
 *
 * What may still become TLS (a segment out of order, less than six bytes, which TCP sends again) is
 * dropped and leaves the connection as it is; what cannot marks it for good. */
#ifndef SALLYPORT_GATE_BPF_TLS_H
#define SALLYPORT_GATE_BPF_TLS_H

#include "connections.h"
#include "flow.h"
#include "hooks.h"
#include "types.h"

enum sp_segment { /* where a segment lies, seen from the first byte of its side's stream */
                  SP_BEFORE_FIRST, /* ends before it: a keep-alive */
                  SP_COVERS_FIRST, /* has the first six bytes */
                  SP_PART_OF_FIRST,
                  SP_AFTER_FIRST /* begins after the six bytes */
};

static inline __u32 sp_payload_begin(const struct sp_packet* p) {
  return p->of.tcp.sequence + (p->tcp_flags & SP_TCP_SYN ? 1 : 0);
}

/* *at: where in the payload the first byte is, for SP_COVERS_FIRST. */
static inline enum sp_segment sp_locate(const struct sp_packet* p, __u32 first, __u32* at) {
  __u32 begin = sp_payload_begin(p);
  __u32 before = first - begin;
  if (before < 0x80000000u) {
    if (p->payload <= before) return SP_BEFORE_FIRST;
    if (p->payload - before < sizeof(struct sp_record)) return SP_PART_OF_FIRST;
    *at = before;
    return SP_COVERS_FIRST;
  }
  return begin - first < sizeof(struct sp_record) ? SP_PART_OF_FIRST : SP_AFTER_FIRST;
}

static inline int sp_is_handshake(const struct sp_record* r, __u8 message) {
  return r->byte[0] == 0x16 && r->byte[1] == 3 && r->byte[5] == message;
}

/* Sets a flag of the very connection whose flags were `seen`: where another one has taken over its
 * entry meanwhile, nothing is set. */
static inline int sp_advance(struct sp_connection* c, __u32 seen, __u32 flag) {
  int i;
  for (i = 0; i < 4; i++) {
    __u32 now = *(volatile __u32*)&c->flags;
    if ((now ^ seen) >> SP_NONCE_SHIFT) return 0;
    if (__sync_val_compare_and_swap(&c->flags, now, now | flag) == now) return 1;
  }
  return 0;
}

static inline void sp_tell_missing_tls(struct sp_env* env, const struct sp_flow* f,
                                       struct sp_connection* c, __u32 reason) {
  if (__sync_fetch_and_or(&c->flags, SP_TLS_TOLD) & SP_TLS_TOLD) return;
  sp_report_connection(env, SP_REVOKED, &f->key, c, reason);
}

/* It is no TLS, for good. Returns 0 where nobody demands it. The mark first, a full barrier, then
 * who demands it: sp_judge_again() does it the other way round. */
static inline int sp_plaintext(struct sp_env* env, const struct sp_flow* f,
                               struct sp_connection* c) {
  __sync_fetch_and_or(&c->flags, SP_TLS_PLAINTEXT);
  if (!*(volatile __u32*)&c->tls_policy) return 0;
  c->reason = SP_DENY_PLAINTEXT;
  c->judged = sp_generation(env) << 1;
  sp_tell_missing_tls(env, f, c, SP_DENY_PLAINTEXT);
  return SP_DENY_PLAINTEXT;
}

/* It may become TLS if this packet does not arrive. */
static inline int sp_not_yet(struct sp_env* env, const struct sp_flow* f, struct sp_connection* c) {
  if (!c->tls_policy) return 0;
  sp_tell_missing_tls(env, f, c, SP_DENY_TLS_ORDER);
  return SP_DENY_TLS_ORDER;
}

/* The same, but if it does arrive, nobody knows what the stream begins with. */
static inline int sp_unclear(struct sp_env* env, const struct sp_flow* f, struct sp_connection* c) {
  return c->tls_policy ? sp_not_yet(env, f, c) : sp_plaintext(env, f, c);
}

/* The responder's SYN-ACK says where both streams begin. */
static inline void sp_confirm(struct sp_connection* c, const struct sp_packet* p, __u32 seen) {
  __u32 taken = p->of.tcp.acknowledgement - c->first[0];
  if (taken != 0 && taken != c->syn_length) return;
  c->first[1] = p->of.tcp.sequence + 1;
  sp_advance(c, seen, taken ? SP_CONFIRMED | SP_FAST_OPEN : SP_CONFIRMED);
}

static inline int sp_inspect_responder(struct sp_env* env, const struct sp_reader* reader,
                                       const struct sp_flow* f, struct sp_connection* c,
                                       __u32 flags) {
  const struct sp_packet* p = &f->packet;
  struct sp_record record;
  enum sp_segment where;
  __u32 at = 0;
  if ((p->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) == (SP_TCP_SYN | SP_TCP_ACK)) {
    sp_confirm(c, p, flags);
    flags = *(volatile __u32*)&c->flags;
  }
  if (!p->payload) return 0;
  /* What the responder sends about another connection of this tuple reaches no stream. */
  if (!(flags & SP_CONFIRMED)) return sp_not_yet(env, f, c);
  where = sp_locate(p, c->first[1], &at);
  if (where == SP_BEFORE_FIRST) return 0;
  if (!(flags & SP_TLS_HELLO)) return sp_plaintext(env, f, c);
  if (where == SP_AFTER_FIRST) return sp_not_yet(env, f, c);
  if (where == SP_PART_OF_FIRST) return sp_unclear(env, f, c);
  if (!sp_peek(reader, p->length - p->payload + at, &record)) return sp_unclear(env, f, c);
  if (!sp_is_handshake(&record, 2) && !(record.byte[0] == 0x15 && record.byte[1] == 3))
    return sp_plaintext(env, f, c);
  sp_advance(c, flags, SP_TLS_ANSWERED);
  return 0;
}

static inline int sp_inspect_initiator(struct sp_env* env, const struct sp_reader* reader,
                                       const struct sp_flow* f, struct sp_connection* c,
                                       __u32 flags) {
  const struct sp_packet* p = &f->packet;
  struct sp_record record;
  enum sp_segment where;
  __u32 at = 0, end;
  if (p->urgent) return sp_plaintext(env, f, c);
  if (!p->payload) return 0;
  if (p->tcp_flags & SP_TCP_SYN) {
    if (p->payload > c->syn_length) c->syn_length = p->payload;
  } else if (!(flags & SP_CONFIRMED)) {
    return sp_unclear(env, f, c);
  }
  where = sp_locate(p, c->first[0], &at);
  if (where == SP_BEFORE_FIRST) return 0;
  if (where == SP_PART_OF_FIRST) return sp_unclear(env, f, c);
  if (where == SP_COVERS_FIRST) {
    if (!sp_peek(reader, p->length - p->payload + at, &record)) return sp_unclear(env, f, c);
    if (!sp_is_handshake(&record, 1)) return sp_plaintext(env, f, c);
  } else if (!(flags & SP_TLS_HELLO)) {
    return sp_not_yet(env, f, c);
  }
  end = sp_payload_begin(p) + p->payload - c->first[0];
  if ((flags & SP_FAST_OPEN) && end > c->syn_length) return sp_not_yet(env, f, c);
  if (flags & SP_TLS_HELLO) return 0;
  if (!sp_advance(c, flags, SP_TLS_HELLO)) return sp_not_yet(env, f, c);
  if ((flags & SP_TLS_TOLD) && c->tls_policy) {
    __sync_fetch_and_and(&c->flags, ~(__u32)SP_TLS_TOLD);
    sp_report_connection(env, SP_NEW, &f->key, c, c->reason);
  }
  return 0;
}

/* May this packet have a say in how the connection began? Nearly none does: the rest of a known
 * connection costs this much. (That plaintext is dropped where TLS is demanded is said by c->judged
 * as well, but that was read before: on another processor the first segment may just be marked.) */
static inline __attribute__((always_inline)) int sp_must_inspect(const struct sp_packet* p,
                                                                 const struct sp_connection* c) {
  __u32 flags = *(const volatile __u32*)&c->flags;
  if (flags & (SP_TLS_DONE | SP_LOCAL)) return (flags & SP_TLS_PLAINTEXT) && c->tls_policy;
  return p->payload || p->urgent || (p->tcp_flags & SP_TCP_SYN);
}

/* A packet of an allowed connection that is still beginning. Returns 0 or the reason to drop it. */
static __attribute__((noinline)) int sp_inspect(struct sp_env* env, const struct sp_reader* reader,
                                                const struct sp_flow* f, struct sp_connection* c,
                                                __u32 role) {
  __u32 flags = *(volatile __u32*)&c->flags;
  if (flags & SP_TLS_PLAINTEXT) return c->tls_policy ? SP_DENY_PLAINTEXT : 0;
  if (f->packet.tcp_flags & SP_TCP_RST) return 0; /* its payload is in no stream */
  if (role) return sp_inspect_responder(env, reader, f, c, flags);
  return sp_inspect_initiator(env, reader, f, c, flags);
}

#endif
