/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the BPF program, its user-space twin and the node share: keys and values of the tables,
 * events, reasons. Any change of a map's key or value needs a new gate::kLayoutVersion. */
#ifndef SALLYPORT_GATE_BPF_TYPES_H
#define SALLYPORT_GATE_BPF_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

/* Tables of a generation sit in slot (generation % SP_SLOTS). With four slots a packet that read
 * its generation would have to outlive three publications, each of which waits for an RCU grace
 * period, before its slot is written again; packets run inside one RCU read section. */
#define SP_SLOTS 4u

#define SP_DEFAULT_CLASS 0xffffffffu /* key of a set's default program in `programs` */
#define SP_LOOPBACK 1u               /* ifindex of lo in every network namespace */
#define SP_MAX_EXTENSIONS 8          /* IPv6 extension headers before a packet is malformed */

enum sp_reason {
  /* Allowed. */
  SP_BY_POLICY = 1, /* every isolating side has a rule that allows, or no side is isolated */
  SP_SELF = 2,      /* a pod to itself */
  SP_NODE = 3,      /* reply to the node, or to a port that the node offers */
  SP_NOT_POD = 4,   /* neither end is a pod */
  SP_NEIGHBOUR = 5, /* neighbour or multicast listener discovery */
  SP_RELATED = 6,   /* ICMP error about a live connection */
  /* Denied. */
  SP_DENY_POLICY = 16,
  SP_DENY_SPOOFED = 17,
  SP_DENY_UNKNOWN_POD = 18,
  SP_DENY_NO_CONNECTION = 19,
  SP_DENY_MALFORMED = 20,
  SP_DENY_FRAGMENT = 21,
  SP_DENY_TABLE_FULL = 22,
  SP_DENY_QUOTA = 23,
  SP_DENY_NOT_OFFERED = 24,
  SP_DENY_NO_SERVICE = 25,
  SP_DENY_UNRELATED = 26,
  SP_DENY_NOT_PROGRAMMED = 27,
  SP_DENY_MISROUTED = 28,
  SP_DENY_NEIGHBOUR = 29,
  SP_DENY_PLAINTEXT = 30,  /* TLS is demanded, and the connection did not begin as TLS */
  SP_DENY_TLS_ORDER = 31,  /* TLS is demanded, and this is not (yet) a beginning of TLS */
  SP_DENY_SYN_UNSEEN = 32, /* TLS is demanded, and nobody saw how this connection began */
  SP_DENY_SYN = 33,        /* a SYN inside a connection: simultaneous open, or a repetition */
  SP_REASONS = 48
};

/* An address is 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, held as two words. */
struct sp_address {
  __u64 word[2];
};

struct sp_tuple {
  struct sp_address source, destination;
  __u16 source_port, destination_port;
  __u8 protocol;
  __u8 unused[3];
};

struct sp_endpoint { /* value of `endpoints`, key struct sp_address */
  __u32 id;
  __u32 ifindex; /* 0: not wired to this node */
  __u32 peer_class;
  __u32 egress_set;  /* 0: not isolated */
  __u32 ingress_set; /* 0: not isolated */
  __u32 tls;         /* 0: `tls` has no row of this endpoint */
};

#define SP_RANGE_POD 1u     /* of this node's pods: only known endpoints live there */
#define SP_RANGE_SERVICE 2u /* Services and the like: never a source, never forwarded to */
#define SP_RANGE_NODE 4u    /* an address of the node itself */
#define SP_DEMANDS_TLS 8u   /* an endpoint that has rows in `tls` */

struct sp_prefix_key { /* of `prefixes`, a longest-prefix trie */
  __u32 bits;
  __u8 address[16];
};

struct sp_prefix {
  __u32 peer_class;
  __u32 ranges; /* SP_RANGE_* of every configured range that holds this prefix */
};

struct sp_port_range { /* where the pieces of one protocol are in `pieces` */
  __u32 first;
  __u32 count;
};

struct sp_program { /* value of `programs`, key set << 32 | class */
  struct sp_port_range tcp, udp, sctp;
  __u32 other_rule;
  __u32 other_allow;
};

struct sp_piece {
  __u16 first_port;
  __u8 allow;
  __u8 unused;
  __u32 rule;
};

/* A connection, the same key in both directions. Ports in host order. An ICMP echo has its id as
 * the requester's port, so that a request of the other side is another connection. */
struct sp_key {
  struct sp_address address[2];
  __u16 port[2];
  __u8 protocol;
  __u8 local; /* to the node itself */
  __u8 unused[2];
};

