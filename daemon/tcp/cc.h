/*
 * cc.h - congestion control: what an algorithm must say
 *
 *	tcp_ack --acked--> ops->acked        grows cwnd
 *	loss -------------> ops->ssthresh    what is left of it
 *	timeout ----------> ops->timeout     forget the epoch
 *
 * Recovery itself (RFC 6582) is tcp_ack.c's and the same for all.  cwnd and
 * ssthresh live in the tcb, an algorithm's own state in its extension, which
 * may come and go: init() starts from cwnd and ssthresh alone.
 *
 * Units     Bytes, _us, _ms.
 * Threads   Pure functions over one connection.
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include <stdint.h>

struct cc_window {		/* the part of a connection that it may see */
	uint32_t cwnd, ssthresh;
	uint32_t mss;
	uint32_t flight;	/* bytes in flight before this ACK */
	uint32_t srtt_us;
	uint32_t now_ms;
};

struct cc_reno {
	uint32_t acked;		/* bytes since cwnd last grew */
};

struct cc_cubic {		/* RFC 9438 4.1 */
	uint32_t w_max;
	uint32_t w_est;
	uint32_t k_ms;
	uint32_t epoch_ms;	/* start of this avoidance epoch */
	uint32_t cwnd_prior;	/* cwnd at the last reduction */
	uint32_t frac, est_frac; /* remainders of cwnd and w_est */
	uint32_t in_epoch;	/* epoch_ms is valid */
};

union cc_state {
	struct cc_reno reno;
	struct cc_cubic cubic;
	uint32_t words[10];
};
_Static_assert(sizeof(union cc_state) == 40, "part of the extension");

struct cc_ops {
	const char *name;
	void (*init)(union cc_state *s, const struct cc_window *w);
	/* @acked bytes left the network, in congestion avoidance. */
	void (*acked)(union cc_state *s, struct cc_window *w, uint32_t acked);
	/* A loss: the new ssthresh. */
	uint32_t (*ssthresh)(union cc_state *s, const struct cc_window *w);
	/* After a retransmission timeout or an idle time. */
	void (*restart)(union cc_state *s);
};

extern const struct cc_ops cc_reno;	/* cc_reno.c: RFC 5681 */
extern const struct cc_ops cc_cubic;	/* cc_cubic.c: RFC 9438 */

/* Slow start with appropriate byte counting, L = 2 (RFC 3465). */
static inline void cc_slow_start(struct cc_window *w, uint32_t acked)
{
	w->cwnd += acked < 2 * w->mss ? acked : 2 * w->mss;
}

/* For tests: the cube root, rounded down. */
uint32_t cc_cube_root(uint64_t x);

/* W_cubic(t) in bytes, @t_ms after the epoch's start (RFC 9438, figure 1). */
uint32_t cc_cubic_window(const struct cc_cubic *c, uint32_t mss, uint32_t t_ms);

#endif
