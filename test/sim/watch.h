/*
 * watch.h - what must hold of a TCP from one instant to the next
 *
 *	turn, watch_look, turn, watch_look ...
 *
 * tcp_check() says whether a state is sound by itself; a watch remembers the
 * last one and looks at what became of it, after all that could be sent was:
 *
 *	- who sent new data has no more in flight than cwnd allows, a probe and
 *	  limited transmit (RFC 3042) apart;
 *	- who has a full segment to send, or the last one before a FIN, room in
 *	  both windows and no pacing to wait for, has sent it;
 *	- a window that the reader opened again is told to the peer;
 *	- what came out of order, and was reported by SACK, is kept until it is
 *	  in order, unless the statistics say that it was given up (RFC 2018 8);
 *	- rcv_nxt, snd_una and the window's right edge never go back.
 *
 * It aborts on what is broken, as tcp_check() does.
 *
 * Threads   One.
 */
#ifndef TEST_SIM_WATCH_H
#define TEST_SIM_WATCH_H

#include "tcp/env.h"

#define WATCH_CONNS	64	/* more are not looked at */
#define WATCH_RANGES	16	/* out-of-order ranges remembered of each */

struct watch_conn {
	uint32_t generation, client, ranges, out;
	bool live;
	seq_t snd_max, snd_una, rcv_nxt, rcv_adv;
	struct { seq_t left, right; } range[WATCH_RANGES];
};

struct watch {
	struct watch_conn conn[WATCH_CONNS];
	uint64_t given_up;
};

void watch_look(struct watch *w, const struct tcp_env *env);

#endif
