/*
 * app.h - the applications at both sides: who sends what to whom, and checks
 *
 *	flow i:   end 0 (side 0)  <== a connection a round ==>  end 1 (side 1)
 *
 * An end goes through its life as a careful program would:
 *
 *	APART -> OPENING -> OPEN -> GONE      and, rounds left, APART again
 *
 * It writes its bytes in pieces, reads what is announced in pieces, shuts
 * down, and closes when it has read the peer's FIN.  What it reads must be
 * exactly what the other end wrote, from the first byte to the last; only
 * where one end aborts may the rest be missing.
 *
 * Some ends move between two clients of their side; the bytes must not care.
 *
 * Ownership Extents announced are the end's until it says consumed.
 * Threads   One.
 */
#ifndef TEST_SIM_APP_H
#define TEST_SIM_APP_H

#include "scenario.h"
#include "side.h"

#define APP_EXTENTS	256
#define APP_WHY_BYTES	200

enum end_state { END_APART, END_OPENING, END_OPEN, END_GONE };

struct end {
	enum end_state state;
	const struct end_plan *plan;
	uint32_t conn, client;	/* client: 1.., whose arena */
	uint32_t stream;	/* of kit_byte(), of what this end writes */
	uint32_t written, read, readable;
	bool connected, fin, shut, blocked, pending;
	int error;
	struct tcp_extent extents[APP_EXTENTS];
	uint32_t extent_head, extent_tail, extent_used;
	uint32_t block, block_fill;	/* the block being filled, or NONE */
	mono_t wake;			/* next thing to do by itself */
	mono_t pause_until;
};

struct flow {
	const struct flow_plan *plan;
	struct end end[2];
	uint16_t port[2];	/* host order */
	uint32_t round;		/* 0.. */
	bool aborted;		/* by an end's plan */
	mono_t aborted_at;
	mono_t open_at;
};

struct app {
	const struct scenario *plan;
	struct side *side[2];
	struct flow flow[SIM_FLOWS];
	uint32_t listener[2];
	mono_t accept_at[2];
	struct kit_rand rand;
	mono_t progress;	/* when something last moved */
	uint64_t moved;		/* bytes read, for statistics */
	uint32_t conns;		/* connections that lived to the end */
	bool trace;
	char why[APP_WHY_BYTES];	/* first thing that went wrong */
};

void app_init(struct app *a, const struct scenario *plan, struct side *s0,
	      struct side *s1, mono_t now);
/* Everything that both applications want to do now. */
void app_turn(struct app *a, mono_t now);
mono_t app_next_due(const struct app *a);
bool app_done(const struct app *a);
/* Stops listening, after which both sides must become empty. */
void app_fini(struct app *a);

/* What did not end, for a report. */
void app_print(const struct app *a, FILE *out);

#endif
