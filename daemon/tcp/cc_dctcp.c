/*
 * cc_dctcp.c - RFC 8257: as many marks, as much less
 *
 *	once a window	alpha = (1 - g) alpha + g M	M: marked share, g = 1/16
 *	on a mark	cwnd = cwnd (1 - alpha / 2)	once a window
 *
 * alpha is in units of 2^-20.  Growth and losses are NewReno's.
 */
#include "tcp/cc.h"

#include <string.h>

#define ONE	(1u << 20)
#define G_SHIFT	4		/* 4.2: g = 1/16 */

static void init(union cc_state *s, const struct cc_window *w)
{
	memset(s, 0, sizeof(*s));
	s->dctcp.alpha = ONE;		/* 3.3: careful until it is known */
	s->dctcp.window_end = w->snd_nxt;
}

static void acked(union cc_state *s, struct cc_window *w, uint32_t bytes)
{
	if (w->cwnd < w->ssthresh) {
		cc_slow_start(w, bytes);
		return;
	}
	s->dctcp.grown += bytes;
	if (s->dctcp.grown >= w->cwnd) {
		s->dctcp.grown -= w->cwnd;
		w->cwnd += w->mss;
	}
}

static void marked(union cc_state *s, const struct cc_window *w,
		   uint32_t bytes, uint32_t ce)
{
	struct cc_dctcp *d = &s->dctcp;
	uint32_t share;

	d->acked += bytes;
	d->ce += ce < bytes ? ce : bytes;
	d->reduce = ce != 0;
	if (seq_leq(w->snd_una, d->window_end) || !d->acked)
		return;
	share = (uint32_t)((uint64_t)d->ce * ONE / d->acked);
	d->alpha -= d->alpha >> G_SHIFT;
	d->alpha += share >> G_SHIFT;
	if (d->alpha > ONE)
		d->alpha = ONE;
	d->acked = d->ce = 0;
	d->window_end = w->snd_nxt;
}

/* By alpha for a mark (3.3), by half for a loss (3.5). */
static uint32_t ssthresh(union cc_state *s, const struct cc_window *w)
{
	struct cc_dctcp *d = &s->dctcp;
	uint32_t left;

	if (d->reduce)
		left = w->cwnd - (uint32_t)((uint64_t)w->cwnd * d->alpha /
					    (2 * ONE));
	else
		left = w->flight / 2;
	d->reduce = d->grown = 0;
	return left > 2 * w->mss ? left : 2 * w->mss;
}

static void event(union cc_state *s, const struct cc_window *w, enum cc_event e)
{
	(void)w;
	(void)e;
	s->dctcp.grown = 0;
}

/* alpha took many windows to learn. */
static bool keeps(const union cc_state *s)
{
	return s->dctcp.alpha != ONE;
}

const struct cc_ops cc_dctcp = {
	.name = "dctcp", .init = init, .acked = acked, .ssthresh = ssthresh,
	.event = event, .marked = marked, .keeps = keeps, .needs_ecn = true,
};
