/*
 * cc_bbr.c - BBR version 3 (draft-ietf-ccwg-bbr)
 *
 *	STARTUP --bandwidth no longer grows, or 2 % loss--> DRAIN
 *	DRAIN --flight down to the BDP--> DOWN -> CRUISE -> REFILL -> UP -> DOWN
 *	any --no small RTT for 5 s--> PROBE_RTT -> CRUISE (STARTUP)
 *
 * The model: max_bw, the largest delivery rate of the last two probing cycles;
 * min_rtt of the last 10 s; inflight_hi, above which losses began; bw_lo and
 * inflight_lo, what losses since the last probe suggest.  Pacing rate and cwnd
 * follow from the model by a gain that belongs to the state.  A loss by itself
 * changes nothing: the share of it does.  cwnd is the model's in recovery, too
 * (tcp_rack.c leaves PRR out): what is lost is no longer in flight, and pacing
 * spreads what takes its place.
 *
 * Marks.  Where they are counted exactly (AccECN) and the path is short, as in
 * a network that marks at a shallow queue, their share is smoothed like
 * DCTCP's alpha, cuts inflight_lo by a third of it once a round, and ends a
 * probe where it is above one half: the draft leaves this open, the figures are
 * those of its reference implementation.  Anywhere else a mark is what RFC 3168
 * makes of it, a loss: exactly counted ones are held against the 2 % as well.
 *
 * Gains are in 1/100.
 */
#include "tcp/cc.h"

#include <string.h>

#define LOSS_PERCENT	2		/* BBR.LossThresh */
#define BETA_PERCENT	70u
#define TOLERATED_PERCENT 97u		/* less margin and tolerated losses */
#define CHANCE_LOSSES	3u		/* segments in a flight */
#define HEADROOM_PERCENT 85u
#define MIN_PIPE	4u		/* segments */
#define MARGIN_PERCENT	99u		/* of pacing, 5.6.2 */
#define FULL_BW_ROUNDS	3
#define FULL_LOSSES	6
#define EXTRA_ROUNDS	5u		/* of each half of the filter */
#define MIN_RTT_MS	10000u
#define PROBE_RTT_MS	5000u
#define PROBE_RTT_TIME_MS 200u
#define PROBE_ROUNDS	63u		/* at most, until the next probe */
#define UP_ROUNDS	30u
#define NO_LIMIT	UINT32_MAX

#define ECN_RTT_US	5000u		/* marks mean a shallow queue below it */
#define ECN_UNIT	(1u << 20)	/* of alpha */
#define ECN_GAIN	16u		/* alpha learns a sixteenth of a round */
#define ECN_FACTOR	3u		/* inflight_lo loses alpha / 3 */
#define ECN_PERCENT	50
#define FULL_ECN_ROUNDS	2

static const struct { uint16_t pacing, cwnd; } gain[] = {
	[BBR_STARTUP] = { 277, 200 }, [BBR_DRAIN] = { 50, 200 },
	[BBR_DOWN] = { 90, 200 }, [BBR_CRUISE] = { 100, 200 },
	[BBR_REFILL] = { 100, 200 }, [BBR_UP] = { 125, 225 },
	[BBR_PROBE_RTT] = { 100, 50 },
};

/* Whose samples arrive now (5.3.3.1): those of a probe, before or after it. */
enum { ACKS_ANY, ACKS_REFILLING, ACKS_STARTING, ACKS_PROBING, ACKS_STOPPING };

