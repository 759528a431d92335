/*
 * cover - does the generator of scenarios draw all that it should?
 *
 *	cover [SEEDS]		default 4000
 *
 * Each line of the table is a kind of path or peer that TCP must survive; it
 * must have come up in one of a hundred seeds at least.  No seed is run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

#define PER_CENT_MIN	1u

static struct scenario s;

/* Of either way. */
#define EITHER(test)	(WAY(0, test) || WAY(1, test))
#define WAY(i, test)	(im = &s.wire.impair[i], p = &s.path[i], \
			 d = &s.side[i], (test))

struct kind {
	const char *name;
	uint32_t seen;
};

enum {
	RTT_SHORT, RTT_LONG, RATE_SLOW, RATE_FAST, LOSS_NONE, LOSS_HIGH, BURSTS,
	REORDER, JITTER, POLICER, BLOAT, SHALLOW, ACK_LOSS, ACK_THIN, SHRINK,
	OLD, DUPLICATE, CORRUPT, NO_SACK, NO_TS, NO_SCALING, MSS_88, MTU_SMALL,
	MTU_JUMBO, TSO, TINY_WINDOW, FEW_BLOCKS, FEW_EXTENTS, BOTH_OPEN, ABORT,
	MOVES, LONG_FLOW, RENO, CUBIC, DCTCP, BBR, ECN, KINDS
};

static struct kind kinds[KINDS] = {
	[RTT_SHORT] = { "round trip under 0.2 ms", 0 },
	[RTT_LONG] = { "round trip over 200 ms", 0 },
	[RATE_SLOW] = { "1 Mb/s", 0 },
	[RATE_FAST] = { "10 to 40 Gb/s", 0 },
	[LOSS_NONE] = { "no loss", 0 },
	[LOSS_HIGH] = { "20 to 30 % loss", 0 },
	[BURSTS] = { "losses in bursts", 0 },
	[REORDER] = { "reordering", 0 },
	[JITTER] = { "jitter", 0 },
	[POLICER] = { "a policer", 0 },
	[BLOAT] = { "a queue of over 200 ms", 0 },
	[SHALLOW] = { "a queue of a few frames", 0 },
	[ACK_LOSS] = { "lost ACKs", 0 },
	[ACK_THIN] = { "thinned ACKs", 0 },
	[SHRINK] = { "a window that shrinks", 0 },
	[OLD] = { "old duplicates", 0 },
	[DUPLICATE] = { "duplicates", 0 },
	[CORRUPT] = { "corrupted frames", 0 },
	[NO_SACK] = { "no SACK", 0 },
	[NO_TS] = { "no timestamps", 0 },
	[NO_SCALING] = { "no window scaling", 0 },
	[MSS_88] = { "an MSS of 88", 0 },
	[MTU_SMALL] = { "a small MTU", 0 },
	[MTU_JUMBO] = { "jumbo frames", 0 },
	[TSO] = { "segments cut by the port", 0 },
	[TINY_WINDOW] = { "tiny windows", 0 },
	[FEW_BLOCKS] = { "few blocks", 0 },
	[FEW_EXTENTS] = { "few extents", 0 },
	[BOTH_OPEN] = { "simultaneous open", 0 },
	[ABORT] = { "abort", 0 },
	[MOVES] = { "sockets that move", 0 },
	[LONG_FLOW] = { "flows of over 1 MB", 0 },
	[RENO] = { "NewReno", 0 },
	[CUBIC] = { "CUBIC", 0 },
	[DCTCP] = { "DCTCP", 0 },
	[BBR] = { "BBR", 0 },
	[ECN] = { "ECN at both ends", 0 },
};

static void saw(int kind, bool is)
{
	kinds[kind].seen += is;
}

