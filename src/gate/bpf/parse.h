/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From bytes to a tuple. The includer supplies `struct sp_reader` and the functions sp_read_* and
 * sp_length declared below. Offset 0 is the IP header. Everything that cannot be read as a complete
 * header is malformed: a packet whose ports are unknown is never judged by guesses. */
#ifndef SALLYPORT_GATE_BPF_PARSE_H
#define SALLYPORT_GATE_BPF_PARSE_H

#include "types.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SP_HOST16(x) __builtin_bswap16(x)
#define SP_HOST32(x) __builtin_bswap32(x)
#define SP_V4_WORD(be32) (((__u64)(be32) << 32) | 0xffff0000u)
#define SP_V6_LINK_LOCAL(word0) (((word0) & 0xc0ff) == 0x80fe)
#else
#define SP_HOST16(x) (x)
#define SP_HOST32(x) (x)
#define SP_V4_WORD(be32) ((0xffffULL << 32) | (be32))
#define SP_V6_LINK_LOCAL(word0) (((word0) >> 54) == (0xfe80 >> 6))
#endif

#define SP_V4 4
#define SP_V6 6

enum sp_protocol { SP_ICMP = 1, SP_TCP = 6, SP_UDP = 17, SP_ICMP6 = 58, SP_SCTP = 132 };

enum sp_tcp_flags {
  SP_TCP_FIN = 1,
  SP_TCP_SYN = 2,
  SP_TCP_RST = 4,
  SP_TCP_ACK = 16,
  SP_TCP_URG = 32
};

struct sp_ip4_header {
  __u8 version_ihl, tos;
  __u16 length, id, fragment;
  __u8 ttl, protocol;
  __u16 checksum;
  __u32 source, destination;
};

struct sp_ip6_header {
  __u32 flow;
  __u16 length;
  __u8 next, hop_limit;
  struct sp_address source, destination;
};

struct sp_extension_header {
  __u8 next, length;
  __u16 fragment;
  __u32 rest;
};

struct sp_tcp_header {
  __u16 source, destination;
  __u32 sequence, acknowledgement;
  __u8 offset, flags;
  __u16 window;
};

struct sp_port_header { /* of UDP and SCTP, and the first 8 bytes of TCP inside an ICMP error */
  __u16 source, destination;
  __u32 rest;
};

struct sp_icmp_header {
  __u8 type, code;
  __u16 checksum, id, sequence;
};

enum sp_packet_kind {
  SP_KIND_FLOW,  /* belongs to a connection, or may begin one */
  SP_KIND_ERROR, /* an ICMP error about `inner` */
  SP_KIND_NEIGHBOUR
};

struct sp_packet {
  struct sp_tuple tuple;
  __u32 length;
  __u8 kind;
  __u8 opener; /* may begin a connection: TCP SYN, ICMP request, any UDP ... */
  __u8 tcp_flags;
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 hop_limit;
  __u8 inner_ok;
  __u8 urgent;   /* TCP: with an urgent pointer */
  __u32 payload; /* TCP: the bytes after the header, at the packet's end */
  union {
    struct sp_tuple inner; /* SP_KIND_ERROR */
    struct {
      __u32 sequence, acknowledgement; /* host order */
    } tcp;
  } of;
};

/* Each fills *out from the bytes at `offset`; 0 where the packet is too short. */
#ifdef SP_BPF
#define SP_READER static __attribute__((always_inline)) inline
#else
#define SP_READER static inline
#endif
struct sp_reader;
SP_READER __u32 sp_length(const struct sp_reader* reader);
SP_READER int sp_read_ip4(const struct sp_reader* reader, __u32 offset, struct sp_ip4_header* out);
SP_READER int sp_read_ip6(const struct sp_reader* reader, __u32 offset, struct sp_ip6_header* out);
SP_READER int sp_read_extension(const struct sp_reader* reader, __u32 offset,
                                struct sp_extension_header* out);
SP_READER int sp_read_tcp(const struct sp_reader* reader, __u32 offset, struct sp_tcp_header* out);
SP_READER int sp_read_ports(const struct sp_reader* reader, __u32 offset,
                            struct sp_port_header* out);
SP_READER int sp_read_icmp(const struct sp_reader* reader, __u32 offset,
                           struct sp_icmp_header* out);

static inline int sp_is_unspecified(const struct sp_address* a) {
  return (a->word[0] | a->word[1]) == 0;
}

static inline int sp_is_mapped(const struct sp_address* a) {
  return a->word[0] == 0 && (a->word[1] & SP_V4_WORD(0)) == SP_V4_WORD(0) &&
         (a->word[1] & ~SP_V4_WORD(0xffffffffu)) == 0;
}

