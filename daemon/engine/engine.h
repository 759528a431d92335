/*
 * engine.h - one core's TCP engine: its thread, its loop, its counters
 *
 *	engine.c      the loop, idle and wake-up
 *	packet_in.c   port_rx -> net_in -> tcp_in, or hand-over to the owner
 *	packet_out.c  tcp_out -> frame -> net_out -> port_tx
 *	commands.c    client rings -> checked -> tcp_*
 *	events.c      what changed -> client rings, pending lists
 *	accept.c      listeners, members, credit
 *	tuple.c       local TCP ports whose answers come back here
 *	handover.c    foreign frames, from engine to engine
 *	client.c      clients and contexts as this engine sees them
 *
 * Control makes engines, starts their threads, talks by mailbox, and reads
 * counters.  After engine_start() only the thread touches the rest.
 *
 * Errors    Negative errno.  An engine never exits by itself.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counter.h"
#include "base/hist.h"
#include "io/port.h"
#include "net/net.h"
#include "tcp/tcp.h"
#include "engine/account.h"
#include "engine/bpf.h"
#include "engine/capture.h"
#include "engine/mailbox.h"

struct engine;

struct engine_config {
	uint32_t index, count;		/* this one of how many */
	int cpu;			/* core to pin to; -1: none */
	int numa_node;			/* -1: any */
	uint32_t spin_us;		/* how long to poll when idle; 0: not at all.
					 * ~0u: for ever (its core is its own) */
	struct tcp_config tcp;
	uint8_t rss_key[RSS_KEY_BYTES];
	uint8_t net_secret[16];
	uint16_t local_port_min, local_port_max;	/* host order, of connects */
	uint32_t shared_ports;		/* a bit a port: its addresses are the
					 * kernel's too, but not its TCP ports
					 * from local_port_min to _max */
	bool huge_pages;		/* try hugepages for engine memory */
};

/* What is the same in all engines: MAIL_NET_CONFIG. */
struct net_config {
	struct net_addr addrs[NET_ADDRS_MAX];
	unsigned int addr_count;
	struct net_route routes[NET_ROUTES_MAX];
	unsigned int route_count;
	struct net_neigh_entry neigh[NET_NEIGH_MAX];
	unsigned int neigh_count;
	bool announce;			/* addresses are new */
};

/*
 * What the administrator allows a program (MAIL_CLIENT_ADD).  Control's memory,
 * immutable until CLIENT_GONE; NULL: everything.  TCP ports in host order.
 * How much and how fast is its account's (account.h).
 */
#define ENGINE_RANGES_MAX	16
#define ENGINE_NETS_MAX		8

struct engine_policy {
	struct { uint16_t first, last; } ranges[ENGINE_RANGES_MAX];
	struct ip_addr addrs[ENGINE_NETS_MAX];	/* of ours; none: all */
	uint32_t range_count, addr_count;	/* no range: every TCP port */
};
bool engine_policy_addr(const struct engine_policy *p, const struct ip_addr *a);
bool engine_policy_port(const struct engine_policy *p, uint16_t port);

/* Whose SYNs a listening TCP port takes; `deny` goes before `allow`, and with
 * an `allow` all others are denied. */
#define ENGINE_ACCESS_MAX	64

struct engine_access {
	uint16_t port;			/* host order; 0: every one */
	bool allow;
	uint8_t count;
	uint8_t prefix[ENGINE_NETS_MAX];	/* of 128 */
	struct ip_addr nets[ENGINE_NETS_MAX];
};
bool engine_access_ok(const struct engine_access *list, uint32_t count,
		      const struct ip_addr *src, uint16_t port);

/* What may change while engines run: MAIL_LIVE. */
struct engine_live {
	struct engine_access access[ENGINE_ACCESS_MAX];
	uint32_t access_count;
	struct tcp_config tcp;		/* as tcp_configure() takes it */
	uint32_t spin_us[PORT_QUEUES_MAX];	/* by engine */
};

/* Loop counters; the engine writes, anybody reads. */
struct engine_stats {
	counter_t loops, busy_loops, sleeps, wakes_sent, wakes_received;
	counter_t port_wakes, timer_wakes;	/* sleeps that these ended */
	counter_t commands, events, stale_handles, rings_full;
	counter_t send_stalls;		/* commands that wait for memory */
	counter_t handed_over, handed_in, handover_full;
	counter_t accepted, accept_waits;
	counter_t given_back;		/* accepted again by another */
	counter_t accept_looks;		/* contexts told to look for such */
	counter_t clients, contexts;	/* gauges */
	counter_t policy_denied, policy_connect_rate, policy_accept_rate;
	counter_t policy_connections;	/* connects above a number: EMFILE */
	counter_t access_denied;	/* SYNs of sources not allowed */
	counter_t frame_dropped;	/* no frame to send with: sent later */
	counter_t cpu_us;		/* thread CPU time, refreshed now and then */
	struct hist loop_us;		/* of busy loops, until the next begins */
	struct hist batch;		/* frames of a burst received */
};

/* Makes an engine with its queues of @ports; starts no thread yet. */
int engine_open(struct engine **out, const struct engine_config *cfg,
		struct port *const *ports, uint32_t port_count);

/* Tells an engine its peers (for hand-over) and its way to control. */
void engine_connect(struct engine *e, struct engine *const *all,
		    struct mailbox *control);

int engine_start(struct engine *e);
/* After MAIL_STOPPED: joins the thread. */
void engine_join(struct engine *e);
void engine_close(struct engine *e);

/* The engine's mailbox; senders: 0 .. count-1 are engines, count is control. */
struct mailbox *engine_mailbox(struct engine *e);

/* One turn of the loop without sleeping, for tests and benches that own the
 * thread and the clock.  Returns how much there was to do. */
uint32_t engine_turn(struct engine *e, mono_t now);

const struct engine_stats *engine_stats(const struct engine *e);
const struct tcp_stats *engine_tcp_stats(const struct engine *e);
const struct tcp_client_stats *engine_client_stats(const struct engine *e,
						   uint32_t client);
const struct net_stats *engine_net_stats(const struct engine *e);
const struct engine_config *engine_config(const struct engine *e);

#endif
