/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Anti-spoofing: an address comes from its own interface, and nothing else comes from there.
 *
 * Behind its own interface, because what "came in" means depends on how pods are wired: at FORWARD
 * and LOCAL_IN of routed pods it is the pod's veth; with bridged pods it would be a bridge port,
 * and this check would move to a hook that sees it. */
#ifndef SALLYPORT_GATE_BPF_SOURCE_GUARD_H
#define SALLYPORT_GATE_BPF_SOURCE_GUARD_H

#include "parse.h"

struct sp_party { /* who is at an address, in one generation */
  __u32 endpoint;
  __u32 ifindex;
  __u32 peer_class;
  __u32 egress_set;
  __u32 ingress_set;
  __u32 ranges; /* of an endpoint: nothing but SP_DEMANDS_TLS */
};

/* Is `source` right for a packet that came in where endpoint `in_endpoint` (0: nobody) is wired?
 * Returns 0 or SP_DENY_SPOOFED. */
static inline int sp_guard_source(__u32 in_endpoint, const struct sp_party* source,
                                  const struct sp_packet* p, int local) {
  if (in_endpoint) {
    if (source->endpoint == in_endpoint) return 0;
    /* Before it has an address, and about its neighbours, a pod speaks as :: or link-local. */
    if (local && p->kind == SP_KIND_NEIGHBOUR &&
        (sp_is_unspecified(&p->tuple.source) || SP_V6_LINK_LOCAL(p->tuple.source.word[0])))
      return 0;
    return SP_DENY_SPOOFED;
  }
  /* From elsewhere: nobody may speak as a pod that is wired here, as an unknown address of the
   * pods' range, as a Service, or as the node itself. */
  if (source->ifindex) return SP_DENY_SPOOFED;
  if (!source->endpoint && source->ranges) return SP_DENY_SPOOFED;
  return 0;
}

#endif