static inline int sp_is_extension(__u8 next) {
  /* Hop-by-hop, routing, fragment, destination options, authentication. */
  return next == 0 || next == 43 || next == 44 || next == 60 || next == 51;
}

/* Past the IPv6 extension headers at *offset; *next becomes the protocol. Returns 0 or a reason. */
static __attribute__((noinline)) int sp_skip_extensions(const struct sp_reader* reader,
                                                        __u32* offset, __u8* next) {
  __u32 at = *offset;
  __u8 type = *next;
  int i;
  for (i = 0; i < SP_MAX_EXTENSIONS; i++) {
    struct sp_extension_header e;
    __u32 size;
    if (!sp_is_extension(type)) {
      *next = type;
      *offset = at;
      return 0;
    }
    if (!sp_read_extension(reader, at, &e)) return SP_DENY_MALFORMED;
    size = ((__u32)e.length + 1) * 8;
    if (type == 44) {
      if (SP_HOST16(e.fragment) & 0xfff9) return SP_DENY_FRAGMENT;
      size = 8;
    } else if (type == 51) {
      size = ((__u32)e.length + 2) * 4;
    } else if (type == 43 && (SP_HOST16(e.fragment) & 0xff)) {
      return SP_DENY_MALFORMED; /* segments left: the destination is not where it goes */
    }
    type = e.next;
    at += size;
  }
  return SP_DENY_MALFORMED;
}

/* The IP header at `offset`. Returns 0 and the offset of what follows it, or a reason. */
static inline __attribute__((always_inline)) int sp_parse_ip(const struct sp_reader* reader,
                                                             __u32* offset, struct sp_tuple* tuple,
                                                             __u32 family, __u8* hop_limit) {
  __u32 at = *offset;
  if (family == SP_V4) {
    struct sp_ip4_header ip;
    __u32 header;
    if (!sp_read_ip4(reader, at, &ip)) return SP_DENY_MALFORMED;
    header = (ip.version_ihl & 15u) * 4u;
    if (ip.version_ihl >> 4 != 4 || header < sizeof(ip)) return SP_DENY_MALFORMED;
    /* Defragmentation ran before this hook: a fragment here is one that could not be joined. */
    if (SP_HOST16(ip.fragment) & 0x3fff) return SP_DENY_FRAGMENT;
    tuple->source.word[0] = 0;
    tuple->source.word[1] = SP_V4_WORD(ip.source);
    tuple->destination.word[0] = 0;
    tuple->destination.word[1] = SP_V4_WORD(ip.destination);
    tuple->protocol = ip.protocol;
    *hop_limit = ip.ttl;
    *offset = at + header;
    return 0;
  }
  {
    struct sp_ip6_header ip;
    __u8 next;
    if (!sp_read_ip6(reader, at, &ip)) return SP_DENY_MALFORMED;
    if (*(const __u8*)&ip.flow >> 4 != 6) return SP_DENY_MALFORMED;
    tuple->source = ip.source;
    tuple->destination = ip.destination;
    /* ::ffff:a.b.c.d has no place on a wire, and here it would pass for the IPv4 address. */
    if (sp_is_mapped(&tuple->source) || sp_is_mapped(&tuple->destination)) return SP_DENY_MALFORMED;
    *hop_limit = ip.hop_limit;
    next = ip.next;
    at += sizeof(ip);
    if (sp_is_extension(next)) {
      int reason = sp_skip_extensions(reader, &at, &next);
      if (reason) return reason;
    }
    tuple->protocol = next;
    *offset = at;
    return 0;
  }
}

