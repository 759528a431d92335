/*
 * net.h - everything between a frame and a TCP segment
 *
 *	frame -> eth_in -> ip_in -> (reass) -> NET_TCP, with a struct net_rx
 *	              \        \-> icmp: NET_REPLY (frame turned round) or NET_ICMP
 *	               \-> arp: NET_REPLY, or the neighbour is learnt
 *
 *	tuple -> route_lookup -> net_path -> ip_out + eth_out -> frame
 *	                              \-> neighbour unknown: the frame waits, an
 *	                                  ARP request is due (net_request)
 *
 * Pure like TCP: no system call, no clock, no heap after net_init(), no
 * globals.  One struct net an engine; what must be the same in all engines
 * (addresses, routes, static neighbours) comes by net_set_*; what one engine
 * learns it reports by net_learnt() and the others are told by net_learn().
 *
 * Trust     Every byte of a frame is hostile.  Every length is checked
 *           against the frame before it is used; every drop has a reason.
 * Threads   The engine's.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/mono.h"
#include "io/frame.h"
#include "net/hdr.h"

#define NET_PORTS_MAX		16
#define NET_ADDRS_MAX		64
#define NET_ROUTES_MAX		256
#define NET_NEIGH_MAX		4096	/* a table; the oldest unused entry goes */
#define NET_STATIC_MAX		1024	/* of these static at most */
#define NET_NEIGH_QUEUE		8	/* frames that wait for one neighbour */
#define NET_NEIGH_QUEUE_ALL	256	/* and for all of them */
#define NET_NEIGH_TRIES		3	/* requests, a second apart (RFC 1122 2.3.2) */

/* Why a frame went no further; names in net_drop_name(). */
enum net_drop {
	NET_DROP_NONE,
	NET_DROP_SHORT,		/* shorter than its headers say */
	NET_DROP_NOT_OURS,	/* other MAC, other IP address */
	NET_DROP_ETHERTYPE,
	NET_DROP_VLAN,		/* tagged for a VLAN; only VID 0 is ours */
	NET_DROP_ARP_BAD,
	NET_DROP_ARP_CONFLICT,	/* somebody else uses our address (RFC 5227) */
	NET_DROP_IP_HEADER,	/* version, header length, total length */
	NET_DROP_IP_CSUM,
	NET_DROP_IP_SOURCE,	/* broadcast, multicast, loopback, ours */
	NET_DROP_IP_PROTO,	/* neither TCP nor ICMP (answered when unicast) */
	NET_DROP_FRAG_BAD,	/* overlap, too long (RFC 5722 spirit) */
	NET_DROP_FRAG_FULL,	/* no room to reassemble */
	NET_DROP_FRAG_TIMEOUT,
	NET_DROP_ICMP_BAD,
	NET_DROP_ICMP_OTHER,	/* well formed, and nothing to us */
	NET_DROP_ICMP_RATE,	/* errors and echoes over the limit */
	NET_DROP_NO_ROUTE,
	NET_DROP_NEIGH_FAILED,	/* ARP unanswered */
	NET_DROP_NEIGH_QUEUE,	/* too many wait for ARP */
	NET_DROPS
};

const char *net_drop_name(enum net_drop d);

/* A received transport payload, borrowed from its frame until it is freed. */
struct net_rx {
	struct ip_addr src, dst;
	const uint8_t *l4;	/* first byte of the TCP (or ICMP) header */
	uint32_t l4_len;	/* bytes; checked to lie in the frame */
	uint8_t proto;		/* IPPROTO_* */
	uint8_t port;		/* the port it came in by */
	uint8_t ecn;		/* IP ECN field, 0..3 */
	uint8_t ttl;
	bool csum_ok;		/* the port vouches for the TCP sum */
	uint8_t src_mac[6];
};

/* An ICMP error about a segment of ours, embedded header checked. */
struct net_icmp_error {
	struct ip_addr src, dst;	/* of OUR datagram: src is ours */
	uint16_t sport, dport;		/* network order, of our datagram */
	uint32_t seq;			/* host order */
	uint8_t type, code;		/* ICMP's */
	uint16_t mtu;			/* next hop's, 0: not told */
};

enum net_verdict {
	NET_TCP,	/* @rx is filled; the frame stays the caller's */
	NET_ICMP_ERROR,	/* @icmp is filled; the frame stays the caller's */
	NET_REPLY,	/* the frame is now an answer: transmit it on its queue */
	NET_DROP,	/* free the frame (counted already) */
	NET_HELD,	/* a fragment: copied, free the frame (not a drop) */
};

/* How to reach an address: cached by connections; valid while @epoch agrees. */
struct net_path {
	struct ip_addr next_hop;
	uint32_t epoch;		/* of the routes it was made from */
	uint16_t neigh;		/* hint into the neighbour table; 0: none */
	uint8_t port;
};

struct net_addr {
	struct ip_addr addr;
	uint8_t prefix;		/* of 128 */
	uint8_t port;
};

struct net_route {
	struct ip_addr net;
	uint8_t prefix;		/* of 128 */
	uint8_t port;
	struct ip_addr gateway;	/* any: directly connected */
	uint32_t metric;
};

struct net_neigh_entry {	/* for listing and for telling engines */
	struct ip_addr addr;
	uint8_t mac[6];
	uint8_t port;
	uint8_t state;		/* enum net_neigh_state */
	uint32_t age_s;
};

