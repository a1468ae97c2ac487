/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Headers of a packet in the kernel. A header in the linear part of the buffer, as nearly all are,
 * is read in place through a typed pointer that costs nothing (measured: 3 ns for a packet, where
 * the way by a dynptr takes 50); the rest goes by a dynptr. */
#ifndef SALLYPORT_GATE_BPF_READER_H
#define SALLYPORT_GATE_BPF_READER_H

#include "kernel.h"
#include "parse.h"

struct sp_reader {
  struct sk_buff* skb;
  __u64 data;
  __u32 length;
  __u32 linear; /* bytes at `data` */
};

SP_READER __u32 sp_length(const struct sp_reader* reader) {
  return reader->length;
}

#define SP_IN_PLACE(type, reader, offset)                                    \
  ((const volatile void*)bpf_rdonly_cast((void*)((reader)->data + (offset)), \
                                         __builtin_btf_type_id(*(struct type*)0, 1)))
#define SP_IS_LINEAR(reader, offset, out) ((offset) + sizeof(*(out)) <= (reader)->linear)

/* Apart, and the reads in place volatile, so that the compiler does not join their loads: the
 * verifier wants to know for each load which kind of pointer it has. */
#define SP_SLOW_READ(type)                                                                         \
  static __attribute__((noinline)) int type##_slowly(const struct sp_reader* reader, __u32 offset, \
                                                     struct type* out) {                           \
    struct bpf_dynptr packet;                                                                      \
    const void* there;                                                                             \
    if (bpf_dynptr_from_skb(reader->skb, 0, &packet)) return 0;                                    \
    there = bpf_dynptr_slice(&packet, offset, out, sizeof(*out));                                  \
    if (!there) return 0;                                                                          \
    if (there != (const void*)out) __builtin_memcpy(out, there, sizeof(*out));                     \
    return 1;                                                                                      \
  }
SP_SLOW_READ(sp_ip4_header)
SP_SLOW_READ(sp_ip6_header)
SP_SLOW_READ(sp_extension_header)
SP_SLOW_READ(sp_tcp_header)
SP_SLOW_READ(sp_port_header)
SP_SLOW_READ(sp_icmp_header)

SP_READER int sp_read_ip4(const struct sp_reader* reader, __u32 offset, struct sp_ip4_header* out) {
  if (SP_IS_LINEAR(reader, offset, out)) {
    const volatile struct sp_ip4_header* ip = SP_IN_PLACE(iphdr, reader, offset);
    out->version_ihl = ip->version_ihl;
    out->fragment = ip->fragment;
    out->ttl = ip->ttl;
    out->protocol = ip->protocol;
    out->source = ip->source;
    out->destination = ip->destination;
    return 1;
  }
  return sp_ip4_header_slowly(reader, offset, out);
}

SP_READER int sp_read_ip6(const struct sp_reader* reader, __u32 offset, struct sp_ip6_header* out) {
  if (SP_IS_LINEAR(reader, offset, out)) {
    const volatile struct sp_ip6_header* ip = SP_IN_PLACE(ipv6hdr, reader, offset);
    *(__u8*)&out->flow = *(const volatile __u8*)&ip->flow;
    out->next = ip->next;
    out->hop_limit = ip->hop_limit;
    out->source.word[0] = ip->source.word[0];
    out->source.word[1] = ip->source.word[1];
    out->destination.word[0] = ip->destination.word[0];
    out->destination.word[1] = ip->destination.word[1];
    return 1;
  }
  return sp_ip6_header_slowly(reader, offset, out);
}

SP_READER int sp_read_tcp(const struct sp_reader* reader, __u32 offset, struct sp_tcp_header* out) {
  if (SP_IS_LINEAR(reader, offset, out)) {
    const volatile struct sp_tcp_header* tcp = SP_IN_PLACE(tcphdr, reader, offset);
    out->source = tcp->source;
    out->destination = tcp->destination;
    out->sequence = tcp->sequence;
    out->acknowledgement = tcp->acknowledgement;
    out->offset = tcp->offset;
    out->flags = tcp->flags;
    return 1;
  }
  return sp_tcp_header_slowly(reader, offset, out);
}

SP_READER int sp_read_ports(const struct sp_reader* reader, __u32 offset,
                            struct sp_port_header* out) {
  if (SP_IS_LINEAR(reader, offset, out)) {
    const volatile struct sp_port_header* ports = SP_IN_PLACE(udphdr, reader, offset);
    out->source = ports->source;
    out->destination = ports->destination;
    return 1;
  }
  return sp_port_header_slowly(reader, offset, out);
}

SP_READER int sp_read_extension(const struct sp_reader* reader, __u32 offset,
                                struct sp_extension_header* out) {
  return sp_extension_header_slowly(reader, offset, out);
}

SP_READER int sp_read_icmp(const struct sp_reader* reader, __u32 offset,
                           struct sp_icmp_header* out) {
  return sp_icmp_header_slowly(reader, offset, out);
}

/* The decision only hands its reader on. What it gets is the program's context: the reader itself
 * is made behind the border to the verifier, and takes no room on the stack of the decision. */
SP_HOOK const struct sp_reader* sp_as_reader(struct bpf_nf_ctx* ctx) {
  return (const struct sp_reader*)ctx;
}
SP_HOOK struct bpf_nf_ctx* sp_context_of(const struct sp_reader* reader) {
  return (struct bpf_nf_ctx*)reader;
}

/* Whatever the parser found, the verifier goes on from here with one state. */
SP_GLOBAL int sp_parse_in_kernel(struct bpf_nf_ctx* ctx, __u32 family, struct sp_packet* p) {
  struct sp_reader reader;
  if (!p) return SP_DENY_MALFORMED;
  reader.skb = ctx->skb;
  reader.data = (__u64)reader.skb->data;
  reader.length = reader.skb->len;
  reader.linear = reader.length - reader.skb->data_len;
  return sp_parse(&reader, family, p);
}

/* The first bytes of payload: once or twice in a connection, and perhaps not in the linear part. */
SP_GLOBAL int sp_peek_in_kernel(struct bpf_nf_ctx* ctx, __u32 offset, struct sp_record* out) {
  struct bpf_dynptr packet;
  const void* there;
  if (!out || bpf_dynptr_from_skb(ctx->skb, 0, &packet)) return 0;
  there = bpf_dynptr_slice(&packet, offset, out, sizeof(*out));
  if (!there) return 0;
  if (there != (const void*)out) __builtin_memcpy(out, there, sizeof(*out));
  return 1;
}

SP_HOOK int sp_peek(const struct sp_reader* reader, __u32 offset, struct sp_record* out) {
  return sp_peek_in_kernel(sp_context_of(reader), offset, out);
}

SP_HOOK int sp_parse_packet(const struct sp_reader* reader, __u32 family, struct sp_packet* p) {
  return sp_parse_in_kernel(sp_context_of(reader), family, p);
}

#endif
