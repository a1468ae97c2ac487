/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The few kernel types that the program reads, relocated by CO-RE at load time: nothing depends on
 * the kernel that the build host runs. */
#ifndef SALLYPORT_GATE_BPF_KERNEL_H
#define SALLYPORT_GATE_BPF_KERNEL_H

/* The helpers need the types before them. */
/* clang-format off */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#define SP_CORE __attribute__((preserve_access_index))

struct net_device {
  int ifindex;
} SP_CORE;

struct nf_hook_state {
  __u8 hook;
  __u8 pf;
  struct net_device* in;
  struct net_device* out;
} SP_CORE;

struct sk_buff {
  unsigned long _nfct;
  unsigned int len, data_len;
  unsigned char* data;
} SP_CORE;

/* Only for their type ids. */
struct iphdr {
  __u8 tos;
} SP_CORE;
struct ipv6hdr {
  __u8 nexthdr;
} SP_CORE;
struct tcphdr {
  __u16 source;
} SP_CORE;
struct udphdr {
  __u16 source;
} SP_CORE;

struct bpf_nf_ctx {
  const struct nf_hook_state* state;
  struct sk_buff* skb;
} SP_CORE;

extern void* bpf_rdonly_cast(void* object, __u32 btf_id) __ksym;
extern int bpf_dynptr_from_skb(struct sk_buff* skb, __u64 flags, struct bpf_dynptr* ptr) __ksym;
extern void* bpf_dynptr_slice(const struct bpf_dynptr* ptr, __u32 offset, void* buffer,
                              __u32 buffer__szk) __ksym;

/* enum nf_inet_hooks, nf_dev.h; enum ip_conntrack_info in the low bits of skb->_nfct. */
#define SP_NF_LOCAL_IN 1
#define SP_NFPROTO_IPV6 10
#define SP_CT_INFO_MASK 7
#define SP_CT_ESTABLISHED_REPLY 3
#define SP_CT_RELATED_REPLY 4

#endif