static void look_wire(void)
{
	const struct wire_impair *im;
	const struct path_plan *p;
	const struct side_plan *d;
	uint32_t rtt = s.wire.impair[0].delay_us + s.wire.impair[1].delay_us;

	saw(RTT_SHORT, rtt < 200);
	saw(RTT_LONG, rtt > 200000 && rtt <= 300100);
	saw(RATE_SLOW, EITHER(im->rate_bps == 1000000));
	saw(RATE_FAST, EITHER(im->rate_bps >= 10000000000 &&
			      im->rate_bps <= 40000000000));
	saw(LOSS_NONE, !EITHER(im->loss_ppm || im->burst_enter_ppm));
	saw(LOSS_HIGH, EITHER(im->loss_ppm > 200000 && im->loss_ppm <= 300000));
	saw(BURSTS, EITHER(im->burst_enter_ppm != 0));
	saw(REORDER, EITHER(im->reorder_ppm != 0));
	saw(JITTER, EITHER(im->jitter_us > 1000));
	saw(BLOAT, EITHER(im->rate_bps &&
			  im->queue_bytes * 8000000ull / im->rate_bps > 200000));
	saw(SHALLOW, EITHER(im->rate_bps &&
			    im->queue_bytes < 16 * (s.wire.mtu + 14)));
	saw(DUPLICATE, EITHER(im->duplicate_ppm != 0));
	saw(CORRUPT, EITHER(im->corrupt_ppm != 0));
	saw(POLICER, EITHER(p->police_bps != 0));
	saw(ACK_LOSS, EITHER(p->ack_loss_ppm != 0));
	saw(ACK_THIN, EITHER(p->ack_every != 0));
	saw(SHRINK, EITHER(p->shrink_ppm != 0));
	saw(OLD, EITHER(p->old_ppm != 0));
	saw(NO_SACK, EITHER(p->no_sack || !d->tcp.sack));
	saw(NO_TS, EITHER(p->no_timestamps || !d->tcp.timestamps));
	saw(NO_SCALING, EITHER(p->no_scaling || !d->tcp.window_scaling));
	saw(MSS_88, EITHER(p->mss == 88));
	saw(MTU_SMALL, EITHER(d->mtu < 300));
	saw(MTU_JUMBO, s.wire.mtu == 9000);
	saw(TSO, (s.wire.caps & PORT_TSO) != 0);
	saw(TINY_WINDOW, EITHER(d->tcp.rcv_wnd_max < 32768));
	saw(FEW_BLOCKS, EITHER(d->small != UINT32_MAX));
	saw(FEW_EXTENTS, EITHER(d->tcp.max_extents < 3000));
	saw(RENO, EITHER(!strcmp(d->tcp.cc, "reno")));
	saw(CUBIC, EITHER(!strcmp(d->tcp.cc, "cubic")));
	saw(DCTCP, EITHER(!strcmp(d->tcp.cc, "dctcp")));
	saw(BBR, EITHER(!strcmp(d->tcp.cc, "bbr")));
	saw(ECN, WAY(0, d->tcp.ecn) && WAY(1, d->tcp.ecn));
}

static void look_flows(void)
{
	bool both = false, abort_ = false, moves = false, large = false;

	for (uint32_t i = 0; i < s.flows; i++) {
		const struct flow_plan *f = &s.flow[i];

		both |= f->open == OPEN_BOTH;
		for (int e = 0; e < 2; e++) {
			abort_ |= f->end[e].abort;
			moves |= f->end[e].moves;
			large |= f->end[e].bytes > 1000000;
		}
	}
	saw(BOTH_OPEN, both);
	saw(ABORT, abort_);
	saw(MOVES, moves);
	saw(LONG_FLOW, large);
}

int main(int argc, char **argv)
{
	uint32_t seeds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 4000;
	int rare = 0;

	for (uint32_t seed = 1; seed <= seeds; seed++) {
		scenario_make(&s, seed);
		look_wire();
		look_flows();
	}
	for (int k = 0; k < KINDS; k++) {
		bool enough = kinds[k].seen * 100ull >= PER_CENT_MIN * seeds;

		printf("%5.1f %% %s%s\n", 100.0 * kinds[k].seen / seeds,
		       kinds[k].name, enough ? "" : ": too rare");
		rare += !enough;
	}
	return rare != 0;
}