enum net_neigh_state {
	NEIGH_FREE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE,
	NEIGH_FAILED, NEIGH_STATIC
};

struct net_stats {
	counter_t drops[NET_DROPS];
	counter_t rx_ip, rx_arp, rx_icmp, rx_fragments, reassembled;
	counter_t tx_arp_requests, tx_arp_replies, tx_icmp;
	counter_t neigh_learnt, neigh_changed, neigh_evicted;
};

struct net_port {		/* what net must know of a port */
	uint8_t mac[6];
	uint16_t mtu;
	bool present;
};

struct net;			/* net_state.h */

/* @secret seeds ICMP id and hash tables; NULL-safe errors are -ENOMEM. */
int net_init(struct net **out, const uint8_t secret[16]);
void net_fini(struct net *n);

int net_set_port(struct net *n, uint8_t id, const uint8_t mac[6], uint16_t mtu);
/* Whole tables replace the old ones; connected routes are made from addresses. */
int net_set_addrs(struct net *n, const struct net_addr *a, unsigned int count);
int net_set_routes(struct net *n, const struct net_route *r, unsigned int count);
int net_set_static_neigh(struct net *n, const struct net_neigh_entry *e,
			 unsigned int count);
bool net_is_ours(const struct net *n, const struct ip_addr *a);

/* One frame in.  @rx or @icmp is filled as the verdict says. */
enum net_verdict net_in(struct net *n, struct frame *f, mono_t now,
			struct net_rx *rx, struct net_icmp_error *icmp);

/* Datagram of a reassembled NET_TCP verdict lives in @n until the next call. */

/*
 * Where does @dst go?  *@src any: ours is chosen, and put there.  0, or
 * -ENETUNREACH, -EADDRNOTAVAIL (@src is not ours).
 */
int net_lookup(struct net *n, struct ip_addr *src, const struct ip_addr *dst,
	       struct net_path *path);
/* IP bytes that a port carries. */
uint16_t net_port_mtu(const struct net *n, uint8_t port);
bool net_path_valid(const struct net *n, const struct net_path *path);

/*
 * Writes Ethernet and IPv4 headers in front of @f->data (which is at the L4
 * header, @f->len the L4 length; FRAME_HEADROOM guarantees the room) and moves
 * data and len.  csum_start of a FRAME_CSUM_PARTIAL frame moves along.
 *
 * Return: 0: transmit it.  -EINPROGRESS: the frame waits for ARP and is the
 *         neighbour's now.  -EHOSTUNREACH: the neighbour did not answer; the
 *         frame is still the caller's.  -ENOBUFS: too many wait, likewise.
 */
struct net_tx {
	struct ip_addr src, dst;
	uint8_t proto, tos, ttl;
	bool dont_fragment;
};
int net_out(struct net *n, struct net_path *path, const struct net_tx *tx,
	    struct frame *f, mono_t now);

/* Frames whose neighbour has been learnt (headers complete): at most @max. */
int net_ready(struct net *n, struct frame **f, int max);

/* Frames whose neighbour failed: the caller frees them. */
int net_failed(struct net *n, struct frame **f, int max);

/* An ARP request (or announcement) that is due now on @*port: writes a whole
 * frame of 42 bytes to @buf; returns its length, 0: none is due. */
int net_request(struct net *n, mono_t now, uint8_t *buf, uint8_t *port);

/* Asks net_request() to announce our addresses (gratuitous ARP, RFC 5227). */
void net_announce(struct net *n);

/* Ageing, retries, fragment timeouts.  Cheap when nothing is due. */
void net_advance(struct net *n, mono_t now);
mono_t net_next_due(const struct net *n);

/* Neighbours learnt since the last call, for the other engines; in state
 * NEIGH_FREE: an answer that nobody here asked for, of use to who did. */
int net_learnt(struct net *n, struct net_neigh_entry *e, int max);
void net_learn(struct net *n, const struct net_neigh_entry *e, mono_t now);

/* Listing in slices: entries from @*cursor on; returns how many, 0: the end. */
int net_list_neigh(const struct net *n, uint32_t *cursor,
		   struct net_neigh_entry *e, int max, mono_t now);
int net_list_routes(const struct net *n, struct net_route *r, int max);

struct net_stats *net_stats(struct net *n);

/*
 * Builds an ICMP destination-unreachable (type 3, @code) about the received
 * frame in place, for NET_REPLY-like transmission; false: must not be sent
 * (RFC 1122 3.2.2 or rate limit), free the frame.
 */
bool net_unreachable(struct net *n, struct frame *f, uint8_t code, mono_t now);

/* ---- csum.c: RFC 1071 ---- */

/* Unfolded one's complement sum of @len bytes, added to @sum. */
uint64_t csum_add(uint64_t sum, const void *data, uint32_t len);

/* Copies and sums in one pass; @len bytes from @src (which may be client
 * memory: each byte is read once). */
uint64_t csum_copy(uint64_t sum, void *dst, const void *src, uint32_t len);

/* Sum of the next piece, which begins at an odd offset of the whole. */
uint64_t csum_swap(uint64_t sum);

/* Folded to 16 bits, not inverted / inverted, as stored in a header. */
uint16_t csum_fold(uint64_t sum);
uint16_t csum_finish(uint64_t sum);

/* Pseudo header of TCP or UDP (both addresses mapped v4, or both v6). */
uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, uint32_t l4_len);

#endif