static void init(union cc_state *s, const struct cc_window *w)
{
	struct cc_bbr *b = &s->bbr;

	memset(s, 0, sizeof(*s));
	b->inflight_hi = b->inflight_lo = NO_LIMIT;
	b->up_count = NO_LIMIT;
	b->bw_lo = UINT64_MAX;
	b->alpha = ECN_UNIT;
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

/* What a sender and a receiver in bursts hold on top (5.6.4.2). */
static uint32_t offload(const struct cc_bbr *b, const struct cc_window *w)
{
	uint64_t quantum = bandwidth(b) / 1000;

	quantum = quantum > 65536 ? 65536 : quantum;
	quantum = quantum < 2 * w->mss ? 2 * w->mss : quantum;
	return 3 * (uint32_t)quantum;
}

/* Bytes in flight that the model asks for (5.6.4.2). */
static uint32_t inflight(const struct cc_bbr *b, const struct cc_window *w,
			 uint32_t percent)
{
	uint32_t bytes = bdp(b, w, max_bw(b), percent), least = offload(b, w);

	bytes = bytes > least ? bytes : least;
	return at_least_pipe(w, bytes) + (b->state == BBR_UP ? 2 * w->mss : 0);
}

static uint32_t with_headroom(const struct cc_bbr *b, const struct cc_window *w)
{
	if (b->inflight_hi == NO_LIMIT)
		return NO_LIMIT;
	return at_least_pipe(w, (uint32_t)((uint64_t)b->inflight_hi *
					   HEADROOM_PERCENT / 100));
}

/* ---- what the sample says ---- */

static void begin_round(struct cc_bbr *b)
{
	b->round_end = b->delivered;
}

/* Marks say where a shallow queue begins. */
static bool shallow(const struct cc_bbr *b, const struct cc_sample *rs)
{
	return rs->accurate && b->min_rtt_us <= ECN_RTT_US;
}

/* What this ACK is part of: rounds, losses and marks in them (5.5.1). */
static void learn_round(struct cc_bbr *b, const struct cc_sample *rs)
{
	b->delivered = rs->delivered;
	b->round_acked += rs->acked;
	b->round_marked += rs->marked;
	b->round_start = rs->rate && rs->prior_delivered >= b->round_end;
	if (b->round_start) {
		begin_round(b);
		b->rounds++;
	}
	if (rs->marked && shallow(b, rs))
		b->ecn_in_round = b->ecn_in_cycle = 1;
	if (!rs->lost && (!rs->marked || shallow(b, rs)))
		return;
	if (!b->loss_in_round)		/* all of a round trip from here on */
		b->loss_round_end = b->delivered;
	b->loss_in_round = b->loss_in_cycle = 1;
}

static void learn_bandwidth(struct cc_bbr *b, const struct cc_sample *rs)
{
	uint64_t volume = rs->delivered - rs->prior_delivered;

	b->loss_round_start = 0;
	if (!rs->rate)
		return;			/* between two marks */
	if (rs->rate > b->bw_latest)
		b->bw_latest = rs->rate;
	if (volume > b->inflight_latest)
		b->inflight_latest = volume < CC_CWND_MAX ? (uint32_t)volume :
							    CC_CWND_MAX;
	if (rs->prior_delivered >= b->loss_round_end) {
		b->loss_round_end = rs->delivered;
		b->loss_round_start = 1;
	}
	if (rs->rate > b->bw_max[1] && (rs->rate > max_bw(b) ||
					!rs->app_limited))
		b->bw_max[1] = rs->rate;
}

/* 5.5.10.3: the next round measures anew. */
static void forget_latest(struct cc_bbr *b, const struct cc_sample *rs)
{
	uint64_t volume = rs->delivered - rs->prior_delivered;

	if (!b->loss_round_start)
		return;
	b->bw_latest = rs->rate;
	b->inflight_latest = volume < CC_CWND_MAX ? (uint32_t)volume :
						    CC_CWND_MAX;
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

static bool cycling(const struct cc_bbr *b)
{
	return b->state >= BBR_DOWN && b->state <= BBR_UP;
}

static bool probing(const struct cc_bbr *b)
{
	return b->state == BBR_STARTUP || b->state == BBR_REFILL ||
	       b->state == BBR_UP;
}

/* What a third of alpha leaves. */
static uint32_t marks_leave(const struct cc_bbr *b, uint32_t bytes)
{
	uint32_t left = ECN_FACTOR * ECN_UNIT - b->alpha;

	return (uint32_t)((uint64_t)bytes * left / (ECN_FACTOR * ECN_UNIT));
}

/* @bound after a lossy round that delivered @latest. */
static uint64_t lower(uint64_t bound, uint64_t latest)
{
	uint64_t least = bound * BETA_PERCENT / 100;

	if (latest >= bound * TOLERATED_PERCENT / 100)
		return bound;
	return latest > least ? latest : least;
}

static void lower_by_loss(struct cc_bbr *b)
{
	uint64_t bw = b->bw_lo == UINT64_MAX ? max_bw(b) : b->bw_lo;

	b->bw_lo = lower(bw, b->bw_latest);
	b->inflight_lo = (uint32_t)lower(b->inflight_lo, b->inflight_latest);
}

/*
 * 5.5.10.3: once a round with losses, what was delivered is the bound.  Not so
 * where pacing below the bandwidth and losses that the model tolerates are all
 * that is missing: else every round with a loss by chance would take a little,
 * for all of the sixty rounds until the next probe.
 */
static void learn_losses(struct cc_bbr *b, const struct cc_window *w)
{
	uint32_t marks = NO_LIMIT;

	if (!b->loss_round_start)
		return;
	b->quiet = !b->ecn_in_round;
	if ((b->ecn_in_round || b->loss_in_round) && !probing(b)) {
		if (b->inflight_lo == NO_LIMIT)
			b->inflight_lo = w->cwnd;
		if (b->ecn_in_round)
			marks = marks_leave(b, b->inflight_lo);
		if (b->loss_in_round)
			lower_by_loss(b);
		if (b->inflight_lo > marks)
			b->inflight_lo = marks;
	}
	b->loss_in_round = b->ecn_in_round = 0;
}

static void forget_lower_bounds(struct cc_bbr *b)
{
	b->bw_lo = UINT64_MAX;
	b->inflight_lo = NO_LIMIT;
	b->loss_in_round = 0;
}

static void forget_signals(struct cc_bbr *b)
{
	b->loss_in_round = b->loss_in_cycle = 0;
	b->ecn_in_round = b->ecn_in_cycle = b->quiet = 0;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

static void forget_full(struct cc_bbr *b, uint64_t bw)
{
	b->full_bw = bw;
	b->full_rounds = b->full_now = 0;
}

/* More than 2 % of what was in flight when it was sent is lost; of a few dozen
 * segments one or two are by chance. */
static bool too_lossy(const struct cc_window *w, const struct cc_sample *rs)
{
	uint64_t flight = rs->tx_in_flight, lost = rs->lost_since;

	return flight && lost * 100 > flight * LOSS_PERCENT &&
	       (lost >= CHANCE_LOSSES * w->mss || lost * 8 > flight);
}

/* Of what arrived since it was sent, more was marked than should be. */
static bool too_marked(const struct cc_bbr *b, const struct cc_sample *rs)
{
	uint64_t volume = rs->delivered - rs->prior_delivered;
	uint32_t percent = shallow(b, rs) ? ECN_PERCENT : LOSS_PERCENT;

	return rs->rate && rs->accurate && rs->ce_since &&
	       (uint64_t)rs->ce_since * 100 > volume * percent;
}

/* ---- states ---- */

static void begin(struct cc_bbr *b, const struct cc_window *w, uint8_t state)
{
	b->state = state;
	b->cycle_ms = w->now_ms;
}

static void begin_down(struct cc_bbr *b, const struct cc_window *w)
{
	forget_signals(b);
	b->up_count = NO_LIMIT;
	b->rounds = b->salt & 1;
	b->salt = b->salt * 1664525u + 1013904223u;
	b->wait_ms = 2000 + (b->salt >> 8) % 1000;	/* 5.3.3.5.2 */
	b->phase = ACKS_STOPPING;
	begin_round(b);
	begin(b, w, BBR_DOWN);
}

static void begin_cruise(struct cc_bbr *b)
{
	if (b->inflight_lo != NO_LIMIT && b->inflight_lo > b->inflight_hi)
		b->inflight_lo = b->inflight_hi;
	b->state = BBR_CRUISE;		/* the wait goes on */
}

static void begin_refill(struct cc_bbr *b, const struct cc_window *w,
			 uint8_t up_rounds)
{
	forget_lower_bounds(b);
	b->up_rounds = up_rounds;
	b->up_acks = 0;
	b->phase = ACKS_REFILLING;
	begin_round(b);
	begin(b, w, BBR_REFILL);
}

/* Each round of UP may add twice as much as the one before. */
static void raise_slope(struct cc_bbr *b, const struct cc_window *w)
{
	uint64_t growth = (uint64_t)w->mss << b->up_rounds;

	if (b->up_rounds < UP_ROUNDS)
		b->up_rounds++;
	b->up_count = growth ? (uint32_t)(w->cwnd / growth) : 1;
	if (!b->up_count)
		b->up_count = 1;
}

static void begin_up(struct cc_bbr *b, const struct cc_window *w,
		     const struct cc_sample *rs)
{
	b->phase = ACKS_STARTING;
	b->probed = 1;
	begin_round(b);
	forget_full(b, rs->rate);
	begin(b, w, BBR_UP);
	raise_slope(b, w);
}

/* 5.3.1.2: for three rounds the rate has not grown by a quarter. */
static void check_full(struct cc_bbr *b, const struct cc_sample *rs)
{
	if (b->full_now || rs->app_limited || !rs->rate)
		return;
	if (rs->rate * 4 >= b->full_bw * 5) {
		forget_full(b, rs->rate);
		return;
	}
	if (!b->round_start)
		return;
	b->full_now = ++b->full_rounds >= FULL_BW_ROUNDS;
	b->full |= b->full_now;
}

/* Queues are full already. */
static void stop_startup(struct cc_bbr *b, const struct cc_window *w)
{
	b->full = 1;
	b->inflight_hi = inflight(b, w, 100);
	if (b->inflight_hi < b->inflight_latest)
		b->inflight_hi = b->inflight_latest;
}

/* The share of marks of the round that is over. */
static void learn_marks(struct cc_bbr *b, const struct cc_window *w,
			const struct cc_sample *rs)
{
	uint32_t share;

	if (!b->round_start)
		return;
	if (shallow(b, rs) && b->round_acked) {
		share = (uint32_t)((uint64_t)b->round_marked * ECN_UNIT /
				   b->round_acked);
		share = share < ECN_UNIT ? share : ECN_UNIT;
		b->alpha = (b->alpha * (ECN_GAIN - 1) + share) / ECN_GAIN;
		if ((uint64_t)share * 100 < (uint64_t)ECN_UNIT * ECN_PERCENT)
			b->ecn_rounds = 0;
		else if (!b->full && ++b->ecn_rounds >= FULL_ECN_ROUNDS)
			stop_startup(b, w);
	}
	b->round_acked = b->round_marked = 0;
}

/* 5.3.1.3, and the end of STARTUP */
static void check_startup(struct cc_bbr *b, struct cc_window *w,
			  const struct cc_sample *rs)
{
	if (!b->full && rs->lost_since >= FULL_LOSSES * w->mss &&
	    too_lossy(w, rs))
		stop_startup(b, w);
	if (b->state == BBR_STARTUP && b->full) {
		forget_signals(b);
		begin(b, w, BBR_DRAIN);
		w->css = true;
	}
	if (b->state == BBR_DRAIN && w->flight <= inflight(b, w, 100))
		begin_down(b, w);
}

static bool cwnd_limited(const struct cc_window *w)
{
	return w->flight + 2 * w->mss >= w->cwnd;
}

/* 5.3.3.6: what was in flight when losses began is too much. */
static void take_too_high(struct cc_bbr *b, const struct cc_window *w,
			  const struct cc_sample *rs)
{
	uint32_t target = inflight(b, w, 100);

	b->probed = 0;
	target = target < w->cwnd ? target : w->cwnd;
	target = (uint32_t)((uint64_t)target * BETA_PERCENT / 100);
	if (!rs->app_limited)
		b->inflight_hi = rs->tx_in_flight > target ?
				 rs->tx_in_flight : target;
	if (b->state == BBR_UP)
		begin_down(b, w);
}

static void raise_high(struct cc_bbr *b, const struct cc_window *w,
		       const struct cc_sample *rs)
{
	uint32_t n;

	if (!cwnd_limited(w) || w->cwnd < b->inflight_hi)
		return;
	b->up_acks += rs->acked;
	if (b->up_acks >= b->up_count) {
		n = b->up_acks / b->up_count;
		b->up_acks -= n * b->up_count;
		n += b->inflight_hi;
		b->inflight_hi = n < CC_CWND_MAX ? n : CC_CWND_MAX;
	}
	if (b->round_start)
		raise_slope(b, w);
}

/* 5.3.3.6 */
static void adapt_high(struct cc_bbr *b, const struct cc_window *w,
		       const struct cc_sample *rs)
{
	if (b->phase == ACKS_STARTING && b->round_start)
		b->phase = ACKS_PROBING;
	if (b->phase == ACKS_STOPPING && b->round_start) {
		b->phase = ACKS_ANY;
		b->probed = 0;
		if (cycling(b) && !rs->app_limited && b->bw_max[1]) {
			b->bw_max[0] = b->bw_max[1];
			b->bw_max[1] = 0;
		}
	}
	if (too_lossy(w, rs) || too_marked(b, rs)) {
		if (b->probed)
			take_too_high(b, w, rs);
		return;
	}
	if (b->inflight_hi == NO_LIMIT)
		return;
	if (rs->rate && rs->tx_in_flight > b->inflight_hi)
		b->inflight_hi = rs->tx_in_flight;
	if (b->state == BBR_UP)
		raise_high(b, w, rs);
}

/* Marks, but no losses, have ended: whoever was in the way may be gone. */
static bool way_is_clear(const struct cc_bbr *b, const struct cc_sample *rs)
{
	return shallow(b, rs) && b->ecn_in_cycle && b->quiet &&
	       !b->loss_in_cycle;
}

/* So that the first round adds half of inflight_hi. */
static uint8_t bold_rounds(const struct cc_bbr *b, const struct cc_window *w)
{
	uint32_t segments = b->inflight_hi / 2 / w->mss;
	uint8_t n = 0;

	while (segments > 1 && n < UP_ROUNDS) {
		segments /= 2;
		n++;
	}
	return n;
}

/* Time, or as many rounds as Reno would need, since the last probe. */
static bool refill_is_due(struct cc_bbr *b, const struct cc_window *w,
			  const struct cc_sample *rs)
{
	uint32_t reno = inflight(b, w, 100);

	reno = (reno < w->cwnd ? reno : w->cwnd) / w->mss;
	if (way_is_clear(b, rs)) {
		begin_refill(b, w, bold_rounds(b, w));
		return true;
	}
	if (w->now_ms - b->cycle_ms < b->wait_ms &&
	    b->rounds < (reno < PROBE_ROUNDS ? reno : PROBE_ROUNDS))
		return false;
	begin_refill(b, w, 0);
	return true;
}

static void up(struct cc_bbr *b, const struct cc_window *w,
	       const struct cc_sample *rs)
{
	if (cwnd_limited(w) && w->cwnd >= b->inflight_hi) {
		if (rs->rate)		/* it is that which limits */
			forget_full(b, rs->rate);
	} else if (b->full_now) {
		begin_down(b, w);
	}
}

static void cycle(struct cc_bbr *b, const struct cc_window *w,
		  const struct cc_sample *rs)
{
	if (b->full)
		adapt_high(b, w, rs);
	switch (b->state) {
	case BBR_DOWN:
		if (!refill_is_due(b, w, rs) &&
		    w->flight <= with_headroom(b, w) &&
		    w->flight <= inflight(b, w, 100))
			begin_cruise(b);
		break;
	case BBR_CRUISE:
		refill_is_due(b, w, rs);
		break;
	case BBR_REFILL:
		if (b->round_start)
			begin_up(b, w, rs);
		break;
	case BBR_UP:
		up(b, w, rs);
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
		begin_cruise(b);
	} else {
		begin(b, w, BBR_STARTUP);
	}
}

/* 5.3.4 */
static void probe_rtt(struct cc_bbr *b, struct cc_window *w)
{
	uint32_t small = at_least_pipe(w, bdp(b, w, bandwidth(b), 50));

	if (!b->probe_done_ms) {
		if (w->flight > small)
			return;
		b->probe_done_ms = (w->now_ms + PROBE_RTT_TIME_MS) | 1;
		b->probe_rounds = 0;
		begin_round(b);
		return;
	}
	b->probe_rounds |= b->round_start;
	if (b->probe_rounds && (int32_t)(w->now_ms - b->probe_done_ms) >= 0)
		leave_probe_rtt(b, w);
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
	if (due && !b->restart && b->state != BBR_PROBE_RTT && b->full) {
		b->prior_cwnd = w->cwnd;
		b->probe_done_ms = 0;
		b->phase = ACKS_STOPPING;
		begin_round(b);
		begin(b, w, BBR_PROBE_RTT);
	}
	if (b->state == BBR_PROBE_RTT)
		probe_rtt(b, w);
	b->restart = 0;
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
	uint32_t most = at_least_pipe(w, bdp(b, w, bandwidth(b),
					     gain[b->state].cwnd) +
					 extra_acked(b) + offload(b, w));

	if (b->state == BBR_UP)
		most += 2 * w->mss;
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

	learn_round(b, rs);
	learn_bandwidth(b, rs);
	learn_marks(b, w, rs);
	learn_losses(b, w);
	if (max_bw(b))
		learn_bunches(b, w, rs->acked);
	check_full(b, rs);
	check_startup(b, w, rs);
	cycle(b, w, rs);
	learn_rtt(b, w);
	set_pacing(b, w);
	set_cwnd(b, w, rs->acked, rs->delivered);
	forget_latest(b, rs);
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
	(void)s;
	return at_least_pipe(w, w->cwnd);
}

static void event(union cc_state *s, const struct cc_window *w, enum cc_event e)
{
	struct cc_bbr *b = &s->bbr;

	switch (e) {
	case CC_UNDO:
		forget_full(b, 0);
		forget_lower_bounds(b);
		break;
	case CC_TIMEOUT:	/* the window is one segment from now on */
		forget_full(b, 0);
		if (!probing(b) && b->inflight_lo == NO_LIMIT)
			b->inflight_lo = w->cwnd;
		break;
	case CC_IDLE:		/* 5.4.1: the pipe was empty, the RTT is small */
		b->restart = 1;
		b->bunch_us = w->now_us;
		b->bunch = 0;
		break;
	}
}

static bool keeps(const union cc_state *s)
{
	return max_bw(&s->bbr) != 0;
}

const struct cc_ops cc_bbr = {
	.name = "bbr", .init = init, .acked = acked, .ssthresh = ssthresh,
	.event = event, .sample = sample, .keeps = keeps,
};
