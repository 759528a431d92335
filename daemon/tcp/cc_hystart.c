/*
 * cc_hystart.c - RFC 9406: when to leave the first slow start
 *
 *	slow start --RTT grew--> CSS --five rounds--> congestion avoidance
 *	     ^                    |
 *	     +---RTT shrank again-+
 *
 * A round is the time until what was sent at its beginning is acknowledged.
 * In conservative slow start (CSS) cwnd grows by a quarter of slow start's
 * growth; if the delay falls back below where it began, the rise was noise.
 *
 * The least RTT of a round rises late: while the window is smaller than the path
 * a round is a burst and a pause, and what the burst queues is gone after the
 * pause.  By the time that it rises twice the window is out, and where the queue
 * has room for one bandwidth-delay product, it overflows.  Two things are added to
 * RFC 9406 for that.  A train of ACKs that lasts half of the path's RTT begins CSS,
 * too (as HyStart did, and Linux does): what was sent meanwhile is twice the train,
 * and fills the path.  And as five rounds of CSS triple the window, it ends before
 * them when N_RTT_SAMPLE RTTs in a row are half as long again as the path's: half a
 * product stands in the queue then, and the link is used.
 */
#include "tcp/cc.h"

#define MIN_RTT_THRESH_US	4000u	/* 4.3 */
#define MAX_RTT_THRESH_US	16000u
#define MIN_RTT_DIVISOR		8
#define N_RTT_SAMPLE		8
#define CSS_GROWTH_DIVISOR	4
#define CSS_ROUNDS		5
#define TRAIN_GAP_US		2000u	/* longest between two ACKs of a train */
#define TRAIN_GAP_DIVISOR	8	/* but no more than this part of an RTT */
#define TRAIN_SEGMENTS		16u	/* a window of fewer makes none */

static void begin_round(struct cc_hystart *h, const struct cc_window *w)
{
	h->last_us = h->now_us;
	h->now_us = UINT32_MAX;
	h->samples = 0;
	h->window_end = w->snd_nxt;
}

static uint32_t threshold_us(uint32_t rtt_us)
{
	uint32_t t = rtt_us / MIN_RTT_DIVISOR;

	if (t < MIN_RTT_THRESH_US)
		return MIN_RTT_THRESH_US;
	return t > MAX_RTT_THRESH_US ? MAX_RTT_THRESH_US : t;
}

/* CSS begins, to end when an RTT is less than @baseline_us. */
static void slow_down(struct cc_hystart *h, uint32_t baseline_us)
{
	h->baseline_us = baseline_us;
	h->css_rounds = 1;
	h->frac = 0;
}

static void sample(struct cc_hystart *h, uint32_t rtt_us)
{
	if (!rtt_us)
		return;
	if (!h->least_us || rtt_us < h->least_us)
		h->least_us = rtt_us;
	if (rtt_us < h->now_us)
		h->now_us = rtt_us;
	if (h->samples < UINT16_MAX)
		h->samples++;
	if (h->samples < N_RTT_SAMPLE || h->now_us == UINT32_MAX)
		return;
	if (h->css_rounds) {
		if (h->now_us < h->baseline_us) {
			h->baseline_us = UINT32_MAX;
			h->css_rounds = 0;
		}
	} else if (h->last_us != UINT32_MAX &&
		   h->now_us >= h->last_us + threshold_us(h->last_us)) {
		slow_down(h, h->now_us);
	}
}

/* Paced segments are a train by themselves. */
static void train(struct cc_hystart *h, const struct cc_window *w)
{
	uint32_t gap = h->least_us / TRAIN_GAP_DIVISOR;

	if (gap > TRAIN_GAP_US)
		gap = TRAIN_GAP_US;
	if (w->now_us - h->ack_us > gap)
		h->train_us = w->now_us;
	h->ack_us = w->now_us;
	if (!h->css_rounds && !w->paced && h->samples >= N_RTT_SAMPLE &&
	    w->cwnd >= TRAIN_SEGMENTS * w->mss &&
	    h->ack_us - h->train_us >= h->least_us / 2)
		slow_down(h, 0);
}

/* In CSS: the path is full, whatever the rounds. */
static bool queue_stands(struct cc_hystart *h, uint32_t rtt_us)
{
	if (!rtt_us)
		return false;
	if (!h->css_rounds || rtt_us - h->least_us < h->least_us / 2)
		h->high = 0;
	else
		h->high++;
	return h->high == N_RTT_SAMPLE;
}

static void leave(struct cc_window *w)
{
	w->ssthresh = w->cwnd;
	w->css = true;
}

void hystart_acked(struct cc_hystart *h, struct cc_window *w, uint32_t acked)
{
	uint32_t before = w->cwnd, grown;

	if (!h->begun) {
		h->begun = 1;
		h->now_us = UINT32_MAX;
		h->train_us = h->ack_us = w->now_us;
		begin_round(h, w);
	}
	sample(h, w->rtt_us);
	train(h, w);
	cc_slow_start(w, acked);
	if (h->css_rounds) {
		grown = w->cwnd - before + h->frac;
		w->cwnd = before + grown / CSS_GROWTH_DIVISOR;
		h->frac = grown % CSS_GROWTH_DIVISOR;
	}
	if (queue_stands(h, w->rtt_us)) {
		leave(w);
		return;
	}
	if (seq_lt(w->snd_una, h->window_end))
		return;
	if (h->css_rounds && ++h->css_rounds > CSS_ROUNDS)
		leave(w);
	begin_round(h, w);
}
