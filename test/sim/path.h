/*
 * path.h - what middleboxes and odd peers do to the frames of a simulation
 *
 *	side 0  --tx-->  [ path_filter ]  --> impairments of the wire -->  side 1
 *	                  may drop, may rewrite
 *
 * The wire loses, delays and reorders by itself; here is what needs a look into
 * the segment: a policer with a token bucket, lost and thinned ACKs, a peer
 * that shrinks its window, one without SACK or timestamps, a small MSS; and old
 * duplicates, which path_replay() sends again as they once were.
 *
 * Ownership A path is the simulation's; it keeps copies of frames, no frames.
 * Threads   One.
 */
#ifndef TEST_SIM_PATH_H
#define TEST_SIM_PATH_H

#include <stdio.h>

#include "io/port_wire.h"
#include "kit.h"

#define PATH_KEPT	32	/* old frames to choose from, each way */
#define PATH_KEPT_BYTES	2048

struct path_plan {
	uint64_t police_bps;	/* 0: no policer */
	uint32_t police_burst;	/* bytes */
	uint32_t ack_loss_ppm;	/* of segments that are nothing but an ACK */
	uint32_t ack_every;	/* of a train of these one in n passes; 0: all */
	uint32_t shrink_ppm;	/* of segments whose window is made smaller */
	uint32_t old_ppm;	/* of frames that come again, much later */
	uint16_t mss;		/* of SYNs at most; 0: as it is */
	bool no_sack, no_timestamps, no_scaling;
};

struct path_old {
	mono_t when;
	uint32_t len, flags;
	uint16_t csum_start, csum_offset;
	uint8_t bytes[PATH_KEPT_BYTES];
};

struct path_way {
	struct path_plan plan;
	struct kit_rand rand;
	uint64_t tokens;	/* bytes * 8e6 */
	mono_t filled;
	mono_t acked;		/* the last pure ACK */
	struct path_old old[PATH_KEPT];
	uint32_t old_count;
	uint32_t owed;		/* old frames to be sent */
};

struct path {
	struct path_way way[2];	/* [0]: what side 0 sends */
	bool replaying;
};

/* Up to three troubles, either way. */
void path_plan_make(struct path_plan plan[2], struct kit_rand *r, uint32_t mtu);
void path_init(struct path *p, const struct path_plan plan[2], uint64_t seed,
	       mono_t now);

/* A wire_filter_fn; @arg is the struct path. */
bool path_filter(void *arg, int from, struct frame *f, mono_t now);

/* Sends the old frames that are owed, through @port of end @from. */
void path_replay(struct path *p, int from, struct port *port, mono_t now);

void path_print(const struct path_plan *p, int from, FILE *out);

#endif
