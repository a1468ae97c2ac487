/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* One packet on its way through the decision. */
#ifndef SALLYPORT_GATE_BPF_FLOW_H
#define SALLYPORT_GATE_BPF_FLOW_H

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

struct sp_flow {
  struct sp_packet packet;
  struct sp_key key;
  struct sp_arrival at;
  struct sp_party source, destination; /* of the packet */
  __u32 side;                          /* of the key that sent it */
  __u32 egress_rule, ingress_rule;
  __u32 reason;
};

#endif
