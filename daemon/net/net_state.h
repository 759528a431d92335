/*
 * net_state.h - inside of struct net; for daemon/net only
 *
 *	eth_in -> ip_in -> reass, icmp        route   addresses and routes
 *	      \-> arp -> neigh                neigh   who has which MAC
 *	net_out (ip_out) -> neigh, eth_out
 *
 * Addresses are 16 bytes everywhere, also in the neighbour table; what is
 * IPv4's own (fragments, ARP) has 32 bits in network order.
 *
 * Ownership One struct net an engine, all its memory from net_init().
 * Threads   The engine's.
 */
#ifndef NET_NET_STATE_H
#define NET_NET_STATE_H

#include "base/wheel.h"
#include "net/net.h"

#define NEIGH_BUCKETS		4096	/* a power of two */
#define NEIGH_HEARD_MAX		1024	/* learnt from requests, not used */
#define NEIGH_ASKED_MAX		1024	/* asked for, no answer yet or none */
#define NEIGH_RETRY_US		UINT64_C(1000000)
#define NEIGH_REACHABLE_US	UINT64_C(60000000)	/* RFC 1122 2.3.2.1 */
#define NEIGH_STALE_US		UINT64_C(1200000000)	/* then it is forgotten */
#define NEIGH_HOLD_DOWN_US	UINT64_C(2000000)	/* failed: do not ask */
#define NEIGH_LEARNT		64	/* entries kept for net_learnt() */

#define REASS_DATAGRAMS		64
#define REASS_CELL_BYTES	2048
#define REASS_CELLS		512	/* 1 MiB for all of them */
#define REASS_BYTES_MAX		65536
#define REASS_TIMEOUT_US	UINT64_C(30000000)	/* RFC 1122 3.3.2: 60 at most */

#define ARP_FRAME_BYTES		(ETH_BYTES + 28)
#define ANNOUNCE_TIMES		2	/* RFC 5227 1.1: ANNOUNCE_NUM */
#define ANNOUNCE_GAP_US		UINT64_C(2000000)	/* ANNOUNCE_INTERVAL */
#define DEFEND_GAP_US		UINT64_C(10000000)	/* DEFEND_INTERVAL */

#define ICMP_ECHO_PER_S		10000
#define ICMP_ERROR_PER_S	1000

/* Which list an entry is on; each evicts its own oldest. */
enum neigh_list {
	NEIGH_LIST_NONE,	/* free, or static */
	NEIGH_LIST_HEARD,	/* learnt from a request, never sent to */
	NEIGH_LIST_ASKED,	/* incomplete or failed */
	NEIGH_LIST_USED,	/* learnt, and sent to */
	NEIGH_LISTS
};

struct neigh {			/* index 0 is none and always NEIGH_FREE */
	struct ip_addr addr;
	uint8_t mac[6];
	uint8_t port;
	uint8_t state;		/* enum net_neigh_state */
	mono_t used;		/* last sent to, within a second; 0: never */
	mono_t confirmed;	/* last heard from by ARP */
	struct wheel_node timer;
	uint16_t hash_next, prev, next;
	uint8_t list;		/* enum neigh_list */
	uint8_t tries;		/* requests since the last answer */
	uint16_t queued;	/* frames that wait */
	struct frame *first, *last;
};

struct neigh_fifo {
	uint16_t head, tail, count;
};

struct frame_fifo {
	struct frame *first, *last;
};

struct neigh_table {
	struct neigh *entry;	/* NET_NEIGH_MAX */
	uint16_t *bucket;	/* NEIGH_BUCKETS heads of hash_next chains */
	uint16_t free_head;	/* through hash_next */
	struct neigh_fifo list[NEIGH_LISTS];
	struct wheel wheel;
	uint32_t queued_all;
	struct frame_fifo ready, failed;
	uint64_t ask[NET_NEIGH_MAX / 64];	/* a request is due, one bit each */
	uint32_t ask_count, ask_at;
	struct net_neigh_entry learnt[NEIGH_LEARNT];
	uint32_t learnt_head, learnt_tail;	/* free running */
};

/* A route as it is looked up: longest prefix first, then the best metric. */
struct fib_entry {
	uint64_t net[2], mask[2];	/* bytes as in struct ip_addr */
	struct ip_addr gateway;		/* any: directly connected */
	uint32_t metric;
	uint8_t prefix, port;
};

struct reass_datagram {
	uint32_t src, dst;	/* network order */
	uint16_t id;
	uint8_t proto;
	uint8_t ttl;		/* of the first fragment */
	bool in_use, dead;	/* dead: dropped, eats the rest until timeout */
	uint8_t ecn_seen;	/* one bit for each ECN value */
	uint32_t total;		/* payload bytes, 0: last fragment not seen */
	uint32_t have;		/* payload bytes received */
	uint32_t highest;	/* end of what was received */
	mono_t begun;
	uint16_t cell[REASS_BYTES_MAX / REASS_CELL_BYTES];	/* 0: none */
	uint64_t units[REASS_BYTES_MAX / 8 / 64];	/* received, 8 bytes each */
};

struct reass {
	struct reass_datagram *datagram;	/* REASS_DATAGRAMS */
	uint8_t *cells;			/* cell number c at (c - 1) * size */
	uint8_t *whole;			/* the datagram last completed */
	uint16_t free_cell[REASS_CELLS];
	uint32_t free_count;
	uint32_t active;		/* datagrams in use */
	mono_t oldest;			/* no datagram in use begun before */
};

