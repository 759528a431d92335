/*
 * cc_cubic.c - RFC 9438 in integers
 *
 *	W_cubic(t) = C (t - K)^3 + W_max     C = 0.4, segments and seconds
 *	K = cbrt((W_max - cwnd_epoch) / C)
 *
 * Windows are bytes and times milliseconds: with d = t - K in ms,
 * C d^3 segments of mss bytes are 4 mss d^3 / 10^10 bytes.
 */
#include "tcp/cc.h"

#include <string.h>

#define D_MAX_MS	100000	/* |t - K|: its cube times 4 mss fits 64 bits */

uint32_t cc_cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int bit = 21; bit >= 0; bit--) {
		uint64_t r = root | (UINT64_C(1) << bit);

		if (r * r <= x / r)	/* r^3 may not fit */
			root = r;
	}
	return (uint32_t)root;
}

uint32_t cc_cubic_window(const struct cc_cubic *c, uint32_t mss, uint32_t t_ms)
{
	int64_t d = (int64_t)t_ms - c->k_ms, w;

	if (d > D_MAX_MS)
		d = D_MAX_MS;
	if (d < -D_MAX_MS)
		d = -D_MAX_MS;
	w = d * d * d / 1000 * 4 * (int64_t)mss / 10000000 + c->w_max;
	if (w < 0)
		return 0;
	return w > CC_CWND_MAX ? CC_CWND_MAX : (uint32_t)w;
}

static void init(union cc_state *s, const struct cc_window *w)
{
	(void)w;
	memset(s, 0, sizeof(*s));
}

/* RFC 9438 4.2 and 4.8: the first ACK of congestion avoidance. */
static void begin_epoch(struct cc_cubic *c, const struct cc_window *w)
{
	c->in_epoch = 1;
	c->epoch_ms = c->grown_ms = w->now_ms;
	c->frac = c->est_frac = 0;
	c->w_est = w->cwnd;
	if (c->cwnd_prior == 0)
		c->cwnd_prior = w->cwnd;
	if (w->cwnd >= c->w_max) {	/* no reduction before: K = 0 */
		c->w_max = w->cwnd;
		c->k_ms = 0;
	} else {
		c->k_ms = cc_cube_root((uint64_t)(c->w_max - w->cwnd) *
				       UINT64_C(2500000000) / w->mss);
	}
}

/* RFC 9438 4.3: what Reno would have, alpha = 3 (1 - 0.7) / (1 + 0.7). */
static void grow_estimate(struct cc_cubic *c, const struct cc_window *w,
			  uint32_t bytes)
{
	uint64_t alpha = c->w_est >= c->cwnd_prior ? 1000 : 529;
	uint64_t grown = alpha * bytes / 1000 * w->mss + c->est_frac;

	c->w_est += (uint32_t)(grown / w->cwnd);
	c->est_frac = (uint32_t)(grown % w->cwnd);
	if (c->w_est > CC_CWND_MAX)
		c->w_est = CC_CWND_MAX;
}

/* cwnd was not the limit for a while: the time until now did not count
 * (RFC 9438 5.8). */
static void skip_idle(struct cc_cubic *c, const struct cc_window *w)
{
	uint32_t rtt_ms = w->srtt_us / 1000 + 1;
	uint32_t gap = w->now_ms - c->grown_ms;

	if (gap > 2 * rtt_ms)
		c->epoch_ms += gap - rtt_ms;
	c->grown_ms = w->now_ms;
}

static void avoid(struct cc_cubic *c, struct cc_window *w, uint32_t bytes)
{
	uint32_t t, target, limit;
	uint64_t grown;

	if (c->in_epoch)
		skip_idle(c, w);
	else
		begin_epoch(c, w);
	t = w->now_ms - c->epoch_ms;
	grow_estimate(c, w, bytes);
	if (cc_cubic_window(c, w->mss, t) < c->w_est) {	/* 4.3 */
		if (w->cwnd < c->w_est)
			w->cwnd = c->w_est;
		return;
	}
	target = cc_cubic_window(c, w->mss, t + w->srtt_us / 1000);
	limit = w->cwnd + w->cwnd / 2;			/* 4.2 */
	if (target > limit)
		target = limit;
	if (target <= w->cwnd)
		return;
	grown = (uint64_t)(target - w->cwnd) * bytes + c->frac; /* 4.4, 4.5 */
	c->frac = (uint32_t)(grown % w->cwnd);
	w->cwnd += (uint32_t)(grown / w->cwnd);
	if (w->cwnd > CC_CWND_MAX)
		w->cwnd = CC_CWND_MAX;
}

static void acked(union cc_state *s, struct cc_window *w, uint32_t bytes)
{
	if (w->cwnd >= w->ssthresh)
		avoid(&s->cubic, w, bytes);
	else if (w->ssthresh == CC_SSTHRESH_NONE)	/* 4.10 */
		hystart_acked(&s->cubic.hystart, w, bytes);
	else
		cc_slow_start(w, bytes);
}

/* RFC 9438 4.6 (beta = 0.7) and 4.7 (fast convergence).  Of cwnd, which grows only
 * while it is used, and not of what is in flight: the ACKs of a whole window may
 * come in one burst, before anything is sent again. */
static uint32_t ssthresh(union cc_state *s, const struct cc_window *w)
{
	struct cc_cubic *c = &s->cubic;
	uint32_t left;

	c->undo.w_max = c->w_max;
	c->undo.k_ms = c->k_ms;
	c->undo.epoch_ms = c->epoch_ms;
	c->undo.w_est = c->w_est;
	c->undo.in_epoch = c->in_epoch;
	c->in_epoch = 0;
	c->cwnd_prior = w->cwnd;
	if (w->cwnd < c->w_max)
		c->w_max = (uint32_t)((uint64_t)w->cwnd * 17 / 20);
	else
		c->w_max = w->cwnd;
	left = (uint32_t)((uint64_t)w->cwnd * 7 / 10);
	return left > 2 * w->mss ? left : 2 * w->mss;
}

static void undo(struct cc_cubic *c)
{
	c->w_max = c->undo.w_max;
	c->k_ms = c->undo.k_ms;
	c->epoch_ms = c->undo.epoch_ms;
	c->w_est = c->undo.w_est;
	c->in_epoch = c->undo.in_epoch;
}

static void event(union cc_state *s, const struct cc_window *w, enum cc_event e)
{
	(void)w;
	switch (e) {
	case CC_TIMEOUT:	/* 4.8 */
	case CC_IDLE:
		s->cubic.in_epoch = 0;
		break;
	case CC_UNDO:		/* 4.9 */
		undo(&s->cubic);
		break;
	}
}

static bool keeps(const union cc_state *s)
{
	return s->cubic.w_max != 0;
}

const struct cc_ops cc_cubic = {
	.name = "cubic", .init = init, .acked = acked, .ssthresh = ssthresh,
	.event = event, .keeps = keeps,
};
