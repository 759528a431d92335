/*
 * cc_bbr.c - BBR version 3 (draft-ietf-ccwg-bbr), without its ECN part
 *
 *	STARTUP --bandwidth no longer grows, or 2 % loss--> DRAIN
 *	DRAIN --flight down to the BDP--> DOWN -> CRUISE -> REFILL -> UP -> DOWN
 *	any --no small RTT for 5 s--> PROBE_RTT -> CRUISE (STARTUP)
 *
 * The model: max_bw, the largest delivery rate of the last two probing cycles;
 * min_rtt of the last 10 s; inflight_hi, above which losses began; bw_lo and
 * inflight_lo, what losses since the last probe suggest.  Pacing rate and cwnd
 * follow from the model by a gain that belongs to the state.  A loss by itself
 * changes nothing: the share of it does.
 *
 * Gains are in 1/100.
 */
#include "tcp/cc.h"

#include <string.h>

#define LOSS_PERCENT	2		/* BBR.LossThresh */
#define BETA_PERCENT	70u
#define HEADROOM_PERCENT 85u
#define MIN_PIPE	4u		/* segments */
#define MARGIN_PERCENT	99u		/* of pacing, 5.6.2 */
#define FULL_BW_ROUNDS	3
#define FULL_LOSSES	6
#define EXTRA_ROUNDS	5u		/* of each half of the filter */
#define MIN_RTT_MS	10000u
#define PROBE_RTT_MS	5000u
#define PROBE_RTT_TIME_MS 200u
#define NO_LIMIT	UINT32_MAX

static const struct { uint16_t pacing, cwnd; } gain[] = {
	[BBR_STARTUP] = { 277, 200 }, [BBR_DRAIN] = { 50, 200 },
	[BBR_DOWN] = { 90, 200 }, [BBR_CRUISE] = { 100, 200 },
	[BBR_REFILL] = { 100, 200 }, [BBR_UP] = { 125, 225 },
	[BBR_PROBE_RTT] = { 100, 50 },
};

static void init(union cc_state *s, const struct cc_window *w)
{
	struct cc_bbr *b = &s->bbr;

	memset(s, 0, sizeof(*s));
	b->inflight_hi = b->inflight_lo = NO_LIMIT;
	b->bw_lo = UINT64_MAX;
	b->min_rtt_us = b->probe_rtt_us = w->srtt_us ? w->srtt_us : NO_LIMIT;
	b->min_rtt_ms = b->probe_rtt_ms = b->cycle_ms = w->now_ms;
	b->salt = w->snd_nxt;
}

static uint64_t max_bw(const struct cc_bbr *b)
{
	return b->bw_max[0] > b->bw_max[1] ? b->bw_max[0] : b->bw_max[1];
}

static uint64_t bandwidth(const struct cc_bbr *b)
{
	return max_bw(b) < b->bw_lo ? max_bw(b) : b->bw_lo;
}

static uint32_t bdp(const struct cc_bbr *b, const struct cc_window *w,
		    uint64_t bw, uint32_t percent)
{
	uint64_t bytes;

	if (b->min_rtt_us == NO_LIMIT || !bw)
		return 10 * w->mss;		/* the initial window */
	bytes = bw * b->min_rtt_us / 1000000 * percent / 100;
	return bytes > CC_CWND_MAX ? CC_CWND_MAX : (uint32_t)bytes;
}

static uint32_t at_least_pipe(const struct cc_window *w, uint32_t bytes)
{
	return bytes > MIN_PIPE * w->mss ? bytes : MIN_PIPE * w->mss;
}

/* What acknowledgements in bunches need on top (5.6.4.2). */
static uint32_t quantized(const struct cc_bbr *b, const struct cc_window *w,
			  uint32_t bytes)
{
	uint64_t quantum = bandwidth(b) / 1000;

	quantum = quantum > 65536 ? 65536 : quantum;
	quantum = quantum < 2 * w->mss ? 2 * w->mss : quantum;
	bytes += 3 * (uint32_t)quantum;
	return at_least_pipe(w, bytes + (b->state == BBR_UP ? 2 * w->mss : 0));
}

static uint32_t with_headroom(const struct cc_bbr *b, const struct cc_window *w)
{
	if (b->inflight_hi == NO_LIMIT)
		return NO_LIMIT;
	return at_least_pipe(w, (uint32_t)((uint64_t)b->inflight_hi *
					   HEADROOM_PERCENT / 100));
}

/* ---- what the sample says ---- */

