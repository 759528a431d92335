#include "tcp/cc.h"

#include <string.h>

static void init(union cc_state *s, const struct cc_window *w)
{
	(void)w;
	memset(s, 0, sizeof(*s));
}

/* RFC 5681 3.1, equation (3) in its byte-counting form: a segment a window. */
static void acked(union cc_state *s, struct cc_window *w, uint32_t bytes)
{
	if (w->cwnd < w->ssthresh) {
		cc_slow_start(w, bytes);
		return;
	}
	s->reno.acked += bytes;
	if (s->reno.acked >= w->cwnd) {
		s->reno.acked -= w->cwnd;
		w->cwnd += w->mss;
	}
}

/* RFC 5681 3.1, equation (4). */
static uint32_t ssthresh(union cc_state *s, const struct cc_window *w)
{
	uint32_t half = w->flight / 2;

	s->reno.acked = 0;
	return half > 2 * w->mss ? half : 2 * w->mss;
}

static void event(union cc_state *s, const struct cc_window *w, enum cc_event e)
{
	(void)w;
	(void)e;
	s->reno.acked = 0;
}

const struct cc_ops cc_reno = {
	.name = "reno", .init = init, .acked = acked, .ssthresh = ssthresh,
	.event = event,
};
