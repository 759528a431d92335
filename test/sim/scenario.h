/*
 * scenario.h - what one seed means: link, peers and flows, all random
 *
 * The same seed gives the same scenario for ever within one version of this
 * file; a seed that failed is replayed by `sim --seed S -v`.
 *
 * Threads   Pure: everything comes from the seed.
 */
#ifndef TEST_SIM_SCENARIO_H
#define TEST_SIM_SCENARIO_H

#include <stdio.h>

#include "io/port_wire.h"
#include "kit.h"
#include "path.h"

#define SIM_FLOWS	20
#define SIM_CLIENTS	2	/* a side, each with its arena */
#define SIM_ROUNDS	3	/* connections of a flow, one after another */

enum flow_open {
	OPEN_FROM_0,		/* side 0 connects, side 1 listens */
	OPEN_FROM_1,
	OPEN_BOTH		/* simultaneous: both connect */
};

/* What one application does with one end of a connection. */
struct end_plan {
	uint32_t bytes;		/* to send */
	uint32_t write_max, read_max;	/* bytes a call: 1..max */
	uint32_t think_us;	/* pause between calls: 0..think */
	uint32_t pause_us;	/* a long pause of reading, once; 0: none */
	uint32_t ring_room;	/* extents announced and not read, at most */
	uint32_t rcvbuf;	/* SO_RCVBUF; 0: not set */
	bool nodelay, cork, keepalive;
	bool moves;		/* goes from client to client now and then */
	bool close_at_once;	/* close instead of shutdown: the peer sends 0 */
	bool abort;		/* at a random place */
	uint32_t abort_after;	/* bytes read and written */
};

struct flow_plan {
	enum flow_open open;
	uint32_t rounds;
	uint32_t start_us;
	struct end_plan end[2];
};

struct side_plan {
	struct tcp_config tcp;
	uint32_t mtu;
	uint32_t small, large;		/* blocks of the client's arena */
	uint32_t own_small, own_large;	/* and of the engine's */
	uint32_t backlog;
	uint32_t accept_us;		/* accepting waits 0..accept_us */
};

struct scenario {
	uint64_t seed;
	struct wire_config wire;
	struct path_plan path[2];	/* [0]: what side 0 sends */
	bool static_neigh;	/* corruption would poison ARP */
	struct side_plan side[2];
	struct flow_plan flow[SIM_FLOWS];
	uint32_t flows;
};

void scenario_make(struct scenario *s, uint64_t seed);
void scenario_print(const struct scenario *s, FILE *out);

#endif
