/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* When a connection is forgotten. A sweep in the kernel (a timer of the program, see gate.bpf.c)
 * ticks every entry when it is due, so that expiry does not depend on any process. The packet path
 * stores no time: a tick that finds new packets takes its own time as "last seen", so idle times
 * are exact to one tick.
 *
 * Under pressure (see sp_pressure) idle and half-open entries go first. */
#ifndef SALLYPORT_GATE_BPF_EXPIRY_H
#define SALLYPORT_GATE_BPF_EXPIRY_H

#include "parse.h"

#define SP_SECOND 1000000000ULL
#define SP_FIRST_TICK (5 * SP_SECOND)
#define SP_TICK (12 * SP_SECOND)
#define SP_CLOSING_TICK (1 * SP_SECOND)

/* Both sides have finished, or one has reset; to the node only the initiator is seen. */
static inline int sp_is_closing(__u32 flags) {
  if (flags & (SP_RST_0 | SP_RST_1)) return 1;
  if (flags & SP_LOCAL) return (flags & SP_FIN_0) != 0;
  return (flags & (SP_FIN_0 | SP_FIN_1)) == (SP_FIN_0 | SP_FIN_1);
}

/* How long this connection may be idle, in ns. */
static inline __u64 sp_idle_limit(__u8 protocol, __u32 flags, int allow, int answered,
                                  int pressure) {
  if (!allow) return (pressure ? 60 : 600) * SP_SECOND;
  switch (protocol) {
    case SP_TCP:
      if (flags & (SP_RST_0 | SP_RST_1)) return 2 * SP_SECOND;
      if (sp_is_closing(flags)) return (flags & SP_LOCAL ? 60 : 10) * SP_SECOND;
      if (!(flags & SP_ESTABLISHED)) return (pressure ? 5 : 30) * SP_SECOND;
      if (flags & (SP_FIN_0 | SP_FIN_1)) return (pressure ? 60 : 600) * SP_SECOND;
      return (pressure ? 300 : 86400) * SP_SECOND;
    case SP_ICMP:
    case SP_ICMP6:
      return (pressure ? 10 : 30) * SP_SECOND;
    default: /* UDP, SCTP and everything without a state that we follow */
      if (answered || (flags & SP_LOCAL)) return (pressure ? 30 : 180) * SP_SECOND;
      return (pressure ? 10 : 30) * SP_SECOND;
  }
}

#endif
