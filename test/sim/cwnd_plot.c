/*
 * cwnd_plot - the congestion window over time, as numbers to look at
 *
 *	cwnd_plot CC PATH	CC: reno cubic dctcp bbr; PATH: clean loss mark
 *
 * 20 Mb/s, 40 ms, one bandwidth-delay product of queue (100 kB), 30 seconds of
 * virtual time.  clean: a full queue drops; loss: 1 % is lost besides; mark: CE
 * above 30 kB of queue.  Writes lines "seconds cwnd-kB queue-kB Mb/s" for
 * gnuplot (cwnd_plot.sh draws them).
 *
 * Exit status: 0; 1 the flow did not move; 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipe.h"

#define RATE_BPS	20000000ull
#define STEP_US		20000u
#define STEPS		1500u

static const struct { const char *name; uint32_t mark_bytes, loss_ppm; }
paths[] = {
	{ "clean", 0, 0 }, { "loss", 0, 10000 }, { "mark", 30000, 0 },
};
#define PATHS	(sizeof(paths) / sizeof(paths[0]))

static void run(struct pipe *p)
{
	uint64_t seen = 0;
	struct tcp_info info;

	for (uint32_t i = 1; i <= STEPS; i++) {
		pipe_run(p, STEP_US);
		tcp_describe(p->env[0], p->flow[0].conn, &info);
		printf("%.2f\t%.1f\t%.1f\t%.2f\n", i * STEP_US / 1e6,
		       info.cwnd / 1e3, pipe_queued(p) / 1e3,
		       (double)(p->flow[0].read - seen) * 8 / STEP_US);
		seen = p->flow[0].read;
	}
}

int main(int argc, char **argv)
{
	struct pipe_path path = { .rate_bps = RATE_BPS, .delay_us = 20000,
				  .queue_bytes = 100000 };
	static struct pipe p;
	size_t i = PATHS;
	bool moved;

	for (i = 0; argc == 3 && i < PATHS; i++)
		if (!strcmp(argv[2], paths[i].name))
			break;
	if (argc != 3 || i == PATHS || tcp_cc_find(argv[1]) < 0) {
		fprintf(stderr, "usage: cwnd_plot reno|cubic|dctcp|bbr clean|loss|mark\n");
		return 2;
	}
	path.mark_bytes = paths[i].mark_bytes;
	path.loss_ppm = paths[i].loss_ppm;
	pipe_open(&p, &path, 1, (const char *const[]){ argv[1] }, 42);
	run(&p);
	moved = p.flow[0].read * 8 > RATE_BPS;	/* a second's worth at least */
	fprintf(stderr, "%s %s: %.2f Mb/s\n", argv[1], argv[2],
		(double)p.flow[0].read * 8 / (double)(STEPS * STEP_US));
	pipe_close(&p);
	return moved ? 0 : 1;
}
