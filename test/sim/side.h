/*
 * side.h - a whole stack at one end of the wire, less the engine
 *
 *	wire end -> net_in -> tcp_in      tcp_out -> net_out -> wire end
 *
 * side_input() and side_output() do what packet_in and packet_out do in the
 * daemon's engine, in virtual time and with nothing else around them.
 *
 * Ownership A side owns its net, its TCP and its arenas; the wire is the
 *           simulation's.
 * Threads   One.
 */
#ifndef TEST_SIM_SIDE_H
#define TEST_SIM_SIDE_H

#include "io/port_wire.h"
#include "kit.h"
#include "net/net.h"
#include "scenario.h"


struct side {
	int index;
	struct port *port;
	struct net *net;
	struct tcp_env *env;
	struct kit_heap heap;
	struct kit_arena arenas[1 + SIM_CLIENTS];	/* 0: the engine's */
	struct ip_addr addr;
	uint32_t mtu;
	bool trace;
	/* Told of each connection with news; it takes the events. */
	void (*announce)(void *arg, struct side *s, uint32_t conn, mono_t now);
	void *announce_arg;
	bool starved;		/* no frame to send with: try again soon */
};

void side_init(struct side *s, int index, const struct scenario *plan,
	       struct wire *wire, const struct rss *rss);
void side_fini(struct side *s);

/* Frames and timers that are due. */
void side_input(struct side *s, mono_t now);
/* Everything that TCP and net want to send or to announce. */
void side_output(struct side *s, mono_t now);
mono_t side_next_due(const struct side *s, mono_t now);

/* NULL: nothing is left; else what is. */
const char *side_leak(const struct side *s);

#endif