static void learn_bandwidth(struct cc_bbr *b, const struct cc_sample *rs)
{
	b->round_start = rs->rate && rs->prior_delivered >= b->round_end;
	if (!rs->rate)
		return;			/* between two marks */
	if (b->round_start) {
		b->round_end = rs->delivered;
		b->rounds++;
	}
	if (rs->rate > b->bw_latest)
		b->bw_latest = rs->rate;
	if (rs->delivered - rs->prior_delivered > b->inflight_latest)
		b->inflight_latest = (uint32_t)(rs->delivered -
						rs->prior_delivered);
	if (rs->rate > b->bw_max[1] && (rs->rate > max_bw(b) ||
					!rs->app_limited))
		b->bw_max[1] = rs->rate;
}

/*
 * 5.5.9: what came in this interval beyond bandwidth times its length was held
 * back on the way and acknowledged in a bunch; as much has to be in flight on
 * top so that the pipe does not run dry while the next one is held back.  The
 * most of the last ten rounds, of one before the pipe was full.
 */
static void learn_bunches(struct cc_bbr *b, const struct cc_window *w,
			  uint32_t acked)
{
	uint64_t expected = bandwidth(b) * (w->now_us - b->bunch_us) / 1000000;
	uint64_t extra;

	if (b->round_start &&
	    ++b->extra_rounds >= (b->full ? EXTRA_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra[0] = b->extra[1];
		b->extra[1] = 0;
	}
	if (b->bunch <= expected) {
		b->bunch = 0;
		b->bunch_us = w->now_us;
		expected = 0;
	}
	b->bunch += acked;
	extra = b->bunch > expected ? b->bunch - expected : 0;
	if (extra > w->cwnd)
		extra = w->cwnd;
	if (extra > b->extra[1])
		b->extra[1] = (uint32_t)extra;
}

static uint32_t extra_acked(const struct cc_bbr *b)
{
	return b->extra[0] > b->extra[1] ? b->extra[0] : b->extra[1];
}

static bool probing(const struct cc_bbr *b)
{
	return b->state == BBR_STARTUP || b->state == BBR_REFILL ||
	       b->state == BBR_UP;
}

/* 5.5.10.3: once a round with losses, what was delivered is the bound. */
static void learn_losses(struct cc_bbr *b, const struct cc_window *w)
{
	uint64_t bw;
	uint32_t bytes;

	if (!b->round_start)
		return;
	if (b->loss_in_round && !probing(b)) {
		bw = b->bw_lo == UINT64_MAX ? max_bw(b) : b->bw_lo;
		bw = bw * BETA_PERCENT / 100;
		b->bw_lo = b->bw_latest > bw ? b->bw_latest : bw;
		bytes = b->inflight_lo == NO_LIMIT ? w->cwnd : b->inflight_lo;
		bytes = (uint32_t)((uint64_t)bytes * BETA_PERCENT / 100);
		b->inflight_lo = b->inflight_latest > bytes ?
				 b->inflight_latest : bytes;
	}
	b->loss_in_round = 0;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

static void forget_lower_bounds(struct cc_bbr *b)
{
	b->bw_lo = UINT64_MAX;
	b->inflight_lo = NO_LIMIT;
	b->loss_in_round = 0;
}

/* More than 2 % of what was in flight when it was sent is lost. */
static bool too_lossy(const struct cc_sample *rs)
{
	return rs->tx_in_flight &&
	       (uint64_t)rs->lost_since * 100 >
		       (uint64_t)rs->tx_in_flight * LOSS_PERCENT;
}

/* ---- states ---- */

static void begin(struct cc_bbr *b, const struct cc_window *w, uint8_t state)
{
	b->state = state;
	b->cycle_ms = w->now_ms;
}

static void begin_down(struct cc_bbr *b, const struct cc_window *w)
{
	b->up_count = NO_LIMIT;
	b->rounds = b->salt & 1;
	b->salt = b->salt * 1664525u + 1013904223u;
	b->wait_ms = 2000 + (b->salt >> 8) % 1000;	/* 5.3.3.5.2 */
	b->bw_max[0] = b->bw_max[1];
	b->bw_max[1] = 0;
	begin(b, w, BBR_DOWN);
}

static void begin_refill(struct cc_bbr *b, const struct cc_window *w)
{
	forget_lower_bounds(b);
	b->up_rounds = 0;
	b->up_acks = 0;
	b->rounds = 0;
	begin(b, w, BBR_REFILL);
}

static void raise_slope(struct cc_bbr *b, const struct cc_window *w)
{
	uint32_t growth = w->mss << (b->up_rounds < 30 ? b->up_rounds : 30);

	if (b->up_rounds < 15)
		b->up_rounds++;
	b->up_count = growth ? w->cwnd / growth : 1;
	if (!b->up_count)
		b->up_count = 1;
}

static void begin_up(struct cc_bbr *b, const struct cc_window *w)
{
	b->rounds = 0;
	b->full_bw = max_bw(b);
	b->full_rounds = 0;
	raise_slope(b, w);
	begin(b, w, BBR_UP);
}

/* 5.3.1.2 and 5.3.1.3 */
static void check_startup(struct cc_bbr *b, struct cc_window *w,
			  const struct cc_sample *rs)
{
	if (b->state != BBR_STARTUP)
		return;
	if (b->round_start && !rs->app_limited) {
		if (max_bw(b) * 4 >= b->full_bw * 5) {
			b->full_bw = max_bw(b);
			b->full_rounds = 0;
		} else if (++b->full_rounds >= FULL_BW_ROUNDS) {
			b->full = 1;
		}
	}
	if (rs->lost_since >= FULL_LOSSES * w->mss && too_lossy(rs)) {
		b->full = 1;
		b->inflight_hi = bdp(b, w, max_bw(b), 100);
		if (b->inflight_hi < b->inflight_latest)
			b->inflight_hi = b->inflight_latest;
	}
	if (b->full) {
		begin(b, w, BBR_DRAIN);
		w->css = true;
	}
}

/* 5.3.3.6: what is in flight when losses begin is too much. */
static bool adapt_high(struct cc_bbr *b, const struct cc_window *w,
		       const struct cc_sample *rs, uint32_t acked)
{
	uint32_t target, beta;

	if (too_lossy(rs) && b->state == BBR_UP) {
		target = bdp(b, w, bandwidth(b), 100);
		beta = (uint32_t)((uint64_t)target * BETA_PERCENT / 100);
		if (!rs->app_limited)
			b->inflight_hi = rs->tx_in_flight > beta ?
					 rs->tx_in_flight : beta;
		begin_down(b, w);
		return true;
	}
	if (b->inflight_hi == NO_LIMIT || b->state != BBR_UP ||
	    w->flight + w->mss < b->inflight_hi)
		return false;
	b->up_acks += acked;
	if (b->up_acks >= b->up_count) {
		uint32_t n = b->up_acks / b->up_count;

		b->up_acks -= n * b->up_count;
		b->inflight_hi += n;
	}
	if (b->round_start)
		raise_slope(b, w);
	return false;
}

/* Time, or as many rounds as Reno would need, since the last probe. */
static bool time_to_probe(const struct cc_bbr *b, const struct cc_window *w)
{
	uint32_t reno = bdp(b, w, bandwidth(b), 100) / w->mss;

	if (w->now_ms - b->cycle_ms >= b->wait_ms)
		return true;
	return b->rounds >= (reno < 63 ? reno : 63);
}

static void cycle(struct cc_bbr *b, struct cc_window *w,
		  const struct cc_sample *rs, uint32_t acked)
{
	uint32_t target = bdp(b, w, max_bw(b), 100), room;

	if (adapt_high(b, w, rs, acked))
		return;
	switch (b->state) {
	case BBR_DOWN:
		room = with_headroom(b, w);
		if (time_to_probe(b, w))
			begin_refill(b, w);
		else if (w->flight <= room && w->flight <= target)
			b->state = BBR_CRUISE;	/* the wait goes on */
		break;
	case BBR_CRUISE:
		if (time_to_probe(b, w))
			begin_refill(b, w);
		break;
	case BBR_REFILL:
		if (b->round_start && b->rounds)
			begin_up(b, w);
		break;
	case BBR_UP:
		if (b->round_start && !rs->app_limited) {
			if (max_bw(b) * 4 >= b->full_bw * 5) {
				b->full_bw = max_bw(b);
				b->full_rounds = 0;
			} else {
				b->full_rounds++;
			}
		}
		if ((b->inflight_hi == NO_LIMIT ||
		     w->flight < b->inflight_hi) &&
		    w->flight < bdp(b, w, max_bw(b), 125) &&
		    b->full_rounds < FULL_BW_ROUNDS)
			break;
		if (w->flight >= bdp(b, w, max_bw(b), 125) ||
		    b->full_rounds >= FULL_BW_ROUNDS)
			begin_down(b, w);
		break;
	default:
		break;
	}
}

/* ---- the round-trip time ---- */

static void leave_probe_rtt(struct cc_bbr *b, struct cc_window *w)
{
	b->probe_done_ms = 0;
	b->probe_rtt_ms = w->now_ms;
	if (w->cwnd < b->prior_cwnd)
		w->cwnd = b->prior_cwnd;
	forget_lower_bounds(b);
	if (b->full) {
		begin_down(b, w);
		b->state = BBR_CRUISE;
	} else {
		begin(b, w, BBR_STARTUP);
	}
}

/* 5.3.4 */
static void probe_rtt(struct cc_bbr *b, struct cc_window *w)
{
	uint32_t small = at_least_pipe(w, bdp(b, w, bandwidth(b), 50));

	if (!b->probe_done_ms) {
		if (w->flight <= small)
			b->probe_done_ms = (w->now_ms + PROBE_RTT_TIME_MS) | 1;
	} else if ((int32_t)(w->now_ms - b->probe_done_ms) >= 0) {
		leave_probe_rtt(b, w);
	}
}

static void learn_rtt(struct cc_bbr *b, struct cc_window *w)
{
	bool due = w->now_ms - b->probe_rtt_ms > PROBE_RTT_MS;

	if (w->rtt_us && (w->rtt_us < b->probe_rtt_us || due)) {
		b->probe_rtt_us = w->rtt_us;
		b->probe_rtt_ms = w->now_ms;
	}
	if (b->probe_rtt_us < b->min_rtt_us ||
	    w->now_ms - b->min_rtt_ms > MIN_RTT_MS) {
		b->min_rtt_us = b->probe_rtt_us;
		b->min_rtt_ms = b->probe_rtt_ms;
	}
	if (due && b->state != BBR_PROBE_RTT && b->full) {
		b->prior_cwnd = w->cwnd;
		b->probe_done_ms = 0;
		begin(b, w, BBR_PROBE_RTT);
	}
	if (b->state == BBR_PROBE_RTT)
		probe_rtt(b, w);
}

/* ---- what follows from it ---- */

static void set_pacing(struct cc_bbr *b, struct cc_window *w)
{
	uint64_t bw = bandwidth(b), rate;
	uint32_t rtt = w->srtt_us ? w->srtt_us : 1000;

	if (!bw)			/* 5.6.2: from the initial window */
		bw = (uint64_t)w->cwnd * 1000000 / rtt;
	rate = bw * gain[b->state].pacing / 100 * MARGIN_PERCENT / 100;
	if (b->full || rate > b->rate)
		b->rate = rate;
	if (b->rate > CC_RATE_MAX)
		b->rate = CC_RATE_MAX;
	w->rate = b->rate;
}

static uint32_t bounded(const struct cc_bbr *b, const struct cc_window *w,
			uint32_t cwnd)
{
	uint32_t most = NO_LIMIT;

	if (b->state == BBR_CRUISE || b->state == BBR_PROBE_RTT)
		most = with_headroom(b, w);
	else if (b->state != BBR_STARTUP)
		most = b->inflight_hi;
	if (most > b->inflight_lo)
		most = b->inflight_lo;
	most = at_least_pipe(w, most);
	return cwnd < most ? cwnd : most;
}

static void set_cwnd(struct cc_bbr *b, struct cc_window *w, uint32_t acked,
		     uint64_t delivered)
{
	uint32_t most = quantized(b, w, bdp(b, w, bandwidth(b),
					    gain[b->state].cwnd) +
				  extra_acked(b));

	if (b->full) {
		w->cwnd += acked;
		w->cwnd = w->cwnd < most ? w->cwnd : most;
	} else if (w->cwnd < most || delivered < 10 * w->mss) {
		w->cwnd += acked;
	}
	w->cwnd = at_least_pipe(w, w->cwnd);
	if (b->state == BBR_PROBE_RTT) {
		most = at_least_pipe(w, bdp(b, w, bandwidth(b), 50));
		w->cwnd = w->cwnd < most ? w->cwnd : most;
	}
	w->cwnd = bounded(b, w, w->cwnd);
}

static void sample(union cc_state *s, struct cc_window *w,
		   const struct cc_sample *rs)
{
	struct cc_bbr *b = &s->bbr;

	learn_bandwidth(b, rs);
	if (max_bw(b))
		learn_bunches(b, w, rs->acked);
	check_startup(b, w, rs);
	if (b->state == BBR_DRAIN && w->flight <= bdp(b, w, max_bw(b), 100))
		begin_down(b, w);
	if (b->state >= BBR_DOWN && b->state <= BBR_UP)
		cycle(b, w, rs, rs->acked);
	learn_losses(b, w);
	learn_rtt(b, w);
	set_pacing(b, w);
	set_cwnd(b, w, rs->acked, rs->delivered);
}

static void acked(union cc_state *s, struct cc_window *w, uint32_t bytes)
{
	(void)s;
	(void)w;
	(void)bytes;		/* sample() does it all */
}

/* A loss is no reason by itself: recovery begins with the window as it is. */
static uint32_t ssthresh(union cc_state *s, const struct cc_window *w)
{
	struct cc_bbr *b = &s->bbr;

	b->loss_in_round = 1;
	return at_least_pipe(w, w->cwnd);
}

static void event(union cc_state *s, const struct cc_window *w, enum cc_event e)
{
	(void)w;
	if (e == CC_UNDO)
		forget_lower_bounds(&s->bbr);
}

static bool keeps(const union cc_state *s)
{
	return max_bw(&s->bbr) != 0;
}

const struct cc_ops cc_bbr = {
	.name = "bbr", .init = init, .acked = acked, .ssthresh = ssthresh,
	.event = event, .sample = sample, .keeps = keeps,
};