static inline int sp_is_icmp_error(__u8 protocol, __u8 type) {
  /* Redirects (5, 137) are no errors: whoever sends them wants to change a route. */
  if (protocol == SP_ICMP) return type == 3 || type == 4 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

/* An echo or similar query has its id as the port of the side that asks. */
static inline void sp_icmp_ports(struct sp_tuple* tuple, const struct sp_icmp_header* icmp,
                                 __u8* opener) {
  __u8 type = icmp->type;
  int v4 = tuple->protocol == SP_ICMP;
  int request = v4 ? (type == 8 || type == 13) : type == 128;
  int reply = v4 ? (type == 0 || type == 14) : type == 129;
  *opener = !reply;
  if (request) {
    tuple->source_port = SP_HOST16(icmp->id);
    tuple->destination_port = 0;
  } else if (reply) {
    tuple->source_port = 0;
    tuple->destination_port = SP_HOST16(icmp->id);
  } else { /* one-way messages: a connection per type and code */
    tuple->source_port = (__u16)(type << 8 | icmp->code);
    tuple->destination_port = 0xffff;
  }
}

/* The tuple inside an ICMP error, as far as the error quotes it; p->inner_ok says whether. */
static __attribute__((noinline)) void sp_parse_inner(const struct sp_reader* reader, __u32 offset,
                                                     struct sp_packet* p, __u32 family) {
  __u8 hop_limit, opener;
  __u32 at = offset;
  p->inner_ok = 0;
  p->of.inner.source_port = 0;
  p->of.inner.destination_port = 0;
  if (sp_parse_ip(reader, &at, &p->of.inner, family, &hop_limit)) return;
  if (p->of.inner.protocol == SP_TCP || p->of.inner.protocol == SP_UDP ||
      p->of.inner.protocol == SP_SCTP) {
    struct sp_port_header ports;
    if (!sp_read_ports(reader, at, &ports)) return;
    p->of.inner.source_port = SP_HOST16(ports.source);
    p->of.inner.destination_port = SP_HOST16(ports.destination);
  } else if (p->of.inner.protocol == (family == SP_V4 ? SP_ICMP : SP_ICMP6)) {
    struct sp_icmp_header icmp;
    if (!sp_read_icmp(reader, at, &icmp)) return;
    if (sp_is_icmp_error(p->of.inner.protocol, icmp.type)) return; /* no errors about errors */
    sp_icmp_ports(&p->of.inner, &icmp, &opener);
  }
  p->inner_ok = 1;
}

static inline int sp_parse(const struct sp_reader* reader, __u32 family, struct sp_packet* p) {
  __u32 offset = 0;
  int reason;
  p->length = sp_length(reader);
  p->kind = SP_KIND_FLOW;
  p->opener = 1;
  p->tcp_flags = 0;
  p->icmp_type = 0;
  p->icmp_code = 0;
  p->inner_ok = 0;
  p->tuple.source_port = 0;
  p->tuple.destination_port = 0;
  p->tuple.protocol = 0;
  p->tuple.unused[0] = 0;
  p->tuple.unused[1] = 0;
  p->tuple.unused[2] = 0;
  p->urgent = 0;
  p->payload = 0;
  reason = sp_parse_ip(reader, &offset, &p->tuple, family, &p->hop_limit);
  if (reason) return reason;

  if (p->tuple.protocol == SP_TCP) {
    struct sp_tcp_header tcp;
    __u32 header;
    if (!sp_read_tcp(reader, offset, &tcp)) return SP_DENY_MALFORMED;
    header = (tcp.offset >> 4) * 4u;
    if (header < 20 || header > p->length - offset) return SP_DENY_MALFORMED;
    p->payload = p->length - offset - header;
    p->of.tcp.sequence = SP_HOST32(tcp.sequence);
    p->of.tcp.acknowledgement = SP_HOST32(tcp.acknowledgement);
    p->urgent = (tcp.flags & SP_TCP_URG) != 0;
    p->tuple.source_port = SP_HOST16(tcp.source);
    p->tuple.destination_port = SP_HOST16(tcp.destination);
    p->tcp_flags = tcp.flags & (SP_TCP_FIN | SP_TCP_SYN | SP_TCP_RST | SP_TCP_ACK);
    p->opener = p->tcp_flags == SP_TCP_SYN;
  } else if (p->tuple.protocol == SP_UDP || p->tuple.protocol == SP_SCTP) {
    struct sp_port_header ports;
    if (!sp_read_ports(reader, offset, &ports)) return SP_DENY_MALFORMED;
    p->tuple.source_port = SP_HOST16(ports.source);
    p->tuple.destination_port = SP_HOST16(ports.destination);
  } else if (p->tuple.protocol == (family == SP_V4 ? SP_ICMP : SP_ICMP6)) {
    struct sp_icmp_header icmp;
    __u8 type;
    if (!sp_read_icmp(reader, offset, &icmp)) return SP_DENY_MALFORMED;
    type = icmp.type;
    p->icmp_type = type;
    p->icmp_code = icmp.code;
    if (sp_is_icmp_error(p->tuple.protocol, type)) {
      p->kind = SP_KIND_ERROR;
      p->tuple.destination_port = (__u16)(type << 8 | icmp.code); /* for the event */
      sp_parse_inner(reader, offset + sizeof(icmp), p, family);
      return 0;
    }
    sp_icmp_ports(&p->tuple, &icmp, &p->opener);
    if (family == SP_V6 &&
        ((type >= 133 && type <= 137) || (type >= 130 && type <= 132) || type == 143))
      p->kind = SP_KIND_NEIGHBOUR;
  } else if (p->tuple.protocol == SP_ICMP || p->tuple.protocol == SP_ICMP6) {
    return SP_DENY_MALFORMED; /* the other family's ICMP */
  }
  return 0;
}

#endif
