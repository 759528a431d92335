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
 */
#include "tcp/cc.h"

#define MIN_RTT_THRESH_US	4000u	/* 4.3 */
#define MAX_RTT_THRESH_US	16000u
#define MIN_RTT_DIVISOR		8
#define N_RTT_SAMPLE		8
#define CSS_GROWTH_DIVISOR	4
#define CSS_ROUNDS		5

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

static void sample(struct cc_hystart *h, uint32_t rtt_us)
{
	if (!rtt_us)
		return;
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
		h->baseline_us = h->now_us;
		h->css_rounds = 1;
		h->frac = 0;
	}
}

void hystart_acked(struct cc_hystart *h, struct cc_window *w, uint32_t acked)
{
	uint32_t before = w->cwnd, grown;

	if (!h->begun) {
		h->begun = 1;
		h->now_us = UINT32_MAX;
		begin_round(h, w);
	}
	sample(h, w->rtt_us);
	cc_slow_start(w, acked);
	if (h->css_rounds) {
		grown = w->cwnd - before + h->frac;
		w->cwnd = before + grown / CSS_GROWTH_DIVISOR;
		h->frac = grown % CSS_GROWTH_DIVISOR;
	}
	if (seq_lt(w->snd_una, h->window_end))
		return;
	if (h->css_rounds && ++h->css_rounds > CSS_ROUNDS) {
		w->ssthresh = w->cwnd;
		w->css = true;
	}
	begin_round(h, w);
}
