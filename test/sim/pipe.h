/*
 * pipe.h - bulk flows through one bottleneck, in virtual time
 *
 *	flow 0 --+                                       +--> flow 0
 *	  ...    +-> [ queue, rate, loss, CE, delay ] ->-+     ...
 *	flow n --+ <--------- ACKs, delay only ----------+--> flow n
 *
 * Two real TCPs (daemon/tcp), one that sends on every flow whatever it may and
 * one that reads all of it at once; between them a queue that drops at its end,
 * random loss and lateness, and marks above a threshold.  The same seed is the
 * same run.
 *
 * Threads   One; everything is in struct pipe.
 * Units     _us of virtual time, bytes of whole frames in the queue.
 */
#ifndef TEST_SIM_PIPE_H
#define TEST_SIM_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "kit.h"

#define PIPE_FLOWS	4

struct pipe_path {
	uint64_t rate_bps;
	uint32_t delay_us;	/* one way */
	uint32_t queue_bytes;
	uint32_t mark_bytes;	/* CE above it; 0: never */
	uint32_t loss_ppm;	/* of the data; each frame by itself */
	uint32_t late_ppm;	/* frames that come late_us later */
	uint32_t late_us;
	uint16_t mtu;		/* 0: 1500 */
};

/* Frames on their way, in the order of their arrival. */
struct pipe_ring {
	uint8_t *frames;
	uint32_t head, tail;
};

enum { PIPE_BACK, PIPE_FORTH, PIPE_LATE, PIPE_RINGS };

struct pipe {
	struct pipe_path path;		/* delays may change meanwhile */
	uint32_t stride;		/* bytes of a frame in a ring */
	struct kit_heap heap[2];
	struct kit_arena arena[2][2];	/* a side: the engine's, the client's */
	struct tcp_env *env[2];		/* 0 sends, 1 reads */
	struct ip_addr addr[2];
	struct rss rss;
	struct pipe_ring ring[PIPE_RINGS];
	uint64_t free_ns;		/* when the bottleneck is idle again */
	uint64_t queue_sum, queue_seen;	/* bytes that frames found before them */
	uint64_t marks, drops;
	struct kit_rand rand;
	mono_t now;
	uint32_t flows;
	struct {
		uint32_t conn, peer;	/* at side 0, at side 1 */
		uint64_t written, read;	/* bytes */
	} flow[PIPE_FLOWS];
};

/* @cc: a name for each flow.  All of them connect at once. */
void pipe_open(struct pipe *p, const struct pipe_path *path, uint32_t flows,
	       const char *const *cc, uint32_t seed);
void pipe_run(struct pipe *p, uint64_t us);
void pipe_close(struct pipe *p);

/* What waits at the bottleneck now. */
uint32_t pipe_queued(const struct pipe *p);

#endif