enum sp_connection_flags {
  SP_INITIATOR_IS_1 = 1, /* side 1 of the key began the connection */
  SP_ESTABLISHED = 2,    /* TCP: both sides have spoken */
  SP_FIN_0 = 4,          /* TCP: the initiator has finished */
  SP_FIN_1 = 8,
  SP_RST_0 = 16,
  SP_RST_1 = 32,
  SP_LOCAL = 64,  /* to the node: answers are not seen */
  SP_ENDED = 128, /* somebody is removing it */
  /* How it began: see tls.h. */
  SP_CONFIRMED = 256,      /* the responder's SYN-ACK has acknowledged the initiator's SYN ... */
  SP_FAST_OPEN = 512,      /* ... together with the payload in it */
  SP_TLS_HELLO = 1024,     /* the initiator began with a ClientHello */
  SP_TLS_ANSWERED = 2048,  /* and the responder with a ServerHello or an alert */
  SP_TLS_PLAINTEXT = 4096, /* one of them did not; wins over the two above */
  SP_TLS_TOLD = 8192,      /* the event about missing TLS was sent */
  SP_TLS_DONE = SP_TLS_ANSWERED | SP_TLS_PLAINTEXT
};
/* The upper half of the flags tells apart connections that follow each other in one entry. */
#define SP_NONCE_SHIFT 16

enum sp_tls_state { SP_TLS_IS_UNKNOWN, SP_TLS_IS_HELLO, SP_TLS_IS_TLS, SP_TLS_IS_PLAINTEXT };

/* `tag` is written before `judged` and read after it: a packet whose entry was deleted and given
 * to another connection under its eyes sees the other tag and looks again. */
struct sp_connection {
  __u64 tag;
  __u64 judged; /* generation << 1 | allow; one word, so that they cannot disagree */
  __u32 flags;
  __u32 owner;      /* the endpoint whose quota it counts against */
  __u32 ifindex[2]; /* by role: where the initiator's, the responder's packets come in */
  __u64 packets[2]; /* by role: sent by the initiator, by the responder */
  __u64 bytes[2];
  __u64 counted_packets; /* already added to the rules' counters */
  __u64 counted_bytes;
  __u64 first_seen;  /* CLOCK_MONOTONIC, ns */
  __u64 last_seen;   /* to the tick: see expiry.h */
  __u32 endpoint[2]; /* by role; 0: no pod */
  __u32 egress_rule;
  __u32 ingress_rule;
  __u32 reason;
  __u32 slot;       /* in `slots` */
  __u32 tls_policy; /* the PeerAuthentication that demands TLS; 0: none does */
  __u32 first[2];   /* TCP, by role: the sequence number of the first byte of payload */
  __u32 syn_length; /* bytes of payload in the initiator's SYN */
};

struct sp_slot { /* of a connection, for the sweep */
  __u64 due;     /* CLOCK_MONOTONIC, ns; 0: free or not in the table yet */
  struct sp_key key;
};

enum sp_event_kind { SP_NEW = 1, SP_DENIED = 2, SP_CLOSED = 3, SP_REVOKED = 4 };

struct sp_event {
  struct sp_address source, destination; /* from the initiator's view */
  __u64 time;                            /* CLOCK_MONOTONIC, ns */
  __u64 generation;
  __u64 packets[2], bytes[2];
  __u16 source_port, destination_port;
  __u8 kind;
  __u8 reason;
  __u8 protocol;
  __u8 local;
  __u32 source_endpoint, destination_endpoint;
  __u32 egress_rule, ingress_rule;
  __u32 repeats;
  __u32 ifindex;
  __u32 tls_policy; /* 0, or the PeerAuthentication because of which it was denied */
  __u32 tls;        /* sp_tls_state */
};

#define SP_TLS_NAME 320 /* bytes of a value of `tls_names`: "namespace/name" and a zero */

struct sp_rule_count {
  __u64 verdicts, packets, bytes;
};

struct sp_limits { /* the one entry of `limits`; written by the node */
  __u64 connections;
  __u64 per_endpoint;
};

struct sp_totals { /* the one entry of `totals` */
  __u64 connections;
  __u64 overflows;
  __u64 events_lost;
  __u64 slots; /* that were ever used: the sweep goes no further */
};

struct sp_meta { /* the one entry of `meta` */
  __u32 layout;
  __u32 unused;
  __u64 program_hash;
};

struct sp_test_arrival { /* what a test run lacks; only in the test variant */
  __u32 in, out;
  __u8 family, local, reply, unused;
};

#endif