struct bucket {			/* tokens of RFC 1812 4.3.2.8 */
	mono_t filled;
	uint64_t tokens;
};

struct net {
	struct net_stats stats;
	uint8_t secret[16];
	uint32_t epoch;			/* of addresses, routes and ports */
	uint16_t ip_id;
	mono_t now;			/* the latest we were told */
	struct net_port port[NET_PORTS_MAX];

	struct net_addr addr[NET_ADDRS_MAX];
	uint32_t broadcast[NET_ADDRS_MAX];	/* directed; 0: none */
	unsigned int addr_count;
	struct net_route route[NET_ROUTES_MAX];	/* as configured */
	unsigned int route_count;
	struct fib_entry fib[NET_ROUTES_MAX + NET_ADDRS_MAX];
	unsigned int fib_count;

	struct neigh_table neigh;
	uint64_t announce;		/* bit i: addr[i] is to be announced */
	unsigned int announce_left;	/* further rounds */
	mono_t announce_at;
	mono_t defended;		/* when we last did */

	struct reass reass;
	struct bucket echo, error;
};
_Static_assert(NET_ADDRS_MAX <= 64, "one bit an address in `announce`");
_Static_assert(NET_NEIGH_MAX <= 65536, "indexes of 16 bits");
_Static_assert(NEIGH_HEARD_MAX + NEIGH_ASKED_MAX < NET_NEIGH_MAX,
	       "room remains for neighbours in use");

static inline enum net_verdict net_drop(struct net *n, enum net_drop why)
{
	counter_add(&n->stats.drops[why], 1);
	return NET_DROP;
}

/* ---- arp.c ---- */
enum net_verdict arp_in(struct net *n, struct frame *f, mono_t now);

/* ---- ip_in.c: @f->data is at an Ethernet header of at least 14 bytes ---- */
enum net_verdict ip_in(struct net *n, struct frame *f, mono_t now,
		       struct net_rx *rx, struct net_icmp_error *icmp);

/* Header checks that need no state: version, lengths, sum.  NET_DROP_NONE:
 * [ip, ip + total_len) lies in @bytes. */
enum net_drop ip4_check(const uint8_t *ip, uint32_t bytes);

/* ---- ip_out.c ---- */
void ip4_write(struct net *n, uint8_t *at, const struct net_tx *tx,
	       uint32_t l4_len);

/* ---- eth_out.c ---- */
void eth_write(const struct net *n, uint8_t *at, uint8_t port,
	       const uint8_t dst[6], uint16_t type);
void eth_turn(const struct net *n, struct frame *f);

/* ---- icmp.c ---- */
enum net_verdict icmp_in(struct net *n, struct frame *f, mono_t now,
			 const struct net_rx *rx, struct net_icmp_error *icmp);

/* ---- reass.c ---- */
int reass_init(struct reass *r);
void reass_fini(struct reass *r);
/* NET_TCP: @rx->l4 is the whole payload.  NET_HELD, or NET_DROP (counted). */
enum net_verdict reass_in(struct net *n, const uint8_t *ip, mono_t now,
			  struct net_rx *rx);
void reass_advance(struct net *n, mono_t now);
mono_t reass_next_due(const struct net *n);

/* ---- route.c ---- */
void route_rebuild(struct net *n);
bool route_is_broadcast(const struct net *n, uint32_t v4);
bool route_on_link(const struct net *n, uint8_t port, const struct ip_addr *a);
/* Our address on @port to ask for @dst with; NULL: none there. */
const struct ip_addr *route_source(const struct net *n, uint8_t port,
				   const struct ip_addr *dst);
bool route_port_has(const struct net *n, uint8_t port, const struct ip_addr *a);

/* ---- neigh.c ---- */
int neigh_init(struct neigh_table *t, mono_t now);
void neigh_fini(struct neigh_table *t);
uint16_t neigh_find(const struct net *n, uint8_t port, const struct ip_addr *a);
/* An ARP message says that @a is at @mac; @create: also when unknown.
 * Returns false when it was neither known nor created. */
bool neigh_heard(struct net *n, uint8_t port, const struct ip_addr *a,
		 const uint8_t mac[6], bool create, bool answer, mono_t now);
/* An answer that this engine did not ask for: another one may have, since a
 * NIC delivers ARP to any queue.  Only told (net_learnt, state NEIGH_FREE). */
void neigh_overheard(struct net *n, uint8_t port, const struct ip_addr *a,
		     const uint8_t mac[6], mono_t now);
/* The neighbour to send to, perhaps incomplete; 0 with *@error: none. */
uint16_t neigh_use(struct net *n, uint8_t port, const struct ip_addr *a,
		   mono_t now, int *error);
/* Queues a frame with complete headers but for dst; 0 or -ENOBUFS. */
int neigh_wait(struct net *n, uint16_t index, struct frame *f);
void neigh_advance(struct net *n, mono_t now);
/* The next neighbour to ask for; 0: none. */
uint16_t neigh_next_ask(struct net *n);

static inline bool neigh_usable(const struct neigh *e)
{
	return e->state == NEIGH_REACHABLE || e->state == NEIGH_STATIC;
}

#endif
